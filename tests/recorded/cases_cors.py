"""Replays of `cors.json`: the CORS configuration, preflights, and the headers that answers get.

Browsers do not sign, so the objects are public: buckets are put back to the time when lists were the rule.
"""

import http.client
import uuid
import xml.etree.ElementTree as ElementTree

from recorded.replay import case, xml_as_dict

SUITE = "TestS3Cors::"
ORIGIN = "https://localhost:4200"
BODY = b"test-cors"


def rule(origins=(ORIGIN,), methods=("GET", "PUT"), headers=("*",), max_age=3000, **more):
    one = {"AllowedOrigins": list(origins), "AllowedMethods": list(methods), **more}
    if headers:
        one["AllowedHeaders"] = list(headers)
    if max_age is not None:
        one["MaxAgeSeconds"] = max_age
    return {"CORSRules": [one]}


def configure(s, configuration):
    s.call(None, "put_bucket_cors", CORSConfiguration=configuration)


def public_object(s, key, bucket_acl=None):
    """A bucket with lists, and in it an object for everybody. The object's path."""
    s.call(None, "delete_bucket_ownership_controls")
    s.call(None, "delete_public_access_block")
    if bucket_acl:
        s.call(None, "put_bucket_acl", ACL=bucket_acl)
    s.call(None, "put_object", Key=key, Body=BODY, ACL="public-read")
    return f"/{s.bucket}/{key}"


def request(s, method, path, **headers):
    """An anonymous request, with `_` for `-` in the names of headers: status, headers, text."""
    connection = http.client.HTTPConnection("127.0.0.1", s.server.port, timeout=30)
    body = b"" if method == "PUT" else None
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, dict(response.getheaders()), text


def error(text):
    root = ElementTree.fromstring(text)
    return {root.tag: xml_as_dict(root)}


def whole(s, step, method, path, **headers):
    """Compares status, all headers and body. The names of headers are compared without their case."""
    status, got, text = request(s, method, path, **headers)
    names = {name.lower(): name for name in s.recorded[step]["Headers"]}
    named = {names.get(name.lower(), name.lower()): value for name, value in got.items()}
    body = error(text) if got.get("content-type") == "application/xml" and text else text
    s.compare(step, {"StatusCode": status, "Headers": named, "Body": body})


@case("cors", SUITE + "test_cors_http_options_no_config")
def _(s):
    path = public_object(s, "test-cors-options-no-config")
    asked = {"Origin": "whatever", "Access_Control_Request_Method": "PUT"}
    for step, headers, expected in (
        ("options-no-origin", {}, 400),
        ("options-with-origin-and-method", asked, 403),
        ("options-with-origin-no-method", {"Origin": "whatever"}, 403),
    ):
        status, _, text = request(s, "OPTIONS", path, **headers)
        assert status == expected
        s.compare(step, error(text))


@case("cors", SUITE + "test_cors_http_options_non_existent_bucket")
def _(s):
    path = f"/recorded-none-{uuid.uuid4().hex[:16]}/test-cors-options-no-bucket"
    for step, headers, expected in (
        ("options-no-origin", {}, 400),
        ("options-with-origin", {"Origin": "whatever"}, 403),
    ):
        status, _, text = request(s, "OPTIONS", path, **headers)
        assert status == expected
        s.compare(step, error(text))


@case("cors", SUITE + "test_cors_match_origins")
def _(s):
    path = public_object(s, "test-cors-123")
    put = {"Access_Control_Request_Method": "PUT"}
    configure(s, rule())
    whole(s, "opt-no-origin", "OPTIONS", path)
    whole(s, "get-no-origin", "GET", path)
    whole(s, "opt-referer", "OPTIONS", path, referer=ORIGIN, **put)
    whole(s, "get-referer", "GET", path, referer=ORIGIN)
    for name, origin in (("right", ORIGIN), ("wrong", "http://localhost:4200")):
        whole(s, f"opt-{name}-origin", "OPTIONS", path, Origin=origin, **put)
        whole(s, f"get-{name}-origin", "GET", path, Origin=origin)
    configure(s, rule(origins=["*"]))
    whole(s, "opt-random-wildcard-origin", "OPTIONS", path, Origin="http://random:1234", **put)
    whole(s, "get-random-wildcard-origin", "GET", path, Origin="http://random:1234")


@case("cors", SUITE + "test_cors_match_methods")
def _(s):
    path = public_object(s, "test-cors-method", "public-read-write")
    configure(s, rule(methods=["GET"]))
    whole(s, "opt-get", "OPTIONS", path, Origin=ORIGIN, Access_Control_Request_Method="GET")
    whole(s, "get-wrong-op", "GET", path, Origin=ORIGIN, Access_Control_Request_Method="PUT")
    whole(s, "get-op", "GET", path, Origin=ORIGIN)
    whole(s, "opt-put", "OPTIONS", path + "new", Origin=ORIGIN, Access_Control_Request_Method="PUT")
    whole(s, "put-op", "PUT", path + "new", Origin=ORIGIN)


