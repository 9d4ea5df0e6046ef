"""The AWS SDK for JavaScript, version 3: js/client.test.js under Node's own test runner."""

import pathlib

SCRIPTS = pathlib.Path(__file__).parent / "js"


def test_sdk_for_javascript(run, server, bucket):
    assert (SCRIPTS / "node_modules").is_dir(), f"run `npm ci` in {SCRIPTS}, or `make test-clients`"
    target = {"CAIRN_ENDPOINT": server.endpoint, "CAIRN_BUCKET": bucket}
    run("node", "--test", "--test-reporter=spec", "client.test.js", cwd=SCRIPTS, extra=target)
