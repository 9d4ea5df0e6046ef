"""Access control lists, where object ownership lets them count."""

import pytest
from principals import refused
from tenants import ALL_USERS, EMAIL, OTHER

AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


@pytest.fixture
def listed(tenants, bucket_name):
    """A bucket of the first account's whose lists count, with one object."""
    s3 = tenants.owner.client("s3")
    s3.create_bucket(Bucket=bucket_name, ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=bucket_name, Key="k", Body=b"data")
    return bucket_name


def canonical_id(who):
    return who.client("s3").list_buckets()["Owner"]["ID"]


def grants(answer):
    """Grantee and permission of each line."""
    named = ((grant["Grantee"], grant["Permission"]) for grant in answer["Grants"])
    return {(grantee.get("URI") or grantee["ID"], permission) for grantee, permission in named}


def test_canned_lists_of_a_bucket(tenants, listed):
    s3, owner = tenants.owner.client("s3"), canonical_id(tenants.owner)
    full = (owner, "FULL_CONTROL")
    for canned, further in [
        ("private", set()),
        ("public-read", {(ALL_USERS, "READ")}),
        ("public-read-write", {(ALL_USERS, "READ"), (ALL_USERS, "WRITE")}),
        ("authenticated-read", {(AUTHENTICATED, "READ")}),
    ]:
        s3.put_bucket_acl(Bucket=listed, ACL=canned)
        assert grants(s3.get_bucket_acl(Bucket=listed)) == {full} | further, canned
        readers = [answer.status == 200 for answer in (
            tenants.anonymous("GET", f"/{listed}"),
            tenants.signed(tenants.other, "GET", f"/{listed}"),
        )]
        assert readers == {
            "private": [False, False],
            "authenticated-read": [False, True],
        }.get(canned, [True, True]), canned
        written = tenants.anonymous("PUT", f"/{listed}/new", body=b"x").status == 200
        assert written == (canned == "public-read-write"), canned


def test_an_objects_own_list(tenants, listed):
    s3 = tenants.owner.client("s3")
    assert tenants.anonymous("GET", f"/{listed}/k").code == "AccessDenied"
    s3.put_object_acl(Bucket=listed, Key="k", ACL="public-read")
    assert tenants.anonymous("GET", f"/{listed}/k").text == "data"
    assert tenants.anonymous("GET", f"/{listed}/k?acl").code == "AccessDenied"
    s3.put_object(Bucket=listed, Key="p", Body=b"public", ACL="public-read")
    assert tenants.anonymous("GET", f"/{listed}/p").text == "public"
    # What is written anew, or copied, has the list of its own writing.
    s3.copy_object(Bucket=listed, Key="c", CopySource={"Bucket": listed, "Key": "p"})
    assert tenants.anonymous("GET", f"/{listed}/c").code == "AccessDenied"
    s3.put_object(Bucket=listed, Key="p", Body=b"private")
    assert tenants.anonymous("GET", f"/{listed}/p").code == "AccessDenied"


def test_each_version_has_its_own(tenants, listed):
    s3 = tenants.owner.client("s3")
    s3.put_bucket_versioning(Bucket=listed, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=listed, Key="v", Body=b"x")["VersionId"] for _ in range(2)]
    s3.put_object_acl(Bucket=listed, Key="v", VersionId=versions[0], ACL="public-read")
    shown = [tenants.anonymous("GET", f"/{listed}/v?versionId={version}").status for version in versions]
    assert shown == [200, 403]
    assert tenants.anonymous("GET", f"/{listed}/v").status == 403


