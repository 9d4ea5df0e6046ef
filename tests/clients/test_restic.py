"""restic: a backup's whole life, every byte read back."""

import pytest
import real_files


@pytest.fixture
def restic(run, server, bucket, tmp_path):
    """restic on a repository below a prefix, with its cache in the test's folder."""
    settings = {
        "RESTIC_REPOSITORY": f"s3:{server.endpoint}/{bucket}/backups/host",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        "RESTIC_PROGRESS_FPS": "0.01",
    }
    return lambda *arguments, **options: run("restic", *arguments, extra=settings, **options)


def test_backup_check_restore_forget(restic, s3, bucket, tmp_path, seed):
    source, back = tmp_path / "source", tmp_path / "back"
    real_files.copy_real_tree(source, 1_500)
    real_files.write_random_file(source / "large.bin", seed, 40 * real_files.MIB)

    restic("init")
    restic("backup", "source")
    restic("check", "--read-data")

    for path in sorted(source.rglob("*.html"))[:50]:
        path.unlink()
    real_files.write_random_file(source / "large.bin", seed + 1, 30 * real_files.MIB)
    restic("backup", "source")
    assert restic("snapshots").count(str(source)) == 2
    restic("restore", "latest", "--target", back)
    real_files.assert_same_tree(source, next(back.glob("**/source")))

    size = _stored_bytes(s3, bucket)
    restic("forget", "--keep-last", "1", "--prune")
    assert _stored_bytes(s3, bucket) < size - 30 * real_files.MIB, "pruning deletes what only the first backup held"
    restic("check", "--read-data")
    assert "Fatal" in restic("init", code=1), "a repository is not made twice"


def _stored_bytes(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", []))
