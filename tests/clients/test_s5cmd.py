"""s5cmd: many requests at once, wildcards, deletion by the thousand."""

import pytest
import real_files
from real_files import MIB


@pytest.fixture
def s5cmd(run, server):
    settings = ("--retry-count", "0", "--endpoint-url", server.endpoint)
    return lambda *arguments, **options: run("s5cmd", *settings, *arguments, **options)


def test_a_tree(s5cmd, bucket_name, tmp_path, seed):
    source, back, where = tmp_path / "source", tmp_path / "back", f"s3://{bucket_name}"
    real_files.copy_real_tree(source, 1_500)
    real_files.write_random_file(source / "large.bin", seed, 40 * MIB)
    s5cmd("mb", where)
    assert where in s5cmd("ls")
    s5cmd("cp", "--part-size", "5", f"{source}/", f"{where}/tree/")
    s5cmd("sync", f"{where}/tree/*", f"{back}/")
    real_files.assert_same_tree(source, back)
    assert s5cmd("sync", "--size-only", f"{source}/", f"{where}/tree/") == ""

    s5cmd("cp", f"{where}/tree/large.bin", f"{where}/copy.bin")
    s5cmd("mv", f"{where}/copy.bin", f"{where}/moved.bin")
    assert "1501 objects" in s5cmd("du", f"{where}/tree/*")
    s5cmd("rm", f"{where}/*")
    s5cmd("rb", where)
    assert where not in s5cmd("ls")