def test_an_upload_in_parts_keeps_the_list_it_was_begun_with(tenants, listed):
    s3 = tenants.owner.client("s3")
    upload = s3.create_multipart_upload(Bucket=listed, Key="m", ACL="public-read")["UploadId"]
    part = s3.upload_part(Bucket=listed, Key="m", UploadId=upload, PartNumber=1, Body=b"parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=listed, Key="m", UploadId=upload, MultipartUpload=parts)
    assert tenants.anonymous("GET", f"/{listed}/m").text == "parts"


def test_grants_in_headers_and_in_xml(tenants, listed):
    s3, other = tenants.owner.client("s3"), tenants.other.client("s3")
    owner_id, other_id = canonical_id(tenants.owner), canonical_id(tenants.other)
    s3.put_object_acl(Bucket=listed, Key="k", GrantRead=f'id="{other_id}"', GrantFullControl=f"id={owner_id}")
    assert grants(s3.get_object_acl(Bucket=listed, Key="k")) == {(other_id, "READ"), (owner_id, "FULL_CONTROL")}
    assert other.get_object(Bucket=listed, Key="k")["Body"].read() == b"data"
    refused("AccessDenied", other.get_object_acl, Bucket=listed, Key="k")
    by_email = {"Type": "AmazonCustomerByEmail", "EmailAddress": EMAIL[OTHER]}
    policy = {
        "Owner": {"ID": owner_id},
        "Grants": [
            {"Grantee": by_email, "Permission": "READ_ACP"},
            {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
        ],
    }
    s3.put_object_acl(Bucket=listed, Key="k", AccessControlPolicy=policy)
    assert grants(other.get_object_acl(Bucket=listed, Key="k")) == {(other_id, "READ_ACP"), (ALL_USERS, "READ")}
    # WRITE_ACP lets another account change the list, and with it everything.
    s3.put_object_acl(Bucket=listed, Key="k", GrantWriteACP=f"id={other_id}")
    other.put_object_acl(Bucket=listed, Key="k", ACL="public-read")
    assert tenants.anonymous("GET", f"/{listed}/k").status == 200


def test_the_owner_can_always_mend_an_empty_list(tenants, listed):
    s3 = tenants.owner.client("s3")
    owner = s3.get_bucket_acl(Bucket=listed)["Owner"]
    s3.put_bucket_acl(Bucket=listed, AccessControlPolicy={"Owner": owner, "Grants": []})
    assert s3.get_bucket_acl(Bucket=listed)["Grants"] == []
    s3.put_bucket_acl(Bucket=listed, ACL="private")


def test_what_is_wrong_with_a_list_is_said(tenants, listed):
    s3 = tenants.owner.client("s3")
    owner = s3.get_bucket_acl(Bucket=listed)["Owner"]

    def lists(*found, by=owner):
        return {"Bucket": listed, "AccessControlPolicy": {"Owner": by, "Grants": list(found)}}

    def grant(permission="READ", **grantee):
        return {"Grantee": grantee, "Permission": permission}

    everyone = grant(Type="Group", URI=ALL_USERS)
    for code, arguments in [
        ("InvalidArgument", lists(grant(Type="CanonicalUser", ID="_foo"))),
        ("InvalidArgument", lists(grant(Type="Group", URI="http://example.com/group"))),
        ("UnresolvableGrantByEmailAddress", lists(grant(Type="AmazonCustomerByEmail", EmailAddress="x@example.com"))),
        ("MalformedACLError", lists(*[everyone] * 101)),
        ("AccessDenied", lists(everyone, by={"ID": canonical_id(tenants.other)})),
        ("InvalidArgument", {"Bucket": listed, "ACL": "publicread"}),
        ("InvalidArgument", {"Bucket": listed, "GrantRead": "everybody"}),
        ("InvalidRequest", {"Bucket": listed, "ACL": "private", "GrantRead": f'uri="{ALL_USERS}"'}),
    ]:
        refused(code, s3.put_bucket_acl, **arguments)
    assert tenants.signed(tenants.owner, "PUT", f"/{listed}?acl").code == "MissingSecurityHeader"


def test_a_bucket_is_written_by_whom_its_list_grants_it(tenants, listed):
    s3, other = tenants.owner.client("s3"), tenants.other.client("s3")
    other_id = canonical_id(tenants.other)
    s3.put_bucket_acl(Bucket=listed, GrantWrite=f"id={other_id}")
    other.put_object(Bucket=listed, Key="theirs", Body=b"theirs")
    # Who wrote owns: the bucket's owner reads it only if it is granted, and can always delete it.
    refused("AccessDenied", s3.get_object, Bucket=listed, Key="theirs")
    refused("AccessDenied", s3.put_object_acl, Bucket=listed, Key="theirs", ACL="private")
    other.put_object_acl(Bucket=listed, Key="theirs", ACL="bucket-owner-read")
    assert s3.get_object(Bucket=listed, Key="theirs")["Body"].read() == b"theirs"
    s3.delete_object(Bucket=listed, Key="theirs")
    refused("AccessDenied", other.list_objects_v2, Bucket=listed)
