"""Keys of root and of accounts, changed where they stand and taken over at SIGHUP."""

import signal
import time

import pytest
from principals import Who, refused
from server_process import ServerProcess

DEADLINE_SECONDS = 10
ACCOUNT = "111122223333"


def table(key, secret):
    return f'[[account]]\nid = "{ACCOUNT}"\naccess_key_id = "{key}"\nsecret_access_key = "{secret}"\n'


def is_known(who):
    """Whether the credentials sign requests."""
    try:
        who.client("sts").get_caller_identity()
    except Exception as error:
        assert error.response["Error"]["Code"] in ("InvalidClientTokenId", "SignatureDoesNotMatch"), error
        return False
    return True


def hang_up_until(process, condition):
    """Sends SIGHUP once, and waits until the condition holds."""
    process.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, process.log_tail()
        time.sleep(0.01)


@pytest.fixture
def rotated(tmp_path):
    """A server whose keys stand in files, and those files."""
    secret, config = tmp_path / "secret", tmp_path / "config.toml"
    secret.write_text("first-secret-of-root\n")
    config.write_text(table("ACCOUNTKEY000000001", "first-secret-of-account"))
    process = ServerProcess(tmp_path / "data", tmp_path / "log", config=config)
    environment = process.environment
    process.environment = lambda: {
        name: value for name, value in environment().items() if name != "CAIRN_ROOT_SECRET_ACCESS_KEY"
    } | {"CAIRN_ROOT_SECRET_ACCESS_KEY_FILE": str(secret)}
    with process:
        yield process, secret, config


def test_roots_secret_is_rotated_without_a_restart(rotated):
    process, secret, _ = rotated
    old = Who(process.endpoint, process.access_key_id, "first-secret-of-root")
    new = Who(process.endpoint, process.access_key_id, "second-secret-of-root")
    s3 = old.client("s3")
    s3.create_bucket(Bucket="rotated")
    assert not is_known(new)
    secret.write_text("second-secret-of-root")
    assert is_known(old), "nothing changes before the signal"
    hang_up_until(process, lambda: is_known(new))
    refused("SignatureDoesNotMatch", s3.list_buckets)
    assert [bucket["Name"] for bucket in new.client("s3").list_buckets()["Buckets"]] == ["rotated"]


def test_an_accounts_key_is_rotated_without_a_restart(rotated):
    process, _, config = rotated
    old = Who(process.endpoint, "ACCOUNTKEY000000001", "first-secret-of-account")
    new = Who(process.endpoint, "ACCOUNTKEY000000002", "second-secret-of-account")
    user = old.client("iam")
    user.create_user(UserName="stays")
    config.write_text(table("ACCOUNTKEY000000002", "second-secret-of-account"))
    hang_up_until(process, lambda: is_known(new))
    refused("InvalidAccessKeyId", old.client("s3").list_buckets)
    assert [user["UserName"] for user in new.client("iam").list_users()["Users"]] == ["stays"]
    keys = new.client("iam").list_access_keys()["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in keys] == ["ACCOUNTKEY000000002"]


def test_what_cannot_be_used_changes_nothing(rotated):
    process, secret, config = rotated
    old = Who(process.endpoint, process.access_key_id, "first-secret-of-root")
    for text in ("short", "minioadmin"):
        secret.write_text(text)
        said = process.log.read_text().count("the access keys in use stay")
        hang_up_until(process, lambda: process.log.read_text().count("the access keys in use stay") > said)
        assert is_known(old)
    secret.write_text("second-secret-of-root")
    config.write_text("[[account]]\n")
    said = process.log.read_text().count("the access keys in use stay")
    hang_up_until(process, lambda: process.log.read_text().count("the access keys in use stay") > said)
    assert is_known(old)
    assert "second-secret-of-root" not in process.log.read_text()
    config.write_text("")
    new = Who(process.endpoint, process.access_key_id, "second-secret-of-root")
    hang_up_until(process, lambda: is_known(new))
    assert not is_known(Who(process.endpoint, "ACCOUNTKEY000000001", "first-secret-of-account"))
