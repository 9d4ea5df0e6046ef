"""Static websites: the configuration through boto3 and the AWS CLI, and what a visitor gets, byte by byte."""

import json
import pathlib
import socket
import subprocess
import sys
import urllib.request

import pytest
import urllib3
from botocore.exceptions import ClientError
from sites import MAPPED_BUCKET, MAPPED_HOST, SUFFIX, let_everybody, make_site, sites_server  # noqa: F401 (a fixture)

INDEX = {"IndexDocument": {"Suffix": "index.html"}}
ERROR = {"ErrorDocument": {"Key": "error.html"}}


@pytest.fixture
def site(sites_server):
    """A public website of this test's own."""
    site = make_site(sites_server)
    site.configure(**INDEX)
    return site


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]


def test_the_configuration_is_kept_as_it_was_put(sites_server):
    site = make_site(sites_server, public=False)
    none = refused(site.s3.get_bucket_website, Bucket=site.bucket)
    assert (none["Code"], none["BucketName"]) == ("NoSuchWebsiteConfiguration", site.bucket)
    rules = [
        {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": ""},
            "Redirect": {
                "HostName": "archive.test",
                "Protocol": "https",
                "ReplaceKeyWith": "gone.html",
                "HttpRedirectCode": "302",
            },
        },
        {"Redirect": {"HostName": "example.com"}},
    ]
    whole = INDEX | ERROR | {"RoutingRules": rules}
    everything = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    for configuration in (whole, everything, INDEX):
        site.configure(**configuration)
        answer = site.s3.get_bucket_website(Bucket=site.bucket)
        del answer["ResponseMetadata"]
        assert answer == configuration
    site.s3.delete_bucket_website(Bucket=site.bucket)
    site.s3.delete_bucket_website(Bucket=site.bucket)
    assert refused(site.s3.get_bucket_website, Bucket=site.bucket)["Code"] == "NoSuchWebsiteConfiguration"


@pytest.mark.parametrize(
    ("configuration", "code", "message"),
    [
        ({}, "InvalidArgument", "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"),
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument", "The IndexDocument Suffix is not well formed"),
        (
            INDEX | {"RedirectAllRequestsTo": {"HostName": "a.test"}},
            "InvalidArgument",
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
        ),
        (
            INDEX | {"RoutingRules": [{"Redirect": {"HostName": "a.test", "HttpRedirectCode": "300"}}]},
            "InvalidRequest",
            "The provided HTTP redirect code (300) is not valid. Valid codes are 3XX except 300.",
        ),
        (
            INDEX | {"RoutingRules": [{"Redirect": {"HostName": "a.test"}}] * 51},
            "InvalidRequest",
            "51 routing rules provided, the number of routing rules in a website configuration is limited to 50.",
        ),
        (INDEX | {"RoutingRules": [{"Redirect": {"HostName": "evil.test\r\nX: y"}}]}, "InvalidRequest", "HostName"),
    ],
)
def test_what_no_website_can_be_is_refused_in_amazons_words(site, configuration, code, message):
    error = refused(site.s3.put_bucket_website, Bucket=site.bucket, WebsiteConfiguration=configuration)
    assert (error["Code"], error["Message"][: len(message)]) == (code, message)


def test_pages_folders_and_heads(site):
    site.put("index.html", b"<h1>home</h1>", CacheControl="max-age=60", Metadata={"a": "b", "c": "=?UTF-8?B?w7w=?="})
    site.put("photos/index.html", b"photos")
    site.put("a b/\u00fc.txt", b"text", ContentType="text/plain")
    home = site.get("/")
    assert (home.status, home.data) == (200, b"<h1>home</h1>")
    assert home.headers["content-type"] == "text/html"
    assert home.headers["cache-control"] == "max-age=60"
    assert home.headers["x-amz-meta-a"] == "b"
    same = site.s3.head_object(Bucket=site.bucket, Key="index.html")
    assert home.headers["x-amz-meta-c"] == same["ResponseMetadata"]["HTTPHeaders"]["x-amz-meta-c"]
    assert home.headers["etag"] == same["ETag"]
    assert {"last-modified", "x-amz-request-id", "x-amz-id-2"} <= {name.lower() for name in home.headers}
    head = site.ask("HEAD", "/")
    assert (head.status, head.data, head.headers["content-length"]) == (200, b"", "13")
    assert site.get("/index.html?versionId=whatever&uploads").data == home.data
    assert site.get("/photos/").data == b"photos"
    assert site.location("/photos") == (302, "/photos/")
    assert site.location("/photos?page=2") == (302, "/photos/?page=2")
    assert site.ask("HEAD", "/photos").headers["location"] == "/photos/"
    assert site.get("/a%20b/%C3%BC.txt").data == b"text"
    missing = site.get("/missing")
    assert missing.status == 404
    assert missing.headers["content-type"] == "text/html; charset=utf-8"
    assert missing.headers["x-amz-error-code"] == "NoSuchKey"
    assert missing.headers["x-amz-error-message"] == "The specified key does not exist."
    assert missing.headers["x-amz-error-detail-key"] == "missing"
    ids = missing.headers["x-amz-request-id"], missing.headers["x-amz-id-2"]
    assert missing.data.decode() == (
        "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>\n"
        "<li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n<li>Key: missing</li>\n"
        f"<li>RequestId: {ids[0]}</li>\n<li>HostId: {ids[1]}</li>\n</ul>\n<hr/>\n</body>\n</html>\n"
    )
    assert site.ask("HEAD", "/missing").data == b""
    assert b"<li>Key: &lt;script&gt;</li>" in site.get("/%3Cscript%3E").data
    assert site.get("/%FF").status == 400
    assert site.get("/" + "k" * 1025).headers["x-amz-error-code"] == "KeyTooLongError"


