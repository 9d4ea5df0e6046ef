"""Bucket policies: what is taken, what it allows and denies, and whom it cannot lock out."""

import json

import pytest
from principals import allow, deny, document, refused, status_of
from tenants import OTHER, OWNER


def arn(bucket, key=None):
    return f"arn:aws:s3:::{bucket}" if key is None else f"arn:aws:s3:::{bucket}/{key}"


def to(principal, statement):
    return {**statement, "Principal": principal}


def put(who, bucket, *statements, **options):
    who.client("s3").put_bucket_policy(Bucket=bucket, Policy=document(*statements), **options)


def test_a_policy_is_kept_as_it_was_put_and_can_be_removed(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=own_bucket)
    text = document(to("*", allow("s3:GetObject", resource=arn(own_bucket, "*")))) + "\n"
    s3.put_bucket_policy(Bucket=own_bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=own_bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=own_bucket)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=own_bucket)
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=own_bucket)
    s3.delete_bucket_policy(Bucket=own_bucket)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "{}",
        json.dumps({"Version": "2012-10-17", "Statement": []}),
        document(allow("s3:GetObject")),
        document(to("*", allow("s3:GetObject", resource="arn:aws:s3:::another-bucket/*"))),
        document(to("*", allow("ec2:RunInstances"))),
        document({"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, "Action": "s3:*", "Resource": "*"}),
        document(to("*", allow("s3:GetObject", resource=arn("own", "x" * 20_480)))),
    ],
)
def test_malformed_policies_are_refused(tenants, own_bucket, text):
    answer = tenants.signed(tenants.owner, "PUT", f"/{own_bucket}?policy", body=text.encode())
    assert (answer.status, answer.code) == (400, "MalformedPolicy"), answer


def test_principals_must_exist(tenants, own_bucket):
    user = tenants.principals.user()
    statement = allow("s3:GetObject", resource=arn(own_bucket, "*"))
    put(tenants.owner, own_bucket, to({"AWS": user.arn}, statement))
    s3 = tenants.owner.client("s3")
    for missing in (f"arn:aws:iam::{OWNER}:user/nobody", f"arn:aws:iam::{OTHER}:role/nobody"):
        policy = document(to({"AWS": missing}, statement))
        message = refused("MalformedPolicy", s3.put_bucket_policy, Bucket=own_bucket, Policy=policy)
        assert message == "Invalid principal in policy"


def test_another_account_needs_the_policy_and_its_users_their_own(tenants, own_bucket):
    other = tenants.other.client("s3")
    refused("AccessDenied", other.get_object, Bucket=own_bucket, Key="k")
    put(tenants.owner, own_bucket, to({"AWS": OTHER}, allow("s3:GetObject", resource=arn(own_bucket, "*"))))
    assert other.get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"
    refused("AccessDenied", other.put_object, Bucket=own_bucket, Key="k", Body=b"new")
    refused("AccessDenied", other.list_objects_v2, Bucket=own_bucket)
    assert tenants.anonymous("GET", f"/{own_bucket}/k").code == "AccessDenied"


def test_users_of_the_own_account_need_only_one_side(tenants, own_bucket):
    user = tenants.principals.user()
    s3 = user.client("s3")
    message = refused("AccessDenied", s3.get_object, Bucket=own_bucket, Key="k")
    assert "no identity-based policy allows the s3:GetObject action" in message and user.arn in message
    put(tenants.owner, own_bucket, to({"AWS": user.arn}, allow("s3:GetObject", resource=arn(own_bucket, "*"))))
    assert s3.get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"


