"""The newest of S3: rename, append, annotations, optional attributes, ABAC, archives that are unpacked."""

import concurrent.futures
import hashlib
import io
import json
import random
import re
import tarfile

import boto3
import botocore.config
import checksums
import pytest
import real_files
from principals import REGION, allow, refused, status_of
from tenants import OWNER


def body(client, bucket, key, **options):
    return client.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


def keys(client, bucket):
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def append(client, bucket, key, offset, data, **options):
    return client.put_object(Bucket=bucket, Key=key, Body=data, WriteOffsetBytes=offset, **options)


def together(count, call):
    """What `count` calls at the same time answered: results and error codes."""

    def one(number):
        try:
            return call(number)
        except Exception as error:  # noqa: BLE001 (only a refusal of S3 is expected, and that is asserted by whoever asks)
            return error.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class TestRename:
    @pytest.mark.parametrize("size", [0, 11, 3_000_000])
    def test_everything_but_the_key_stays(self, s3, bucket, size, seed):
        data = real_files.random_bytes(seed, size)
        s3.put_object(
            Bucket=bucket, Key="from", Body=data, Metadata={"a": "b"}, ContentType="text/x", Tagging="t=1"
        )
        before = s3.head_object(Bucket=bucket, Key="from", ChecksumMode="ENABLED")
        s3.rename_object(Bucket=bucket, Key="to/ä b", RenameSource="from")
        after = s3.head_object(Bucket=bucket, Key="to/ä b", ChecksumMode="ENABLED")
        for name in set(before) - {"ResponseMetadata"}:
            assert after[name] == before[name], name
        assert body(s3, bucket, "to/ä b") == data and keys(s3, bucket) == ["to/ä b"]
        assert s3.get_object_tagging(Bucket=bucket, Key="to/ä b")["TagSet"] == [{"Key": "t", "Value": "1"}]
        s3.rename_object(Bucket=bucket, Key="back", RenameSource=f"/{bucket}/to/%C3%A4%20b")
        assert keys(s3, bucket) == ["back"] and body(s3, bucket, "back") == data

    def test_what_cannot_be_renamed(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
        refused("NoSuchKey", s3.rename_object, Bucket=bucket, Key="b", RenameSource="missing")
        for source, to in [("k", "k"), ("k", "b/"), ("folder/", "b")]:
            refused("InvalidRequest", s3.rename_object, Bucket=bucket, Key=to, RenameSource=source)
        assert keys(s3, bucket) == ["folder/", "k"]

    def test_conditions(self, s3, bucket):
        etag = s3.put_object(Bucket=bucket, Key="a", Body=b"a")["ETag"]
        other = s3.put_object(Bucket=bucket, Key="b", Body=b"b")["ETag"]
        to_b = {"Bucket": bucket, "Key": "b", "RenameSource": "a"}
        refused("PreconditionFailed", s3.rename_object, **to_b, DestinationIfNoneMatch="*")
        refused("PreconditionFailed", s3.rename_object, **to_b, DestinationIfMatch=etag)
        refused("PreconditionFailed", s3.rename_object, **to_b, SourceIfMatch=other)
        refused("PreconditionFailed", s3.rename_object, **to_b, SourceIfNoneMatch=etag)
        refused("PreconditionFailed", s3.rename_object, **(to_b | {"Key": "c"}), DestinationIfMatch=other)
        assert keys(s3, bucket) == ["a", "b"]
        s3.rename_object(**to_b, SourceIfMatch=etag, DestinationIfMatch=other)
        assert keys(s3, bucket) == ["b"] and body(s3, bucket, "b") == b"a"

    def test_a_token_makes_it_happen_once(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="a", Body=b"1")
        call = {"Bucket": bucket, "Key": "b", "RenameSource": "a", "ClientToken": "token-1"}
        s3.rename_object(**call)
        s3.put_object(Bucket=bucket, Key="a", Body=b"2")
        s3.rename_object(**call)
        assert body(s3, bucket, "b") == b"1" and body(s3, bucket, "a") == b"2"
        refused("IdempotencyParameterMismatch", s3.rename_object, **(call | {"Key": "c"}))
        refused("InvalidRequest", s3.rename_object, **(call | {"ClientToken": "x" * 65}))
        s3.rename_object(**(call | {"ClientToken": "token-2"}))
        assert body(s3, bucket, "b") == b"2" and keys(s3, bucket) == ["b"]

    def test_versions(self, s3, bucket):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket=bucket, Key="a", Body=b"a")["VersionId"]
        replaced = s3.put_object(Bucket=bucket, Key="b", Body=b"b")["VersionId"]
        s3.rename_object(Bucket=bucket, Key="b", RenameSource="a")
        listed = s3.list_object_versions(Bucket=bucket)
        assert [(v["Key"], v["IsLatest"]) for v in listed["Versions"]] == [("a", False), ("b", True), ("b", False)]
        assert [(m["Key"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [("a", True)]
        assert body(s3, bucket, "a", VersionId=first) == b"a" and body(s3, bucket, "b", VersionId=replaced) == b"b"
        assert body(s3, bucket, "b") == b"a"

    def test_of_many_at_once_one_wins_and_readers_see_one_object(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="from", Body=b"data")
        outcomes = together(8, lambda n: s3.rename_object(Bucket=bucket, Key=f"to-{n}", RenameSource="from"))
        assert sorted(o if isinstance(o, str) else "done" for o in outcomes) == ["NoSuchKey"] * 7 + ["done"]
        assert len(keys(s3, bucket)) == 1

        (now,) = keys(s3, bucket)
        moves = [f"move-{number}" for number in range(40)]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            def move():
                for source, to in zip([now, *moves], moves):
                    s3.rename_object(Bucket=bucket, Key=to, RenameSource=source)

            moving = pool.submit(move)
            while not moving.done():
                assert len(keys(s3, bucket)) == 1
            moving.result()
        assert keys(s3, bucket) == [moves[-1]]

    def test_what_it_needs(self, tenants, own_bucket):
        there = f"arn:aws:s3:::{own_bucket}"
        may_not_delete = tenants.principals.user(allow("s3:PutObject", "s3:GetObject", resource=f"{there}/*"))
        call = {"Bucket": own_bucket, "Key": "new", "RenameSource": "k"}
        refused("AccessDenied", may_not_delete.client("s3").rename_object, **call)
        elsewhere = tenants.principals.user(
            allow("s3:PutObject", resource=f"{there}/new"), allow("s3:GetObject", "s3:DeleteObject", resource=f"{there}/k")
        )
        elsewhere.client("s3").rename_object(**call)

    def test_aws_cli(self, s3, bucket, s3api):
        s3.put_object(Bucket=bucket, Key="from", Body=b"cli")
        s3api("rename-object", "--bucket", bucket, "--key", "to", "--rename-source", "from")
        assert body(s3, bucket, "to") == b"cli"


class TestAppend:
    @pytest.mark.parametrize("algorithm", [None, "CRC32", "CRC64NVME", "SHA256"])
    def test_bytes_sizes_tags_and_checksums(self, s3, bucket, algorithm, seed):
        options = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        sizes = [10, 0, 5_000, 1_100_000, 1, 3_000_000]
        parts = [real_files.random_bytes(seed + number, size) for number, size in enumerate(sizes)]
        whole, etags = b"", set()
        for part in parts:
            answer = append(s3, bucket, "log", len(whole), part, **options)
            whole += part
            assert answer["Size"] == len(whole)
            etags.add(answer["ETag"])
            head = s3.head_object(Bucket=bucket, Key="log", ChecksumMode="ENABLED")
            assert (head["ContentLength"], head["ETag"]) == (len(whole), answer["ETag"])
        assert len(etags) == len(parts)
        got = s3.get_object(Bucket=bucket, Key="log", ChecksumMode="ENABLED")
        assert got["Body"].read() == whole
        stored = algorithm or "CRC32"
        if stored == "SHA256":
            assert got["ChecksumType"] == "COMPOSITE"
            assert got[checksums.member(stored)] == checksums.composite(stored, parts)
        else:
            assert got["ChecksumType"] == "FULL_OBJECT"
            assert got[checksums.member(stored)] == checksums.of(stored, whole)
        for start in (0, 9, 10, 5_009, 1_105_010, len(whole) - 1):
            end = min(start + 2_000, len(whole) - 1)
            assert body(s3, bucket, "log", Range=f"bytes={start}-{end}") == whole[start : end + 1]
        attributes = s3.get_object_attributes(Bucket=bucket, Key="log", ObjectAttributes=["ObjectParts", "ObjectSize"])
        assert attributes["ObjectSize"] == len(whole)
        assert attributes["ObjectParts"]["TotalPartsCount"] == len(parts)
        assert body(s3, bucket, "log", PartNumber=4) == parts[3]

    def test_only_at_the_end(self, s3, bucket):
        message = refused("InvalidWriteOffset", append, client=s3, bucket=bucket, key="k", offset=1, data=b"x")
        assert "does not match the current object size" in message
        s3.put_object(Bucket=bucket, Key="k", Body=b"0123", Metadata={"a": "b"})
        for offset in (0, 3, 5):
            refused("InvalidWriteOffset", append, client=s3, bucket=bucket, key="k", offset=offset, data=b"x")
        append(s3, bucket, "k", 4, b"45", Metadata={"other": "ignored"})
        assert body(s3, bucket, "k") == b"012345"
        assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "b"}
        wrong = {"client": s3, "bucket": bucket, "key": "k", "offset": 6, "data": b"x", "IfMatch": '"0"'}
        refused("PreconditionFailed", append, **wrong)
        digest = {"ChecksumSHA256": checksums.of("SHA256", b"something else")}
        refused("BadDigest", append, client=s3, bucket=bucket, key="k", offset=6, data=b"x", **digest)
        assert body(s3, bucket, "k") == b"012345"
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
        append(s3, bucket, "copy", 6, b"67")
        assert (body(s3, bucket, "k"), body(s3, bucket, "copy")) == (b"012345", b"01234567")

    def test_of_many_at_once_one_wins(self, s3, bucket):
        together(8, lambda number: append(s3, bucket, "log", 0, b"a"))
        outcomes = together(16, lambda number: append(s3, bucket, "log", 1, bytes([65 + number]))["Size"])
        assert sorted(map(str, outcomes)) == ["2"] + ["InvalidWriteOffset"] * 15
        (winner,) = [number for number, outcome in enumerate(outcomes) if outcome == 2]
        assert body(s3, bucket, "log") == b"a" + bytes([65 + winner])

    def test_many_appends_and_an_upload_in_parts(self, s3, bucket, seed):
        draw = random.Random(seed)
        parts = [real_files.random_bytes(seed, 5 << 20), b"tail"]
        upload = {"Bucket": bucket, "Key": "log"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        named = []
        for number, part in enumerate(parts, start=1):
            etag = s3.upload_part(**upload, PartNumber=number * 3, Body=part)["ETag"]
            named.append({"PartNumber": number * 3, "ETag": etag})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
        whole = b"".join(parts)
        for _ in range(140):
            piece = draw.randbytes(draw.randrange(1, 40))
            append(s3, bucket, "log", len(whole), piece)
            whole += piece
        assert body(s3, bucket, "log") == whole
        listed = s3.get_object_attributes(Bucket=bucket, Key="log", ObjectAttributes=["ObjectParts"])
        assert listed["ObjectParts"]["TotalPartsCount"] == 142
        for _ in range(20):
            start = draw.randrange(len(whole))
            end = min(start + draw.randrange(1, 3_000), len(whole) - 1)
            assert body(s3, bucket, "log", Range=f"bytes={start}-{end}") == whole[start : end + 1]

    def test_versions_share_bytes(self, s3, bucket):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["VersionId"]
        second = append(s3, bucket, "k", 3, b"two")["VersionId"]
        assert body(s3, bucket, "k", VersionId=first) == b"one" and body(s3, bucket, "k", VersionId=second) == b"onetwo"
        s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
        assert body(s3, bucket, "k") == b"onetwo"

    def test_aws_cli(self, s3, bucket, s3api, tmp_path):
        (tmp_path / "piece").write_bytes(b"piece")
        for offset in (0, 5):
            arguments = ["--bucket", bucket, "--key", "k", "--body", str(tmp_path / "piece")]
            assert s3api("put-object", *arguments, "--write-offset-bytes", str(offset))["Size"] == offset + 5
        assert body(s3, bucket, "k") == b"piecepiece"


class TestAnnotations:
    def test_they_come_change_and_go(self, s3, bucket):
        etag = s3.put_object(Bucket=bucket, Key="k", Body=b"data")["ETag"]
        where = {"Bucket": bucket, "Key": "k"}
        payload = json.dumps({"label": "été"}, ensure_ascii=False).encode()
        put = s3.put_object_annotation(**where, AnnotationName="ai/labels", AnnotationPayload=payload)
        assert put["ETag"] == f'"{hashlib.md5(payload).hexdigest()}"' and put["AnnotationName"] == "ai/labels"
        got = s3.get_object_annotation(**where, AnnotationName="ai/labels", ChecksumMode="ENABLED")
        assert got["AnnotationPayload"].read() == payload and got["ContentLength"] == len(payload)
        assert got["ChecksumCRC32"] == checksums.of("CRC32", payload)
        s3.put_object_annotation(**where, AnnotationName="note", AnnotationPayload=b"1", ObjectIfMatch=etag)
        refused(
            "PreconditionFailed",
            s3.put_object_annotation,
            **where,
            AnnotationName="note",
            AnnotationPayload=b"2",
            ObjectIfMatch='"0"',
        )
        s3.put_object_annotation(**where, AnnotationName="note", AnnotationPayload=b"three")
        listed = s3.list_object_annotations(**where)
        assert [(a["AnnotationName"], a["Size"]) for a in listed["Annotations"]] == [
            ("ai/labels", len(payload)),
            ("note", 5),
        ]
        assert listed["AnnotationCount"] == 2
        only = s3.list_object_annotations(**where, AnnotationPrefix="ai/")
        assert [a["AnnotationName"] for a in only["Annotations"]] == ["ai/labels"]
        head = s3.head_object(**where)
        assert head["ETag"] == etag and body(s3, bucket, "k") == b"data"
        for _ in range(2):
            s3.delete_object_annotation(**where, AnnotationName="note")
        refused("NoSuchAnnotation", s3.get_object_annotation, **where, AnnotationName="note")
        assert s3.list_object_annotations(**where)["AnnotationCount"] == 1

    def test_limits(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        where = {"Bucket": bucket, "Key": "k"}
        put = s3.put_object_annotation
        refused("NoSuchKey", put, Bucket=bucket, Key="x", AnnotationName="a", AnnotationPayload=b"1")
        refused("InvalidAnnotationName", put, **where, AnnotationName="AWS-a", AnnotationPayload=b"1")
        refused("AnnotationNameTooLong", put, **where, AnnotationName="n" * 513, AnnotationPayload=b"1")
        refused("InvalidRequest", put, **where, AnnotationName="a", AnnotationPayload=b"")
        refused("EntityTooLarge", put, **where, AnnotationName="a", AnnotationPayload=b"x" * ((1 << 20) + 1))
        refused("UnsupportedMediaType", put, **where, AnnotationName="a", AnnotationPayload=b"\xff\xfe")
        assert status_of(put, **where, AnnotationName="a", AnnotationPayload=b"\xff") == 415
        assert s3.list_object_annotations(**where)["Annotations"] == []
        large = b"x" * (1 << 20)
        put(**where, AnnotationName="a", AnnotationPayload=large)
        assert s3.get_object_annotation(**where, AnnotationName="a")["AnnotationPayload"].read() == large

    def test_many_and_pages(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        where = {"Bucket": bucket, "Key": "k"}
        names = [f"name-{number:03}" for number in range(160)]

        def put(number):
            return s3.put_object_annotation(**where, AnnotationName=names[number], AnnotationPayload=b"p%d" % number)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(160)))
        seen, token = [], {}
        while True:
            page = s3.list_object_annotations(**where, MaxAnnotationResults=50, **token)
            seen += [each["AnnotationName"] for each in page["Annotations"]]
            if "NextContinuationToken" not in page:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        assert seen == names
        got = s3.get_object_annotation(**where, AnnotationName=names[123])
        assert got["AnnotationPayload"].read() == b"p123"

    def test_they_go_where_their_version_goes(self, s3, bucket):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        where = {"Bucket": bucket, "Key": "k"}
        put = s3.put_object_annotation(**where, AnnotationName="a", AnnotationPayload=b"first")
        assert put["ObjectVersionId"] == first
        second = s3.put_object(**where, Body=b"2")["VersionId"]
        assert s3.list_object_annotations(**where)["Annotations"] == []
        s3.put_object_annotation(**where, AnnotationName="b", AnnotationPayload=b"old", VersionId=first)
        listed = s3.list_object_annotations(**where, VersionId=first)
        assert [a["AnnotationName"] for a in listed["Annotations"]] == ["a", "b"]
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={**where, "VersionId": first})
        s3.copy_object(
            Bucket=bucket, Key="bare", CopySource={**where, "VersionId": first}, AnnotationDirective="EXCLUDE"
        )
        s3.delete_object(**where, VersionId=first)
        s3.delete_object(**where, VersionId=second)
        got = s3.get_object_annotation(Bucket=bucket, Key="copy", AnnotationName="a")
        assert got["AnnotationPayload"].read() == b"first"
        assert s3.list_object_annotations(Bucket=bucket, Key="bare")["AnnotationCount"] == 0
        s3.rename_object(Bucket=bucket, Key="renamed", RenameSource="copy")
        append(s3, bucket, "renamed", 1, b"more")
        assert s3.list_object_annotations(Bucket=bucket, Key="renamed")["AnnotationCount"] == 2

    def test_what_a_copy_needs(self, tenants, own_bucket):
        owner = tenants.owner.client("s3")
        copy = {"Bucket": own_bucket, "Key": "copy", "CopySource": f"{own_bucket}/k"}
        user = tenants.principals.user(allow("s3:GetObject", "s3:PutObject")).client("s3")
        user.copy_object(**copy)
        owner.put_object_annotation(Bucket=own_bucket, Key="k", AnnotationName="a", AnnotationPayload=b"1")
        refused("AccessDenied", user.copy_object, **copy)
        user.copy_object(**copy, AnnotationDirective="EXCLUDE")
        more = allow("s3:GetObject", "s3:PutObject", "s3:GetObjectAnnotation", "s3:PutObjectAnnotation")
        tenants.principals.user(more).client("s3").copy_object(**copy)
        assert owner.list_object_annotations(Bucket=own_bucket, Key="copy")["AnnotationCount"] == 1


def test_optional_attributes_of_listings(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    for listing in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions):
        answer = listing(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])
        (found,) = answer.get("Contents") or answer["Versions"]
        assert "RestoreStatus" not in found
        refused("InvalidArgument", listing, Bucket=bucket, OptionalObjectAttributes=["Invented"])


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

    return client


class TestBucketTags:
    def test_a_bucket_is_created_with_tags(self, tenants, bucket_name):
        tags = [{"Key": "team", "Value": "a"}]
        configuration = {"Bucket": bucket_name, "CreateBucketConfiguration": {"Tags": tags}}
        wrong = {"StringNotEquals": {"aws:RequestTag/team": "a"}}
        untagged = tenants.principals.user(allow("s3:CreateBucket")).client("s3")
        refused("AccessDenied", untagged.create_bucket, **configuration)
        elsewhere = tenants.principals.user(allow("s3:CreateBucket", "s3:TagResource", Condition=wrong)).client("s3")
        refused("AccessDenied", elsewhere.create_bucket, **configuration)
        user = tenants.principals.user(allow("s3:CreateBucket", "s3:TagResource"))
        user.client("s3").create_bucket(**configuration)
        assert tenants.owner.client("s3").get_bucket_tagging(Bucket=bucket_name)["TagSet"] == tags

    def test_tags_of_a_resource(self, tenants, control, own_bucket):
        client, s3 = control(tenants.owner), tenants.owner.client("s3")
        where = {"AccountId": OWNER, "ResourceArn": f"arn:aws:s3:::{own_bucket}"}
        assert client.list_tags_for_resource(**where)["Tags"] == []
        client.tag_resource(**where, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": "2"}])
        client.tag_resource(**where, Tags=[{"Key": "a", "Value": "3"}])
        tags = [{"Key": "a", "Value": "3"}, {"Key": "b c", "Value": "2"}]
        assert client.list_tags_for_resource(**where)["Tags"] == tags
        assert s3.get_bucket_tagging(Bucket=own_bucket)["TagSet"] == tags
        client.untag_resource(**where, TagKeys=["b c", "missing"])
        assert client.list_tags_for_resource(**where)["Tags"] == tags[:1]
        refused("NoSuchBucket", client.list_tags_for_resource, **(where | {"ResourceArn": "arn:aws:s3:::no-such-bucket-x"}))
        refused("InvalidRequest", client.list_tags_for_resource, **(where | {"ResourceArn": "arn:aws:sqs:::x"}))
        refused("InvalidTag", client.tag_resource, **where, Tags=[{"Key": "aws:x", "Value": "1"}])
        denied = tenants.principals.user(allow("s3:*"), {"Effect": "Deny", "Action": "s3:TagResource", "Resource": "*"})
        refused("AccessDenied", control(denied).tag_resource, **where, Tags=[{"Key": "x", "Value": "1"}])

    def test_abac(self, tenants, control, own_bucket):
        s3, where = tenants.owner.client("s3"), {"AccountId": OWNER, "ResourceArn": f"arn:aws:s3:::{own_bucket}"}
        assert s3.get_bucket_abac(Bucket=own_bucket)["AbacStatus"] == {"Status": "Disabled"}
        s3.put_bucket_tagging(Bucket=own_bucket, Tagging={"TagSet": [{"Key": "team", "Value": "a"}]})
        users = [
            tenants.principals.user(allow("s3:GetObject", Condition={"StringEquals": {f"{key}/team": "a"}}))
            for key in ("aws:ResourceTag", "s3:BucketTag")
        ]
        for user in users:
            refused("AccessDenied", user.client("s3").get_object, Bucket=own_bucket, Key="k")
        s3.put_bucket_abac(Bucket=own_bucket, AbacStatus={"Status": "Enabled"})
        assert s3.get_bucket_abac(Bucket=own_bucket)["AbacStatus"] == {"Status": "Enabled"}
        for user in users:
            assert body(user.client("s3"), own_bucket, "k") == b"data"
        refused("InvalidRequest", s3.put_bucket_tagging, Bucket=own_bucket, Tagging={"TagSet": []})
        refused("InvalidRequest", s3.delete_bucket_tagging, Bucket=own_bucket)
        control(tenants.owner).tag_resource(**where, Tags=[{"Key": "team", "Value": "b"}])
        for user in users:
            refused("AccessDenied", user.client("s3").get_object, Bucket=own_bucket, Key="k")
        s3.put_bucket_abac(Bucket=own_bucket, AbacStatus={"Status": "Disabled"})
        s3.delete_bucket_tagging(Bucket=own_bucket)


def archive(entries, kind=tarfile.PAX_FORMAT):
    """A tar archive: names and contents; `None` is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


class TestArchives:
    EXTRACT = {"snowball-auto-extract": "true"}

    @pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_each_entry_becomes_an_object(self, s3, bucket, kind, seed):
        files = {
            "a.txt": b"a",
            "empty": b"",
            "dir/b.bin": real_files.random_bytes(seed, 2_500_000),
            f"{'long/' * 18}file": b"long",
        }
        if kind != tarfile.USTAR_FORMAT:
            files[f"{'x' * 300}/é"] = b"longer"
        data = archive([("dir/", None), *files.items()], kind)
        s3.put_object(Bucket=bucket, Key="archive.tar", Body=data, Metadata=self.EXTRACT, Tagging="t=1")
        assert sorted(keys(s3, bucket)) == sorted([*files, "dir/"])
        for name, content in files.items():
            assert body(s3, bucket, name) == content, name
        assert s3.get_object_tagging(Bucket=bucket, Key="a.txt")["TagSet"] == [{"Key": "t", "Value": "1"}]

    def test_prefix_and_folders(self, s3, bucket):
        options = {"minio-snowball-prefix": "/p/q/", "minio-snowball-ignore-dirs": "true"}
        data = archive([("d/", None), ("./d/a", b"1")])
        s3.put_object(Bucket=bucket, Key="archive.tar", Body=data, Metadata=self.EXTRACT | options)
        assert keys(s3, bucket) == ["p/q/d/a"]

    def test_tricks_are_refused(self, s3, bucket):
        for number, bad in enumerate([("../up", b"x"), ("a/../../up", b"x"), ("link", "/etc/passwd"), ("k" * 1_025, b"x")]):
            data = archive([(f"before-{number}", b"1"), bad, (f"after-{number}", b"2")])
            put = {"Bucket": bucket, "Key": "archive.tar", "Body": data}
            with pytest.raises(s3.exceptions.ClientError) as caught:
                s3.put_object(**put, Metadata=self.EXTRACT)
            assert caught.value.response["Error"]["Code"] in ("InvalidRequest", "KeyTooLongError")
            assert keys(s3, bucket) == [f"before-{number}"]
            s3.put_object(**put, Metadata=self.EXTRACT | {"minio-snowball-ignore-errors": "true"})
            assert keys(s3, bucket) == [f"after-{number}", f"before-{number}"]
            for key in keys(s3, bucket):
                s3.delete_object(Bucket=bucket, Key=key)
        refused("InvalidRequest", s3.put_object, Bucket=bucket, Key="t", Body=b"x" * 2_000, Metadata=self.EXTRACT)
        whole = archive([("a", b"1" * 100_000)])
        refused("IncompleteBody", s3.put_object, Bucket=bucket, Key="t", Body=whole[:50_000], Metadata=self.EXTRACT)
        assert keys(s3, bucket) == []

    def test_each_entry_is_authorised(self, tenants, own_bucket):
        there = f"arn:aws:s3:::{own_bucket}"
        user = tenants.principals.user(allow("s3:PutObject", resource=[f"{there}/in/*", f"{there}/t.tar"]))
        put = {"Bucket": own_bucket, "Key": "t.tar", "Metadata": self.EXTRACT}
        user.client("s3").put_object(**put, Body=archive([("in/a", b"1")]))
        refused("AccessDenied", user.client("s3").put_object, **put, Body=archive([("in/b", b"1"), ("out", b"2")]))
        assert keys(tenants.owner.client("s3"), own_bucket) == ["in/a", "in/b", "k"]