def test_ranges_and_conditions(site):
    site.put("page", b"0123456789")
    whole = site.get("/page")
    part = site.get("/page", headers={"Range": "bytes=2-4"})
    assert (part.status, part.data, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert site.ask("HEAD", "/page", headers={"Range": "bytes=-3"}).status == 206
    assert site.get("/page", headers={"Range": "lines=1"}).status == 200
    beyond = site.get("/page", headers={"Range": "bytes=10-"})
    assert (beyond.status, beyond.headers["x-amz-error-code"]) == (416, "InvalidRange")
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    for same in ({"If-None-Match": etag}, {"If-Modified-Since": modified}, {"If-None-Match": f'"x", {etag}'}):
        answer = site.get("/page", headers=same)
        assert (answer.status, answer.data, answer.headers["etag"]) == (304, b"", etag)
    changed = site.get("/page", headers={"If-Match": '"other"'})
    assert (changed.status, changed.headers["x-amz-error-code"]) == (412, "PreconditionFailed")
    site.put("moved", WebsiteRedirectLocation="/page")
    for headers in ({"Range": "bytes=0-"}, {"If-Match": '"other"'}, {"If-None-Match": "*"}):
        assert site.location("/moved", headers=headers) == (301, "/page")


def test_a_large_page_is_streamed(site):
    body = bytes(range(256)) * 20_000
    site.put("large", body)
    assert site.get("/large").data == body
    assert site.get("/large", headers={"Range": "bytes=3000000-3000009"}).data == body[3_000_000:3_000_010]


def test_only_what_everybody_may_read_is_shown(sites_server):
    site = make_site(sites_server, listed=False)
    site.configure(**INDEX, **ERROR)
    site.put("folder/index.html", b"folder")
    # Whoever may not list learns not even that there is nothing.
    hidden = site.get("/missing")
    assert (hidden.status, hidden.headers["x-amz-error-code"]) == (403, "AccessDenied")
    assert b"<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>" in hidden.data
    assert site.location("/folder") == (302, "/folder/")
    site.put("error.html", b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
    own = site.get("/missing")
    assert (own.status, own.data) == (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
    let_everybody(site.s3, site.bucket, "s3:ListBucket")
    own = site.get("/missing")
    assert (own.status, own.headers["content-type"]) == (404, "text/html")
    assert (own.headers["x-amz-error-code"], "etag" in own.headers) == ("NoSuchKey", True)
    assert site.ask("HEAD", "/missing").status == 404
    assert site.get("/missing", headers={"Range": "bytes=0-1", "If-None-Match": "*"}).data == own.data
    site.s3.delete_bucket_policy(Bucket=site.bucket)
    for path in ("/", "/folder", "/folder/", "/missing"):
        private = site.get(path)
        assert (private.status, private.headers["x-amz-error-code"]) == (403, "AccessDenied"), path
    # A signature opens nothing that everybody may not see.
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=0"}
    assert site.get("/folder/", headers=signed).status == 403


def test_routing_rules_and_objects_that_redirect(site):
    site.put("error.html", b"own error")
    site.configure(
        **INDEX,
        **ERROR,
        RoutingRules=[
            {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
            {"Condition": {"KeyPrefixEquals": "old.html"}, "Redirect": {"ReplaceKeyWith": "new.html", "HttpRedirectCode": "307"}},
            {
                "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "app/"},
                "Redirect": {"ReplaceKeyPrefixWith": "#!/", "HttpRedirectCode": "302"},
            },
            {
                "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "x"},
                "Redirect": {"HostName": "archive.test", "Protocol": "https"},
            },
        ],
    )
    site.put("app/there", b"there")
    own = f"http://{site.host}"
    assert site.location("/docs/a%20b?c=d") == (301, f"{own}/documents/a%20b?c=d")
    assert site.location("/old.html") == (307, f"{own}/new.html")
    assert site.location("/app/view") == (302, f"{own}/#!/view")
    assert site.get("/app/there").data == b"there"
    assert site.location("/xyz") == (301, "https://archive.test/xyz")
    assert site.location("/docs", headers={"X-Forwarded-Host": "evil.test"}) == (404, None)
    assert (site.get("/other").status, site.get("/other").data) == (404, b"own error")
    site.put("moved.html", b"content", WebsiteRedirectLocation="https://other.test/a?b#c")
    assert site.location("/moved.html") == (301, "https://other.test/a?b#c")
    answer = site.s3.get_object(Bucket=site.bucket, Key="moved.html")
    assert (answer["Body"].read(), answer["WebsiteRedirectLocation"]) == (b"content", "https://other.test/a?b#c")
    site.configure(RedirectAllRequestsTo={"HostName": "www.example.com"})
    assert site.location("/a/b?c") == (301, "http://www.example.com/a/b?c")
    assert site.location("/") == (301, "http://www.example.com/")
    assert site.location("//evil.test") == (301, "http://www.example.com//evil.test")


def test_where_objects_redirect_to_is_said_by_every_way_to_write_them(site):
    s3, bucket = site.s3, site.bucket
    to = {"WebsiteRedirectLocation": "/target"}

    def location(key):
        return s3.head_object(Bucket=bucket, Key=key).get("WebsiteRedirectLocation")

    site.put("put", **to)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **to)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    source = {"Bucket": bucket, "Key": "put"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **to)
    s3.copy_object(Bucket=bucket, Key="plain-copy", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="replaced", CopySource=source, MetadataDirective="REPLACE", **to)
    fields = {"x-amz-website-redirect-location": "/target"}
    signer = site.server.client(signature_version="s3v4")
    form = signer.generate_presigned_post(bucket, "form", Fields=fields, Conditions=[fields])
    assert site._pool.request("POST", f"/{bucket}", fields={**form["fields"], "file": "x"}).status == 204
    for key in ("put", "parts", "copy", "replaced", "form"):
        assert location(key) == "/target", key
        assert site.location(f"/{key}") == (301, "/target"), key
    # As on Amazon, a copy does not inherit it.
    assert (location("plain-copy"), site.get("/plain-copy").status) == (None, 200)
    for bad in ("target", "javascript:alert(1)", "/" + "x" * 2048):
        assert refused(s3.put_object, Bucket=bucket, Key="k", WebsiteRedirectLocation=bad)["Code"] == "InvalidRedirectLocation"
        error = refused(s3.create_multipart_upload, Bucket=bucket, Key="k", WebsiteRedirectLocation=bad)
        assert error["Code"] == "InvalidRedirectLocation"
        error = refused(s3.copy_object, Bucket=bucket, Key="k", CopySource=source, WebsiteRedirectLocation=bad)
        assert error["Code"] == "InvalidRedirectLocation"


def raw(port, request):
    """Sends bytes, and reads until the server has closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("key", "target", "location"),
    [
        ("/evil.test", "//evil.test", "/%2Fevil.test/"),
        ("//evil.test/x", "///evil.test/x", "/%2F%2Fevil.test/x/"),
        ("\\evil.test", "/%5Cevil.test", "/%5Cevil.test/"),
        ("a\r\nSet-Cookie: b", "/a%0D%0ASet-Cookie:%20b", "/a%0D%0ASet-Cookie:%20b/"),
    ],
)
def test_paths_redirect_nowhere_else(site, key, target, location):
    site.s3.put_object(Bucket=site.bucket, Key=f"{key}/index.html", Body=b"x")
    request = f"GET {target} HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n\r\n"
    head = raw(site.server.port, request.encode()).split(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    assert head[0].startswith("http/1.1 302")
    assert f"location: {location.lower()}" in head
    assert not any(line.startswith("set-cookie") for line in head)


def test_other_methods_and_nobodys_hosts(site):
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        answer = site.ask(method, "/page", body=b"data" if method != "DELETE" else None)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), method
        assert answer.headers["x-amz-error-code"] == "MethodNotAllowed"
        assert f"<li>Method: {method}</li>".encode() in answer.data
    nobody = site.get("/", host=f"no-such-bucket-here.{SUFFIX}")
    assert (nobody.status, nobody.headers["x-amz-error-code"]) == (404, "NoSuchBucket")
    site.s3.delete_bucket_website(Bucket=site.bucket)
    none = site.get("/")
    assert (none.status, none.headers["x-amz-error-code"]) == (404, "NoSuchWebsiteConfiguration")
    assert none.headers["x-amz-error-detail-bucketname"] == site.bucket


def test_hosts_of_websites_and_hosts_of_s3(sites_server, site):
    own = make_site(sites_server, name="www.own-domain.test")
    mapped = make_site(sites_server, name=MAPPED_BUCKET)
    for each in (site, own, mapped):
        each.configure(**INDEX)
        each.put("index.html", each.bucket.encode())
    listener = type(site)(sites_server, site.s3, site.bucket)
    listener._pool = urllib3.HTTPConnectionPool("127.0.0.1", sites_server.site_port, retries=False)
    for host, name in (
        (site.host, site.bucket),
        (site.host.upper(), site.bucket),
        (f"{site.host}:8080", site.bucket),
        (MAPPED_HOST, MAPPED_BUCKET),
    ):
        assert site.get("/", host=host).data == name.encode(), host
        assert listener.get("/", host=host).data == name.encode(), host
    # A bucket's name alone is a website only where nothing else is served: on the S3 listener it is path-style.
    assert listener.get("/", host="www.own-domain.test").data == b"www.own-domain.test"
    assert site.get("/", host="www.own-domain.test").status == 403
    assert listener.get("/_health/ready", host="127.0.0.1").status == 404
    for host, status in ((f"127.0.0.1:{sites_server.site_port}", 404), (site.host, 405)):
        assert listener.ask("PUT", f"/{site.bucket}/k", host=host, body=b"x").status == status, host
    keys = [entry["Key"] for entry in site.s3.list_objects_v2(Bucket=site.bucket)["Contents"]]
    assert keys == ["index.html"], "nothing is written through a website's listener"
    assert site.get("/index.html", host=f"{site.bucket}.s3.test").data == site.bucket.encode()
    assert site.get("/_health/ready", host="127.0.0.1").status == 200
    assert site.get("/_health/ready").headers["x-amz-error-code"] == "NoSuchKey"


def test_pages_are_shared_with_other_origins_as_objects_are(site):
    rule = {"AllowedOrigins": ["https://page.test"], "AllowedMethods": ["GET"], "ExposeHeaders": ["ETag"]}
    site.s3.put_bucket_cors(Bucket=site.bucket, CORSConfiguration={"CORSRules": [rule]})
    site.put("index.html", b"x")
    for path, status in (("/", 200), ("/missing", 404)):
        answer = site.get(path, headers={"Origin": "https://page.test"})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "https://page.test")
        assert answer.headers["access-control-expose-headers"] == "ETag"
        other = site.get(path, headers={"Origin": "https://other.test"})
        assert "access-control-allow-origin" not in other.headers
    asked = {"Origin": "https://page.test", "Access-Control-Request-Method": "GET"}
    assert site.ask("OPTIONS", "/", headers=asked).status == 200
    assert site.ask("OPTIONS", "/", headers=asked | {"Access-Control-Request-Method": "PUT"}).status == 403


def test_visits_are_counted_and_audited(sites_server, site):
    site.put("seen", b"x")
    assert site.get("/seen").status == 200
    metrics = urllib.request.urlopen(f"{sites_server.ops_endpoint}/metrics").read().decode()
    assert 'operation="WebsiteGet"' in metrics
    arn = f"arn:aws:s3:::{site.bucket}/seen"
    lines = map(json.loads, pathlib.Path(sites_server.extra_env["CAIRN_AUDIT_LOG"]).read_text().splitlines())
    line = next(line for line in lines if line.get("resource") == arn and line["operation"] == "WebsiteGet")
    assert (line["action"], line["decision"], line["status"]) == ("s3:GetObject", "allowed", 200)


def test_the_aws_cli_makes_a_website(sites_server, site, environment, tmp_path):
    env = environment | {
        "AWS_ENDPOINT_URL_S3": sites_server.endpoint,
        "AWS_ACCESS_KEY_ID": sites_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": sites_server.secret_access_key,
    }
    aws = pathlib.Path(sys.executable).parent / "aws"

    def run(*arguments):
        done = subprocess.run([aws, *arguments], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "start.html").write_text("<p>start</p>")
    (tmp_path / "pages" / "oops.html").write_text("<p>oops</p>")
    run("s3", "sync", str(tmp_path / "pages"), f"s3://{site.bucket}")
    run("s3", "website", f"s3://{site.bucket}", "--index-document", "start.html", "--error-document", "oops.html")
    shown = json.loads(run("s3api", "get-bucket-website", "--bucket", site.bucket))
    assert shown == {"IndexDocument": {"Suffix": "start.html"}, "ErrorDocument": {"Key": "oops.html"}}
    assert site.get("/").data == b"<p>start</p>"
    assert (site.get("/nowhere").status, site.get("/nowhere").data) == (404, b"<p>oops</p>")
    run("s3api", "delete-bucket-website", "--bucket", site.bucket)
    assert site.get("/").status == 404