def test_a_denial_outweighs_everything_but_not_the_roots_way_out(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    everything = [arn(own_bucket), arn(own_bucket, "*")]
    put(tenants.owner, own_bucket, to("*", deny("s3:*", resource=everything)))
    message = refused("AccessDenied", s3.get_object, Bucket=own_bucket, Key="k")
    assert "explicit deny" in message
    refused("AccessDenied", s3.list_objects_v2, Bucket=own_bucket)
    assert s3.get_bucket_policy(Bucket=own_bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=own_bucket)
    assert s3.get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"


def test_whoever_would_lock_himself_out_must_say_so(tenants, own_bucket):
    user = tenants.principals.user(allow("s3:*"))
    s3 = user.client("s3")
    policy = document(to("*", deny("s3:PutBucketPolicy", resource=arn(own_bucket))))
    refused("AccessDenied", s3.put_bucket_policy, Bucket=own_bucket, Policy=policy)
    s3.put_bucket_policy(Bucket=own_bucket, Policy=policy, ConfirmRemoveSelfBucketAccess=True)
    refused("AccessDenied", s3.put_bucket_policy, Bucket=own_bucket, Policy=policy)


def test_the_public_reads_what_a_policy_gives_it_and_learns_no_more(tenants, own_bucket):
    put(tenants.owner, own_bucket, to("*", allow("s3:GetObject", resource=arn(own_bucket, "*"))))
    answer = tenants.anonymous("GET", f"/{own_bucket}/k")
    assert (answer.status, answer.text) == (200, "data")
    # Who may not list is not told which keys there are.
    assert tenants.anonymous("GET", f"/{own_bucket}/missing").code == "AccessDenied"
    assert tenants.anonymous("HEAD", f"/{own_bucket}/missing").status == 403
    assert tenants.anonymous("PUT", f"/{own_bucket}/k", body=b"x").code == "AccessDenied"
    public = [allow("s3:GetObject", resource=arn(own_bucket, "*")), allow("s3:ListBucket", resource=arn(own_bucket))]
    put(tenants.owner, own_bucket, *(to("*", statement) for statement in public))
    assert tenants.anonymous("GET", f"/{own_bucket}/missing").code == "NoSuchKey"
    assert tenants.anonymous("GET", f"/{own_bucket}").status == 200


def test_conditions_on_the_request(tenants, own_bucket):
    """One condition after another: who meets it is allowed, who does not is not."""
    objects = arn(own_bucket, "*")
    for condition, meets, fails in [
        ({"StringEquals": {"aws:UserAgent": "good"}}, [("User-Agent", "good")], [("User-Agent", "bad")]),
        ({"StringLike": {"aws:Referer": "https://a.test/*"}}, [("Referer", "https://a.test/x")], []),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, [], None),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, None, [("X-Forwarded-For", "192.0.2.1")]),
        ({"Bool": {"aws:SecureTransport": "true"}}, None, []),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, None, []),
        ({"NumericGreaterThan": {"aws:EpochTime": "1000000000"}}, [], None),
        ({"StringEquals": {"s3:ResourceAccount": OWNER}}, [], None),
        ({"Null": {"s3:authType": "true"}}, [], None),
    ]:
        statement = to("*", allow("s3:GetObject", resource=objects, Condition=condition))
        put(tenants.owner, own_bucket, statement)
        for headers, status in ((meets, 200), (fails, 403)):
            if headers is not None:
                answer = tenants.anonymous("GET", f"/{own_bucket}/k", headers)
                assert answer.status == status, (condition, headers, answer)


def test_conditions_on_listings(tenants, own_bucket):
    condition = {"StringEquals": {"s3:prefix": "a/", "s3:delimiter": "/"}, "NumericLessThanEquals": {"s3:max-keys": 10}}
    put(tenants.owner, own_bucket, to("*", allow("s3:ListBucket", resource=arn(own_bucket), Condition=condition)))
    assert tenants.anonymous("GET", f"/{own_bucket}?prefix=a/&delimiter=/&max-keys=10").status == 200
    for query in ("prefix=a/&delimiter=/&max-keys=11", "prefix=b/&delimiter=/&max-keys=1", "delimiter=/&max-keys=1"):
        assert tenants.anonymous("GET", f"/{own_bucket}?{query}").code == "AccessDenied", query