@case("cors", SUITE + "test_cors_match_headers")
def _(s):
    path = public_object(s, "test-cors-method", "public-read-write")
    owner, payer, encryption = "x-amz-expected-bucket-owner", "x-amz-request-payer", "x-amz-server-side-encryption"

    def preflight(step, asked):
        whole(
            s,
            step,
            "OPTIONS",
            path,
            Origin=ORIGIN,
            Access_Control_Request_Method="GET",
            Access_Control_Request_Headers=asked,
        )

    configure(s, rule(methods=["GET"]))
    preflight("opt-get", payer)
    preflight("opt-get-two", f"{payer}, {owner}")
    whole(s, "get-op", "GET", path, Origin=ORIGIN, x_amz_request_payer="requester")
    allowed = [owner, "x-amz-server-side-encryption-customer-algorithm", "x-AMZ-server-SIDE-encryption"]
    configure(s, rule(methods=["GET"], headers=allowed))
    s.call("get-bucket-cors-casing", "get_bucket_cors")
    preflight("opt-get-non-allowed", payer)
    preflight("opt-get-allowed", owner)
    preflight("opt-get-allowed-diff-casing", f"x-AMZ-expected-BUCKET-owner, {encryption}")
    preflight("opt-get-allowed-no-space", f"{owner},{encryption}")
    whole(s, "get-non-allowed-with-acl", "GET", path, Origin=ORIGIN, Access_Control_Request_Headers=payer)
    whole(s, "get-non-allowed", "GET", path, Origin=ORIGIN, x_amz_request_payer="requester")


@case("cors", SUITE + "test_cors_expose_headers")
def _(s):
    path = public_object(s, "test-cors-expose", "public-read-write")
    exposed = ["x-amz-id-2", "x-amz-request-id", "x-amz-request-payer"]
    configure(s, rule(["*"], ["GET"], None, None, ExposeHeaders=exposed))
    whole(s, "opt-get", "OPTIONS", path, Origin="localhost:4566", Access_Control_Request_Method="GET")


@case("cors", SUITE + "test_put_cors_default_values")
def _(s):
    path = public_object(s, "test-cors-default", "public-read-write")
    configure(s, rule(["*"], ["GET"], None, None))
    asked = {"Origin": "localhost:4566", "Access_Control_Request_Method": "GET"}
    whole(s, "opt-get", "OPTIONS", path, **asked)
    whole(s, "opt-get-headers", "OPTIONS", path, Access_Control_Request_Headers="x-amz-request-payer", **asked)


@case("cors", SUITE + "test_cors_options_match_partial_origin")
def _(s):
    configure(s, rule(["http://*.origin.com"]))
    asked = {"Origin": "http://test.origin.com", "Access_Control_Request_Method": "PUT"}
    whole(s, "options_match_partial_origin", "OPTIONS", f"/{s.bucket}", **asked)


@case("cors", SUITE + "test_cors_options_fails_partial_origin")
def _(s):
    configure(s, rule(["http://*.origin.com"]))
    asked = {"Origin": "http://test.origin.net", "Access_Control_Request_Method": "GET"}
    whole(s, "options_fails_partial_origin", "OPTIONS", f"/{s.bucket}", **asked)


@case("cors", SUITE + "test_get_cors")
def _(s):
    s.call("get-cors-no-set", "get_bucket_cors")
    configure(s, rule(["*"], ["GET"], None, None))
    s.call("get-cors-after-set", "get_bucket_cors")


@case("cors", SUITE + "test_put_cors")
def _(s):
    origins = ["https://test.com", "https://app.test.com", "http://test.com:80"]
    headers = ["x-amz-expected-bucket-owner", "x-amz-server-side-encryption-customer-algorithm"]
    s.call("put-cors", "put_bucket_cors", CORSConfiguration=rule(origins, ["GET", "PUT", "HEAD"], headers))
    s.call("get-cors", "get_bucket_cors")


@case("cors", SUITE + "test_put_cors_invalid_rules")
def _(s):
    invalid = rule(["*", "https://test.com"], ["GET", "PUT", "HEAD", "MYMETHOD"], None, None)
    s.call("put-cors-exc", "put_bucket_cors", CORSConfiguration=invalid)
    s.call("put-cors-exc-empty", "put_bucket_cors", CORSConfiguration={"CORSRules": []})


@case("cors", SUITE + "test_put_cors_empty_origin")
def _(s):
    configure(s, rule([""], ["GET", "PUT", "HEAD"], None, None))
    s.call("get-cors-empty", "get_bucket_cors")


@case("cors", SUITE + "test_delete_cors")
def _(s):
    s.call("delete-cors-before-set", "delete_bucket_cors")
    s.call("put-cors", "put_bucket_cors", CORSConfiguration=rule(["*"], ["GET"], None, None))
    s.call("get-cors", "get_bucket_cors")
    s.call("delete-cors", "delete_bucket_cors")
    s.call("get-cors-deleted", "get_bucket_cors")
