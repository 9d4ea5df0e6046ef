"""rclone: trees and large files, with and without parts, for each provider that a server of one's own may be."""

import email.header
import json

import pytest
import real_files
from real_files import MIB

IN_PARTS = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", "--s3-copy-cutoff", "8M")
IN_ONE_PIECE = ("--s3-upload-cutoff", "200M")


@pytest.fixture(params=["Other", "Minio", "AWS"])
def provider(request):
    """What rclone believes to speak to. For AWS it leaves bodies unsigned, and so wants TLS."""
    return request.param


@pytest.fixture
def transport(provider, server, request):
    """The endpoint, and the certificate to trust it by if there is one."""
    return request.getfixturevalue("tls") if provider == "AWS" else (server.endpoint, None)


@pytest.fixture
def s3(connect, transport):
    endpoint, certificate = transport
    return connect(endpoint, verify=certificate and str(certificate))


@pytest.fixture
def rclone(provider, transport, run, server, tmp_path):
    """rclone with a remote `cairn:`, its defaults and no retries."""
    endpoint, certificate = transport
    settings = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CACHE_DIR": str(tmp_path / "cache"),
        "RCLONE_RETRIES": "1",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
        "RCLONE_CONFIG_CAIRN_TYPE": "s3",
        "RCLONE_CONFIG_CAIRN_PROVIDER": provider,
        "RCLONE_CONFIG_CAIRN_ENDPOINT": endpoint,
        "RCLONE_CONFIG_CAIRN_REGION": "us-east-1",
        "RCLONE_CONFIG_CAIRN_FORCE_PATH_STYLE": "true",
        "RCLONE_CONFIG_CAIRN_ACCESS_KEY_ID": server.access_key,
        "RCLONE_CONFIG_CAIRN_SECRET_ACCESS_KEY": server.secret_key,
    }
    if certificate:
        settings["RCLONE_CA_CERT"] = str(certificate)
    (tmp_path / "rclone.conf").touch()
    return lambda *arguments, **options: run("rclone", *arguments, extra=settings, **options)


def test_a_tree(rclone, bucket_name, tmp_path):
    source, back, remote = tmp_path / "source", tmp_path / "back", f"cairn:{bucket_name}/tree"
    real_files.copy_real_tree(source, 600)
    rclone("mkdir", f"cairn:{bucket_name}")
    rclone("sync", source, remote)
    rclone("check", source, remote)
    rclone("check", "--download", source, remote)

    files = sorted(path for path in source.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].write_text("changed")
    (source / "späße + 100%.txt").write_text("new")
    rclone("sync", source, remote)
    rclone("check", source, remote)
    assert json.loads(rclone("size", "--json", remote))["count"] == len(files)
    rclone("sync", remote, back)
    real_files.assert_same_tree(source, back)
    # Modification times are metadata of the objects.
    listing = ("lsf", "--recursive", "--files-only", "--format", "pst")
    assert sorted(rclone(*listing, remote).splitlines()) == sorted(rclone(*listing, source).splitlines())
    folders = sorted(path.name for path in source.iterdir() if path.is_dir())
    assert rclone("lsf", "--dirs-only", remote).split() == [f"{name}/" for name in folders]

    rclone("purge", remote)
    rclone("rmdir", f"cairn:{bucket_name}")
    assert bucket_name not in rclone("lsd", "cairn:")


@pytest.mark.parametrize("pieces", [IN_PARTS, IN_ONE_PIECE], ids=["in-parts", "in-one-piece"])
def test_a_large_file(rclone, s3, bucket, tmp_path, seed, pieces):
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    digest = real_files.write_random_file(source / "large.bin", seed, 33 * MIB + 7)
    rclone("copy", *pieces, source, f"cairn:{bucket}")
    etag = s3.head_object(Bucket=bucket, Key="large.bin")["ETag"]
    assert ("-7" in etag) == (pieces == IN_PARTS), etag
    rclone("check", "--download", source, f"cairn:{bucket}")

    # Copies and moves within the server.
    rclone("copyto", *pieces, f"cairn:{bucket}/large.bin", f"cairn:{bucket}/copies/large.bin")
    rclone("moveto", *pieces, f"cairn:{bucket}/large.bin", f"cairn:{bucket}/moved/large.bin")
    for folder in ("copies", "moved"):
        rclone("copy", *pieces, f"cairn:{bucket}/{folder}", back / folder)
        assert real_files.sha256_of(back / folder / "large.bin") == digest
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == ["copies/large.bin", "moved/large.bin"]


def test_a_stream_of_unknown_length(rclone, bucket, seed):
    for size in (100, 12 * MIB):
        data = real_files.random_bytes(seed, size)
        rclone("rcat", *IN_PARTS, "--streaming-upload-cutoff", "1M", f"cairn:{bucket}/stream", stdin=data)
        listed = json.loads(rclone("lsjson", "--hash", f"cairn:{bucket}"))
        assert [(each["Path"], each["Size"]) for each in listed] == [("stream", size)]


def test_metadata_that_is_not_ascii(rclone, s3, bucket, tmp_path):
    """rclone sends UTF-8 as it is; S3 answers with it by RFC 2047."""
    (tmp_path / "file").write_text("x")
    rclone("copy", "--metadata", "--metadata-set", "comment=Grüße", tmp_path / "file", f"cairn:{bucket}")
    answer = s3.head_object(Bucket=bucket, Key="file")["Metadata"]["comment"]
    assert str(email.header.make_header(email.header.decode_header(answer))) == "Grüße"


def test_versions(rclone, s3, bucket, tmp_path):
    rclone("backend", "versioning", f"cairn:{bucket}", "Enabled")
    for content in ("one", "second"):
        (tmp_path / "file.txt").write_text(content)
        rclone("copy", tmp_path / "file.txt", f"cairn:{bucket}")
    rclone("deletefile", f"cairn:{bucket}/file.txt")
    assert rclone("lsf", f"cairn:{bucket}") == ""
    old = rclone("lsf", "--s3-versions", f"cairn:{bucket}").split()
    assert len(old) == 2
    assert rclone("cat", "--s3-versions", f"cairn:{bucket}") in ("onesecond", "secondone")
    rclone("backend", "cleanup-hidden", f"cairn:{bucket}")
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
