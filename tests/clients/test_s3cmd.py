"""s3cmd: its own signatures and its own XML, through its everyday commands."""

import pytest
import real_files
from real_files import MIB


@pytest.fixture
def s3cmd(run, server, tmp_path):
    """s3cmd with a configuration as `s3cmd --configure` writes it for a server of one's own."""
    configuration = tmp_path / "s3cmd.cfg"
    lines = {
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "host_base": server.host,
        "host_bucket": server.host,
        "use_https": "False",
        "bucket_location": "US",
        "max_retries": "1",
        "progress_meter": "False",
    }
    configuration.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))
    return lambda *arguments, **options: run("s3cmd", "-c", configuration, *arguments, **options)


def test_everyday_commands(s3cmd, s3, bucket_name, tmp_path):
    where = f"s3://{bucket_name}"
    s3cmd("mb", where)
    assert where in s3cmd("ls")

    (tmp_path / "one two.txt").write_text("content")
    s3cmd("put", "--add-header", "x-amz-meta-colour: red", "one two.txt", f"{where}/folder/")
    head = s3.head_object(Bucket=bucket_name, Key="folder/one two.txt")
    assert head["Metadata"]["colour"] == "red" and head["ContentType"] == "text/plain"
    s3cmd("get", f"{where}/folder/one two.txt", "back.txt")
    assert (tmp_path / "back.txt").read_text() == "content"
    assert "DIR" in s3cmd("ls", where) and "one two.txt" in s3cmd("ls", "--recursive", where)
    assert where in s3cmd("la")

    s3cmd("cp", f"{where}/folder/one two.txt", f"{where}/copy+ü.txt")
    assert s3.head_object(Bucket=bucket_name, Key="copy+ü.txt")["Metadata"]["colour"] == "red"
    s3cmd("mv", f"{where}/copy+ü.txt", f"{where}/moved.txt")
    listed = s3.list_objects_v2(Bucket=bucket_name)["Contents"]
    assert [each["Key"] for each in listed] == ["folder/one two.txt", "moved.txt"]
    assert s3cmd("du", where).split()[:2] == ["14", "2"]

    s3cmd("put", "-", f"{where}/stdin", stdin=b"from standard input")
    assert s3cmd("get", "--quiet", f"{where}/stdin", "-").encode() == b"from standard input"

    s3cmd("rb", where, code=13)
    s3cmd("del", f"{where}/moved.txt")
    s3cmd("del", "--recursive", "--force", where)
    s3cmd("rb", where)
    assert where not in s3cmd("ls")


def test_parts(s3cmd, s3, bucket, tmp_path, seed):
    digest = real_files.write_random_file(tmp_path / "large.bin", seed, 23 * MIB)
    s3cmd("put", "--multipart-chunk-size-mb", "5", "large.bin", f"s3://{bucket}/large.bin")
    assert s3.head_object(Bucket=bucket, Key="large.bin")["ETag"].endswith('-5"')
    s3cmd("get", f"s3://{bucket}/large.bin", "back.bin")
    assert real_files.sha256_of(tmp_path / "back.bin") == digest
    s3cmd("cp", "--multipart-chunk-size-mb", "5", f"s3://{bucket}/large.bin", f"s3://{bucket}/copy.bin")
    s3cmd("get", f"s3://{bucket}/copy.bin", "copy.bin")
    assert real_files.sha256_of(tmp_path / "copy.bin") == digest

    upload = s3.create_multipart_upload(Bucket=bucket, Key="unfinished")["UploadId"]
    assert upload in s3cmd("multipart", f"s3://{bucket}")
    s3cmd("abortmp", f"s3://{bucket}/unfinished", upload)
    assert upload not in s3cmd("multipart", f"s3://{bucket}")


def test_sync(s3cmd, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    back.mkdir()
    real_files.copy_real_tree(source, 200)
    s3cmd("sync", f"{source}/", f"s3://{bucket}/tree/")
    s3cmd("sync", f"s3://{bucket}/tree/", f"{back}/")
    real_files.assert_same_tree(source, back)

    files = sorted(path for path in source.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].write_text("changed " * 10)
    done = s3cmd("sync", "--delete-removed", f"{source}/", f"s3://{bucket}/tree/")
    assert done.count("upload:") == 1 and done.count("delete:") == 1, done
    s3cmd("sync", "--delete-removed", f"s3://{bucket}/tree/", f"{back}/")
    real_files.assert_same_tree(source, back)
