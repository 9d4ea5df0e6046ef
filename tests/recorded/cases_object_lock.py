"""Replays of `api.json`: object lock."""

import uuid

from recorded.replay import case

SUITE = "TestS3ObjectLock::"


def locked(s):
    """A bucket that can lock, for steps that name it."""
    name = f"recorded-lock-{uuid.uuid4().hex[:16]}"
    s.call(None, "create_bucket", Bucket=name, ObjectLockEnabledForBucket=True)
    return {"Bucket": name}


def rule(**retention):
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}


@case("api", SUITE + "test_put_object_lock_configuration_on_existing_bucket")
def _(s):
    enabled = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    s.call("get-object-lock-existing-bucket-no-config", "get_object_lock_configuration")
    s.call("put-object-lock-existing-bucket-no-versioning", "put_object_lock_configuration", **enabled)
    s.call("suspended-versioning", "put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"})
    s.call("put-object-lock-existing-bucket-versioning-disabled", "put_object_lock_configuration", **enabled)
    s.call("enabled-versioning", "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    s.call("put-object-lock-existing-bucket-enabled", "put_object_lock_configuration", **enabled)
    s.call("get-object-lock-existing-bucket-enabled", "get_object_lock_configuration")


@case("api", SUITE + "test_get_put_object_lock_configuration")
def _(s):
    bucket = locked(s)
    put = "put_object_lock_configuration"
    s.call("get-lock-config-start", "get_object_lock_configuration", **bucket)
    s.call("put-lock-config", put, ObjectLockConfiguration=rule(Mode="GOVERNANCE", Days=1), **bucket)
    s.call("get-lock-config", "get_object_lock_configuration", **bucket)
    s.call("put-lock-config-enabled", put, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}, **bucket)
    s.call("get-lock-config-only-enabled", "get_object_lock_configuration", **bucket)


@case("api", SUITE + "test_put_object_lock_configuration_exc")
def _(s):
    bucket = locked(s)
    for step, configuration in (
        ("no-enabled", {"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}),
        ("empty", {}),
        ("empty-rule", {"ObjectLockEnabled": "Enabled", "Rule": {}}),
        ("empty-retention", rule()),
        ("no-days", rule(Mode="GOVERNANCE")),
        ("bad-mode", rule(Mode="BAD-VALUE", Days=1)),
        ("both-days-years", rule(Mode="GOVERNANCE", Days=1, Years=1)),
    ):
        s.call(f"put-lock-config-{step}", "put_object_lock_configuration", ObjectLockConfiguration=configuration, **bucket)


@case("api", SUITE + "test_get_object_lock_configuration_exc")
def _(s):
    s.call("get-lock-config-no-enabled", "get_object_lock_configuration")
    nobody = f"recorded-none-{uuid.uuid4().hex[:16]}"
    s.call("get-lock-config-bucket-not-exists", "get_object_lock_configuration", Bucket=nobody)


@case("api", SUITE + "test_disable_versioning_on_locked_bucket")
def _(s):
    bucket = locked(s)
    put = "put_bucket_versioning"
    s.call("disable-versioning-on-locked-bucket", put, VersioningConfiguration={"Status": "Suspended"}, **bucket)
    s.call("enable-versioning-again-on-locked-bucket", put, VersioningConfiguration={"Status": "Enabled"}, **bucket)
