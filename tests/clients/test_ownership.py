"""Object ownership: whose an object is that another account writes, and whether lists count."""

import pytest
from principals import allow, document, refused
from tenants import OTHER

SETTINGS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")


def canonical_id(who):
    return who.client("s3").list_buckets()["Owner"]["ID"]


def rules(setting):
    return {"Rules": [{"ObjectOwnership": setting}]}


def setting_of(s3, bucket):
    return s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"][0]["ObjectOwnership"]


def test_lists_are_disabled_in_a_new_bucket(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    assert setting_of(s3, own_bucket) == "BucketOwnerEnforced"
    refused("AccessControlListNotSupported", s3.put_bucket_acl, Bucket=own_bucket, ACL="public-read")
    refused("AccessControlListNotSupported", s3.put_object_acl, Bucket=own_bucket, Key="k", ACL="public-read")
    refused("AccessControlListNotSupported", s3.put_object, Bucket=own_bucket, Key="n", Body=b"", ACL="public-read")
    s3.put_object(Bucket=own_bucket, Key="n", Body=b"", ACL="bucket-owner-full-control")
    # What is the case anyway may be written back.
    acl = s3.get_bucket_acl(Bucket=own_bucket)
    s3.put_bucket_acl(Bucket=own_bucket, AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]})


def test_settings_are_set_at_creation_later_and_removed(tenants, bucket_name):
    s3 = tenants.owner.client("s3")
    for number, setting in enumerate(SETTINGS):
        bucket = f"{bucket_name[:58]}-{number}"
        s3.create_bucket(Bucket=bucket, ObjectOwnership=setting)
        assert setting_of(s3, bucket) == setting
        for later in SETTINGS:
            s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules(later))
            assert setting_of(s3, bucket) == later
        s3.delete_bucket_ownership_controls(Bucket=bucket)
        refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, Bucket=bucket)
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
        s3.delete_bucket_ownership_controls(Bucket=bucket)


def test_lists_are_disabled_only_where_none_is_shared(tenants, bucket_name):
    s3 = tenants.owner.client("s3")
    shared = {"Bucket": bucket_name, "ACL": "public-read"}
    refused("InvalidBucketAclWithObjectOwnership", s3.create_bucket, **shared)
    s3.create_bucket(**shared, ObjectOwnership="ObjectWriter")
    enforced = rules("BucketOwnerEnforced")
    disable = {"Bucket": bucket_name, "OwnershipControls": enforced}
    refused("InvalidBucketAclWithObjectOwnership", s3.put_bucket_ownership_controls, **disable)
    s3.put_bucket_acl(Bucket=bucket_name, ACL="private")
    s3.put_bucket_ownership_controls(**disable)


def test_malformed_settings_are_refused(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    refused("InvalidArgument", s3.create_bucket, Bucket="never-made", ObjectOwnership="Somebody")
    for controls in (rules("Somebody"), {"Rules": []}, {"Rules": rules("ObjectWriter")["Rules"] * 2}):
        arguments = {"Bucket": own_bucket, "OwnershipControls": controls}
        refused("MalformedXML", s3.put_bucket_ownership_controls, **arguments)


@pytest.mark.parametrize("setting", SETTINGS)
def test_whose_an_object_is(tenants, bucket_name, setting):
    s3, other = tenants.owner.client("s3"), tenants.other.client("s3")
    s3.create_bucket(Bucket=bucket_name, ObjectOwnership=setting)
    everything = [f"arn:aws:s3:::{bucket_name}", f"arn:aws:s3:::{bucket_name}/*"]
    policy = document({**allow("s3:*", resource=everything), "Principal": {"AWS": OTHER}})
    s3.put_bucket_policy(Bucket=bucket_name, Policy=policy)
    owner, writer = canonical_id(tenants.owner), canonical_id(tenants.other)
    other.put_object(Bucket=bucket_name, Key="plain", Body=b"x")
    other.put_object(Bucket=bucket_name, Key="given", Body=b"x", ACL="bucket-owner-full-control")
    upload = other.create_multipart_upload(Bucket=bucket_name, Key="parts")["UploadId"]
    part = other.upload_part(Bucket=bucket_name, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    listed = other.list_parts(Bucket=bucket_name, Key="parts", UploadId=upload)
    assert listed["Initiator"]["ID"] == writer
    # Whoever completes it: the upload's owner is the object's.
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket_name, Key="parts", UploadId=upload, MultipartUpload=parts)
    plain = owner if setting == "BucketOwnerEnforced" else writer
    given = writer if setting == "ObjectWriter" else owner
    found = {item["Key"]: item["Owner"]["ID"] for item in s3.list_objects(Bucket=bucket_name)["Contents"]}
    assert found == {"plain": plain, "given": given, "parts": plain}
    if plain == writer:
        # The bucket's policy says nothing about what is not its owner's.
        refused("AccessDenied", s3.get_object, Bucket=bucket_name, Key="plain")
        assert other.get_object(Bucket=bucket_name, Key="plain")["Body"].read() == b"x"
        # When lists are disabled, everything is the bucket's owner's at once.
        s3.put_bucket_ownership_controls(Bucket=bucket_name, OwnershipControls=rules("BucketOwnerEnforced"))
    assert s3.get_object(Bucket=bucket_name, Key="plain")["Body"].read() == b"x"
    assert s3.get_object_acl(Bucket=bucket_name, Key="plain")["Owner"]["ID"] == owner
