"""Block Public Access: each of the four settings, of a bucket and of its account."""

import re

import boto3
import botocore.config
import pytest
from principals import REGION, allow, document, refused
from tenants import OTHER, OWNER

SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def block(*settings):
    return {name: name in settings for name in SETTINGS}


def public(bucket, principal="*"):
    statement = allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*")
    return document({**statement, "Principal": principal})


@pytest.fixture
def listed(tenants, bucket_name):
    """A bucket whose lists count, with one object."""
    s3 = tenants.owner.client("s3")
    s3.create_bucket(Bucket=bucket_name, ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=bucket_name, Key="k", Body=b"data")
    return bucket_name


@pytest.fixture
def control(tenants):
    """boto3's client of the control API. It says the account in a header and in the host, which has no name here."""

    def at_the_endpoint(request, **_):
        request.url = re.sub(r"//\d{12}\.", "//", request.url)

    def client(who):
        made = boto3.client(
            "s3control",
            endpoint_url=who.endpoint,
            region_name=REGION,
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-sign.s3-control", at_the_endpoint)
        return made

    yield client
    client(tenants.owner).delete_public_access_block(AccountId=OWNER)


def test_the_settings_of_a_bucket_come_and_go(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=own_bucket)
    wanted = block("BlockPublicAcls", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=own_bucket, PublicAccessBlockConfiguration=wanted)
    assert s3.get_public_access_block(Bucket=own_bucket)["PublicAccessBlockConfiguration"] == wanted
    s3.delete_public_access_block(Bucket=own_bucket)
    refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=own_bucket)
    s3.delete_public_access_block(Bucket=own_bucket)


def of_bucket(tenants, control, bucket, *settings):
    tenants.owner.client("s3").put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block(*settings))


def of_account(tenants, control, bucket, *settings):
    control(tenants.owner).put_public_access_block(AccountId=OWNER, PublicAccessBlockConfiguration=block(*settings))


LEVELS = pytest.mark.parametrize("set_block", [of_bucket, of_account])


@LEVELS
def test_public_lists_are_not_set(tenants, control, listed, set_block):
    s3 = tenants.owner.client("s3")
    set_block(tenants, control, listed, "BlockPublicAcls")
    for canned in ("public-read", "public-read-write", "authenticated-read"):
        refused("AccessDenied", s3.put_bucket_acl, Bucket=listed, ACL=canned)
        refused("AccessDenied", s3.put_object_acl, Bucket=listed, Key="k", ACL=canned)
        refused("AccessDenied", s3.put_object, Bucket=listed, Key="n", Body=b"", ACL=canned)
    s3.put_bucket_acl(Bucket=listed, ACL="private")
    s3.put_object(Bucket=listed, Key="n", Body=b"", ACL="private")


@LEVELS
def test_public_lists_do_not_count(tenants, control, listed, set_block):
    s3 = tenants.owner.client("s3")
    s3.put_bucket_acl(Bucket=listed, ACL="public-read")
    s3.put_object_acl(Bucket=listed, Key="k", ACL="public-read")
    assert tenants.anonymous("GET", f"/{listed}/k").status == 200
    set_block(tenants, control, listed, "IgnorePublicAcls")
    assert tenants.anonymous("GET", f"/{listed}/k").status == 403
    assert tenants.signed(tenants.other, "GET", f"/{listed}").status == 403
    assert s3.get_object(Bucket=listed, Key="k")["Body"].read() == b"data"


@LEVELS
def test_public_policies_are_not_set(tenants, control, own_bucket, set_block):
    s3 = tenants.owner.client("s3")
    set_block(tenants, control, own_bucket, "BlockPublicPolicy")
    refused("AccessDenied", s3.put_bucket_policy, Bucket=own_bucket, Policy=public(own_bucket))
    s3.put_bucket_policy(Bucket=own_bucket, Policy=public(own_bucket, {"AWS": OTHER}))


@LEVELS
def test_public_buckets_are_for_their_own_account(tenants, control, own_bucket, set_block):
    s3 = tenants.owner.client("s3")
    s3.put_bucket_policy(Bucket=own_bucket, Policy=public(own_bucket))
    assert tenants.anonymous("GET", f"/{own_bucket}/k").status == 200
    set_block(tenants, control, own_bucket, "RestrictPublicBuckets")
    assert tenants.anonymous("GET", f"/{own_bucket}/k").status == 403
    assert tenants.signed(tenants.other, "GET", f"/{own_bucket}/k").status == 403
    assert tenants.signed(tenants.principals.user(), "GET", f"/{own_bucket}/k").status == 200
    # A policy that is not public is not restricted.
    s3.put_bucket_policy(Bucket=own_bucket, Policy=public(own_bucket, {"AWS": OTHER}))
    assert tenants.signed(tenants.other, "GET", f"/{own_bucket}/k").status == 200


def test_the_settings_of_an_account_are_its_own(tenants, control):
    owner = control(tenants.owner)
    refused("NoSuchPublicAccessBlockConfiguration", owner.get_public_access_block, AccountId=OWNER)
    wanted = block("BlockPublicPolicy")
    owner.put_public_access_block(AccountId=OWNER, PublicAccessBlockConfiguration=wanted)
    assert owner.get_public_access_block(AccountId=OWNER)["PublicAccessBlockConfiguration"] == wanted
    for stranger in (tenants.other, tenants.principals.user()):
        refused("AccessDenied", control(stranger).get_public_access_block, AccountId=OWNER)
    refused("AccessDenied", owner.get_public_access_block, AccountId=OTHER)
    reader = tenants.principals.user(allow("s3:GetAccountPublicAccessBlock"))
    assert control(reader).get_public_access_block(AccountId=OWNER)["PublicAccessBlockConfiguration"] == wanted
    refused("AccessDenied", control(reader).delete_public_access_block, AccountId=OWNER)
