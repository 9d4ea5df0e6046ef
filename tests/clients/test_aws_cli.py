"""AWS CLI, the `aws s3` commands: trees of ten thousand files and files of many parts, there and back."""

import os

import real_files
from real_files import MIB

TREE_FILES = 10_500
BIG_FILE_BYTES = 3_000_000_000 if os.environ.get("CAIRN_TEST_BIG") == "1" else 400 * MIB + 12_345


def test_a_tree_of_ten_thousand_files_comes_back_the_same(run, s3, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    real_files.copy_real_tree(source, TREE_FILES)

    run("aws", "s3", "sync", "--quiet", source, f"s3://{bucket}/tree")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    stored = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert len(stored) == TREE_FILES
    assert stored == sorted(stored, key=str.encode), "a listing is in the order of the keys' UTF-8 bytes"

    run("aws", "s3", "sync", "--quiet", f"s3://{bucket}/tree", back)
    real_files.assert_same_tree(source, back)

    # Sizes and times of the listing tell the client that nothing changed.
    assert run("aws", "s3", "sync", source, f"s3://{bucket}/tree") == ""


def test_sync_follows_changes_and_deletions(run, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    real_files.copy_real_tree(source, 60)
    run("aws", "s3", "sync", "--quiet", source, f"s3://{bucket}")

    files = sorted(path for path in source.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].write_text("changed, and of another length than before: " + "x" * 200_000)
    (source / "new file").write_text("new")
    done = run("aws", "s3", "sync", "--delete", "--no-progress", source, f"s3://{bucket}")
    assert (done.count("upload:"), done.count("delete:")) == (2, 1), done

    run("aws", "s3", "sync", "--quiet", f"s3://{bucket}", back)
    real_files.assert_same_tree(source, back)

    copied = run("aws", "s3", "sync", "--no-progress", f"s3://{bucket}", f"s3://{bucket}/copy")
    assert copied.count("copy:") == len(files)


def test_a_big_file_comes_back_the_same(run, s3, bucket, tmp_path, seed):
    source, back = tmp_path / "source.bin", tmp_path / "back.bin"
    digest = real_files.write_random_file(source, seed, BIG_FILE_BYTES)
    run("aws", "s3", "cp", "--quiet", source, f"s3://{bucket}/big.bin")
    source.unlink()

    head = s3.head_object(Bucket=bucket, Key="big.bin")
    assert head["ContentLength"] == BIG_FILE_BYTES
    assert "-" in head["ETag"], "it was uploaded in parts"

    run("aws", "s3", "cp", "--quiet", f"s3://{bucket}/big.bin", back)
    assert real_files.sha256_of(back) == digest
    back.unlink()

    run("aws", "s3", "cp", "--quiet", f"s3://{bucket}/big.bin", f"s3://{bucket}/copied.bin")
    run("aws", "s3", "cp", "--quiet", f"s3://{bucket}/copied.bin", back)
    assert real_files.sha256_of(back) == digest, "a copy by parts is the same"


def test_everyday_commands(run, s3, bucket_name, tmp_path):
    where = f"s3://{bucket_name}"
    assert f"make_bucket: {bucket_name}" in run("aws", "s3", "mb", where)
    assert bucket_name in run("aws", "s3", "ls")

    text = b"from standard input"
    run("aws", "s3", "cp", "-", f"{where}/a/one.txt", stdin=text)
    assert run("aws", "s3", "cp", f"{where}/a/one.txt", "-").encode() == text
    assert s3.head_object(Bucket=bucket_name, Key="a/one.txt")["ContentLength"] == len(text)

    (tmp_path / "page.html").write_text("<p>hello")
    run(
        "aws",
        "s3",
        "cp",
        "page.html",
        f"{where}/page.html",
        "--cache-control",
        "max-age=60",
        "--metadata",
        "colour=red",
    )
    head = s3.head_object(Bucket=bucket_name, Key="page.html")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
        "text/html",
        "max-age=60",
        {"colour": "red"},
    )

    run("aws", "s3", "mv", f"{where}/page.html", f"{where}/b/page.html")
    listed = run("aws", "s3", "ls", f"{where}/")
    assert "PRE a/" in listed and "PRE b/" in listed and "page.html" not in listed
    head = s3.head_object(Bucket=bucket_name, Key="b/page.html")
    assert head["Metadata"] == {"colour": "red"}, "a copy keeps its metadata"
    assert "Total Objects: 2" in run("aws", "s3", "ls", "--recursive", "--summarize", where)

    url = run("aws", "s3", "presign", f"{where}/a/one.txt", extra={"AWS_S3_SIGNATURE_VERSION": "s3v4"}).strip()
    assert bucket_name in url and "one.txt" in url

    assert "BucketNotEmpty" in run("aws", "s3", "rb", where, code=1)
    run("aws", "s3", "rm", "--quiet", f"{where}/a/one.txt")
    run("aws", "s3", "rb", "--force", where)
    assert bucket_name not in run("aws", "s3", "ls")