def test_conditions_on_tags_that_are_there_and_tags_that_come(tenants, own_bucket):
    owner, other = tenants.owner.client("s3"), tenants.other.client("s3")
    objects = arn(own_bucket, "*")
    existing = {"StringEquals": {"s3:ExistingObjectTag/class": "open"}}
    coming = {"StringEquals": {"s3:RequestObjectTag/class": "open"}, "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["class"]}}
    put(
        tenants.owner,
        own_bucket,
        to({"AWS": OTHER}, allow("s3:GetObject", resource=objects, Condition=existing)),
        to({"AWS": OTHER}, allow("s3:PutObject", "s3:PutObjectTagging", resource=objects, Condition=coming)),
    )
    refused("AccessDenied", other.get_object, Bucket=own_bucket, Key="k")
    owner.put_object_tagging(Bucket=own_bucket, Key="k", Tagging={"TagSet": [{"Key": "class", "Value": "open"}]})
    assert other.get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"
    other.put_object(Bucket=own_bucket, Key="n", Body=b"new", Tagging="class=open")
    refused("AccessDenied", other.put_object, Bucket=own_bucket, Key="n", Body=b"new", Tagging="class=secret")
    refused("AccessDenied", other.put_object, Bucket=own_bucket, Key="n", Body=b"new", Tagging="class=open&more=1")
    closed = {"TagSet": [{"Key": "class", "Value": "closed"}]}
    refused("AccessDenied", other.put_object_tagging, Bucket=own_bucket, Key="n", Tagging=closed)


def test_versions_have_actions_of_their_own(tenants, own_bucket):
    owner, other = tenants.owner.client("s3"), tenants.other.client("s3")
    owner.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    version = owner.put_object(Bucket=own_bucket, Key="k", Body=b"second")["VersionId"]
    objects = arn(own_bucket, "*")
    put(tenants.owner, own_bucket, to({"AWS": OTHER}, allow("s3:GetObject", "s3:DeleteObject", resource=objects)))
    other.get_object(Bucket=own_bucket, Key="k")
    refused("AccessDenied", other.get_object, Bucket=own_bucket, Key="k", VersionId=version)
    refused("AccessDenied", other.delete_object, Bucket=own_bucket, Key="k", VersionId=version)
    bulk = {"Objects": [{"Key": "k", "VersionId": version}, {"Key": "k"}]}
    answer = other.delete_objects(Bucket=own_bucket, Delete=bulk)
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["k"]


def test_a_copy_needs_both_sides(tenants, own_bucket, bucket_name):
    other = tenants.other.client("s3")
    theirs = f"{bucket_name[:58]}-b"
    other.create_bucket(Bucket=theirs)
    source = {"Bucket": own_bucket, "Key": "k"}
    refused("AccessDenied", other.copy_object, Bucket=theirs, Key="c", CopySource=source)
    put(tenants.owner, own_bucket, to({"AWS": OTHER}, allow("s3:GetObject", resource=arn(own_bucket, "*"))))
    other.copy_object(Bucket=theirs, Key="c", CopySource=source)
    refused("AccessDenied", other.copy_object, Bucket=own_bucket, Key="c", CopySource=source)
    # Tags are read and written with actions of their own.
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    tenants.owner.client("s3").put_object_tagging(Bucket=own_bucket, Key="k", Tagging=tags)
    refused("AccessDenied", other.copy_object, Bucket=theirs, Key="d", CopySource=source)
    other.copy_object(Bucket=theirs, Key="d", CopySource=source, TaggingDirective="REPLACE")
    assert status_of(other.copy_object, Bucket=theirs, Key="d", CopySource={"Bucket": own_bucket, "Key": "no"}) == 403


def test_a_policy_counts_from_the_next_request_on(tenants, own_bucket):
    statement = to("*", allow("s3:GetObject", resource=arn(own_bucket, "*")))
    for _ in range(20):
        put(tenants.owner, own_bucket, statement)
        assert tenants.anonymous("GET", f"/{own_bucket}/k").status == 200
        tenants.owner.client("s3").delete_bucket_policy(Bucket=own_bucket)
        assert tenants.anonymous("GET", f"/{own_bucket}/k").status == 403
