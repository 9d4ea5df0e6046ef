"""minio-py: its own SDK dialect, with compose, tags, versions and URLs."""

import datetime
import io

import minio
import minio.commonconfig
import minio.deleteobjects
import minio.error
import minio.versioningconfig
import pytest
import real_files
import urllib3
from real_files import MIB


@pytest.fixture
def client(server):
    pool = urllib3.PoolManager(retries=False)
    return minio.Minio(server.host, server.access_key, server.secret_key, secure=False, http_client=pool)


def test_objects(client, bucket_name, tmp_path, seed):
    client.make_bucket(bucket_name)
    assert client.bucket_exists(bucket_name) and not client.bucket_exists(f"{bucket_name}-absent")
    small, large = real_files.random_bytes(seed, 1_000), real_files.random_bytes(seed + 1, 12 * MIB)
    client.put_object(bucket_name, "folder/small", io.BytesIO(small), len(small), metadata={"colour": "red"})
    # Of unknown length: minio-py collects parts.
    client.put_object(bucket_name, "folder/large", io.BytesIO(large), -1, part_size=5 * MIB)
    stat = client.stat_object(bucket_name, "folder/small")
    assert stat.size == 1_000 and stat.metadata["x-amz-meta-colour"] == "red"
    assert client.stat_object(bucket_name, "folder/large").etag.endswith("-3")
    for name, content in (("folder/small", small), ("folder/large", large)):
        assert _read(client.get_object(bucket_name, name)) == content
    part = client.get_object(bucket_name, "folder/large", offset=5 * MIB - 3, length=7)
    assert _read(part) == large[5 * MIB - 3 :][:7]

    (tmp_path / "file").write_bytes(large)
    client.fput_object(bucket_name, "file", str(tmp_path / "file"))
    client.fget_object(bucket_name, "file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large
    assert [each.object_name for each in client.list_objects(bucket_name)] == ["file", "folder/"]
    below = client.list_objects(bucket_name, recursive=True)
    assert [each.object_name for each in below] == ["file", "folder/large", "folder/small"]

    with pytest.raises(minio.error.S3Error) as refused:
        client.get_object(bucket_name, "absent")
    assert refused.value.code == "NoSuchKey"
    gone = [minio.deleteobjects.DeleteObject(name) for name in ("file", "folder/large", "folder/small")]
    assert list(client.remove_objects(bucket_name, gone)) == []
    client.remove_bucket(bucket_name)


def test_copy_and_compose(client, bucket, seed):
    first, second = real_files.random_bytes(seed, 6 * MIB), real_files.random_bytes(seed + 1, 100)
    client.put_object(bucket, "first", io.BytesIO(first), len(first))
    client.put_object(bucket, "second", io.BytesIO(second), len(second))
    client.copy_object(bucket, "copy", minio.commonconfig.CopySource(bucket, "second"))
    assert _read(client.get_object(bucket, "copy")) == second
    sources = [minio.commonconfig.ComposeSource(bucket, name) for name in ("first", "second")]
    client.compose_object(bucket, "both", sources)
    assert _read(client.get_object(bucket, "both")) == first + second


def test_tags_versions_urls(client, bucket):
    tags = minio.commonconfig.Tags.new_object_tags()
    tags["project"] = "cairn"
    client.set_bucket_versioning(bucket, minio.versioningconfig.VersioningConfig(minio.commonconfig.ENABLED))
    one = client.put_object(bucket, "key", io.BytesIO(b"one"), 3, tags=tags)
    client.put_object(bucket, "key", io.BytesIO(b"two"), 3)
    assert client.get_object_tags(bucket, "key", version_id=one.version_id) == tags
    assert client.get_object_tags(bucket, "key") is None
    assert _read(client.get_object(bucket, "key", version_id=one.version_id)) == b"one"
    versions = list(client.list_objects(bucket, include_version=True))
    assert [each.is_latest for each in versions] in (["true", "false"], [True, False])

    hour = datetime.timedelta(hours=1)
    assert urllib3.request("GET", client.presigned_get_object(bucket, "key", expires=hour)).data == b"two"
    url = client.presigned_put_object(bucket, "put", expires=hour)
    assert urllib3.request("PUT", url, body=b"three").status == 200
    assert _read(client.get_object(bucket, "put")) == b"three"


def _read(answer):
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()
