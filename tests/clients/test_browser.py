"""A browser: headless Chromium visits websites, fetches from buckets across origins, and uploads through a form.

js/browser.test.js has what it does; here its websites are made, and what it uploaded is looked at.
"""

import json
import os
import pathlib
import shutil
import tempfile

import pytest
from sites import let_everybody, make_site, sites_server  # noqa: F401 (a fixture)

SCRIPTS = pathlib.Path(__file__).parent / "js"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def chromium():
    """The browser. `make test-tools` installs it."""
    found = os.environ.get("CAIRN_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("there is no Chromium on this machine: install the package chromium, or set CAIRN_TEST_CHROMIUM")
    return found


def html(heading, more=""):
    return f"<!doctype html><title>{heading}</title><h1>{heading}</h1>{more}".encode()


def make_pages(site, other):
    site.configure(
        IndexDocument={"Suffix": "index.html"},
        ErrorDocument={"Key": "error.html"},
        RoutingRules=[
            {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
            {"Condition": {"KeyPrefixEquals": "elsewhere/"}, "Redirect": {"HostName": other.host}},
            {
                "Condition": {"KeyPrefixEquals": "app/", "HttpErrorCodeReturnedEquals": "404"},
                "Redirect": {"ReplaceKeyPrefixWith": "#!/"},
            },
        ],
    )
    script = "<p id=script></p><script>document.getElementById('script').textContent = 'scripts run'</script>"
    site.put("index.html", html("home", f"{script}<a id=photos href=photos>photos</a>"))
    site.put("photos/index.html", html("photos"))
    site.put("documents/a", html("document"))
    site.put("moved.html", WebsiteRedirectLocation="/documents/a")
    site.put("error.html", html("own error"))
    site.put("thanks.html", html("thanks"))
    form = "<form method=post enctype=multipart/form-data><input type=file name=file><button>upload</button></form>"
    site.put("form.html", html("form", form))
    site.put(f"/{other.host}/index.html", html("a folder called as a host"))
    other.configure(IndexDocument={"Suffix": "index.html"})
    other.put("elsewhere/x", html("elsewhere"))


def test_a_browser_visits_shares_and_uploads(chromium, sites_server, run, tmp_path):
    assert (SCRIPTS / "node_modules").is_dir(), f"run `npm ci` in {SCRIPTS}, or `make test-clients`"
    site, other, api = (make_site(sites_server) for _ in range(3))
    make_pages(site, other)
    rule = {
        "AllowedOrigins": [f"http://{site.host}"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["content-type", "x-amz-meta-*"],
        "ExposeHeaders": ["ETag"],
    }
    api.s3.put_bucket_cors(Bucket=api.bucket, CORSConfiguration={"CORSRules": [rule]})
    api.put("object", b"shared", ContentType="text/plain")
    # As the browser reaches the server: the client only signs, and connects to nothing.
    signer = sites_server.client(endpoint="http://s3.test", signature_version="s3v4")
    put = {"Bucket": api.bucket, "Key": "written", "ContentType": "text/plain", "Metadata": {"from": "page"}}
    thanks = f"http://{site.host}/thanks.html"
    conditions = [["starts-with", "$key", "uploads/"], {"success_action_redirect": thanks}]
    form = signer.generate_presigned_post(
        api.bucket, "uploads/${filename}", Fields={"success_action_redirect": thanks}, Conditions=conditions
    )
    (tmp_path / "photo of a cat.txt").write_text("meow")
    prepared = {
        "executable": chromium,
        "port": sites_server.port,
        "site": f"http://{site.host}",
        "other": f"http://{other.host}",
        "api": f"http://s3.test/{api.bucket}",
        "presigned": signer.generate_presigned_url("put_object", Params=put),
        "form": form,
        "folder": str(tmp_path),
    }
    # Chromium's socket lies in TMPDIR, and a socket's path has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="cairn-", dir="/tmp") as short:
        environment = {"CAIRN_BROWSER": json.dumps(prepared), "TMPDIR": short}
        run("node", "--test", "--test-reporter=spec", "browser.test.js", cwd=SCRIPTS, extra=environment)
    uploaded = api.s3.get_object(Bucket=api.bucket, Key="uploads/photo of a cat.txt")["Body"].read()
    assert uploaded == b"meow"
    written = api.s3.head_object(Bucket=api.bucket, Key="written")
    assert written["Metadata"] == {"from": "page"}
