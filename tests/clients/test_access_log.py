"""Server access logging: what is configured, what a line says, where lines go, and that none is lost by a crash."""

import json
import re
import time
import urllib.error
import urllib.request

import botocore.exceptions
import pytest
from principals import ROOT_ACCOUNT, Principals
from server_process import ServerProcess

LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
FIELDS = (
    "owner bucket time ip requester request_id operation key uri status error sent size total turn_around referer agent"
    " version host_id signature cipher auth host tls access_point acl region"
).split()
DEADLINE_SECONDS = 30


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A server that delivers every second."""
    folder = tmp_path_factory.mktemp("logged")
    with ServerProcess(
        folder / "data", folder / "server.log", env={"CAIRN_ACCESS_LOG_INTERVAL": "1s"}
    ) as process:
        yield process


class Source:
    """A bucket whose requests are logged into another."""

    def __init__(self, process, name, prefix="log/", **configuration):
        self.process, self.name, self.target, self.prefix = process, name, f"{name}-t", prefix
        self.principals = Principals(process.endpoint, process.access_key_id, process.secret_access_key)
        self.s3 = self.principals.root.client("s3")
        for bucket in (self.name, self.target):
            self.s3.create_bucket(Bucket=bucket)
        self.permit()
        self.put(**configuration)

    def permit(self, effect="Allow"):
        """Lets the log in, or not."""
        statement = {
            "Effect": effect,
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{self.target}/*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{self.name}"},
                "StringEquals": {"aws:SourceAccount": ROOT_ACCOUNT},
            },
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.s3.put_bucket_policy(Bucket=self.target, Policy=json.dumps(policy))

    def put(self, **configuration):
        enabled = {"TargetBucket": self.target, "TargetPrefix": self.prefix} | configuration
        self.s3.put_bucket_logging(Bucket=self.name, BucketLoggingStatus={"LoggingEnabled": enabled})

    def objects(self):
        """Keys and texts of the log so far."""
        listed = self.s3.list_objects_v2(Bucket=self.target).get("Contents", [])
        return {
            found["Key"]: self.s3.get_object(Bucket=self.target, Key=found["Key"])["Body"].read().decode()
            for found in listed
        }

    def lines(self, until):
        """The lines once `until` holds of them."""
        return self.poll(lambda: parsed(self.objects().values()), until)

    @staticmethod
    def poll(read, until):
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            found = read()
            if until(found):
                return found
            assert time.monotonic() < end, f"not in time: {found}"
            time.sleep(0.2)


def parsed(texts):
    """Lines as dictionaries, by Amazon's own pattern for a field."""
    lines = []
    for text in texts:
        assert text.endswith("\n")
        for line in text.splitlines():
            fields = re.findall(r'"[^"]*"|\[[^\]]*\]|\S+', line)
            assert len(fields) == len(FIELDS), line
            lines.append(dict(zip(FIELDS, fields)))
    return lines


def metric(process, name):
    with urllib.request.urlopen(f"{process.ops_endpoint}/metrics") as answer:
        text = answer.read().decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def test_a_line_says_what_happened(logged, bucket_name):
    source = Source(logged, bucket_name)
    s3, name = source.s3, source.name
    answers = {}

    def note(answer):
        answers[answer["ResponseMetadata"]["RequestId"]] = answer["ResponseMetadata"]
        return answer["ResponseMetadata"]["RequestId"]

    put = note(s3.put_object(Bucket=name, Key="a b/ü.txt", Body=b"0123456789"))
    got = s3.get_object(Bucket=name, Key="a b/ü.txt", Range="bytes=2-4")
    got["Body"].read()
    got = note(got)
    copied = note(s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "a b/ü.txt"}))
    with pytest.raises(botocore.exceptions.ClientError) as missing:
        s3.get_bucket_website(Bucket=name)
    missing = note(missing.value.response)
    many = note(s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "copy"}, {"Key": "none"}]}))
    url = f"{logged.endpoint}/{name}/a%20b/%C3%BC.txt?x-reason=quote%22d"
    request = urllib.request.Request(url, headers={"Referer": 'http://a/"x" y', "User-Agent": 'Mozilla "5.0"'})
    with pytest.raises(urllib.error.HTTPError) as denied:
        urllib.request.urlopen(request)
    denied = denied.value.headers["x-amz-request-id"]

    wanted = {put, got, copied, missing, many, denied}
    lines = source.lines(lambda lines: wanted <= {line["request_id"] for line in lines})
    by_id = {line["request_id"]: line for line in lines if "COPY.OBJECT_GET" not in line["operation"] and "BATCH" not in line["operation"]}
    owner = s3.list_buckets()["Owner"]["ID"]

    line = by_id[put]
    assert line["owner"] == line["requester"] == owner and line["bucket"] == name and line["ip"] == "127.0.0.1"
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", line["time"])
    assert (line["operation"], line["key"], line["status"]) == ("REST.PUT.OBJECT", "a%20b/%C3%BC.txt", "200")
    assert line["uri"] == f'"PUT /{name}/a%20b/%C3%BC.txt HTTP/1.1"'
    assert (line["error"], line["sent"], line["size"]) == ("-", "-", "10")
    assert (line["signature"], line["auth"], line["cipher"], line["tls"]) == ("SigV4", "AuthHeader", "-", "-")
    assert line["host"] == logged.endpoint.partition("://")[2] and "Boto3" in line["agent"] and line["referer"] == '"-"'
    assert line["host_id"] == answers[put]["HostId"] and int(line["total"]) >= int(line["turn_around"]) >= 0
    assert [line[field] for field in ("version", "access_point", "acl", "region")] == ["-"] * 4

    line = by_id[got]
    assert (line["operation"], line["status"], line["sent"], line["size"]) == ("REST.GET.OBJECT", "206", "3", "10")
    line = by_id[missing]
    assert (line["operation"], line["status"], line["error"], line["key"]) == (
        "REST.GET.WEBSITE", "404", "NoSuchWebsiteConfiguration", "-",
    )  # fmt: skip
    assert by_id[copied]["operation"] == "REST.COPY.OBJECT"
    (read,) = [line for line in lines if line["operation"] == "REST.COPY.OBJECT_GET"]
    assert (read["request_id"], read["key"]) == (copied, "a%20b/%C3%BC.txt")
    assert (by_id[many]["operation"], by_id[many]["key"]) == ("REST.POST.MULTI_OBJECT_DELETE", "-")
    batch = [line for line in lines if line["operation"] == "BATCH.DELETE.OBJECT"]
    assert [(line["request_id"], line["key"], line["status"]) for line in batch] == [(many, "copy", "204"), (many, "none", "204")]
    line = by_id[denied]
    assert (line["requester"], line["status"], line["error"]) == ("-", "403", "AccessDenied")
    assert (line["signature"], line["auth"]) == ("-", "-")
    assert (line["referer"], line["agent"]) == ('"http://a/%22x%22 y"', '"Mozilla %225.0%22"')
    assert metric(logged, "cairn_access_log_delivered_lines_total") >= len(lines)
    assert metric(logged, "cairn_access_log_dropped_lines_total") == 0


def test_users_presigned_urls_and_refused_signatures_are_told(logged, bucket_name):
    source = Source(logged, bucket_name)
    user = source.principals.user({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    user.client("s3").put_object(Bucket=source.name, Key="k", Body=b"1")
    url = source.s3.generate_presigned_url("get_object", {"Bucket": source.name, "Key": "k"})
    urllib.request.urlopen(url).read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url[:-1] + ("0" if url[-1] != "0" else "1"))
    lines = source.lines(lambda lines: len([line for line in lines if line["key"] == "k"]) >= 3)
    put, got, forged = [line for line in lines if line["key"] == "k"]
    assert put["requester"] == f"arn:aws:iam::{ROOT_ACCOUNT}:user/{user.name}"
    assert (got["auth"], got["status"]) == ("QueryString", "200")
    assert (forged["error"], forged["requester"]) == ("SignatureDoesNotMatch", "-")


def test_visits_of_a_website_are_told(tmp_path, bucket_name):
    arguments = ["--website-domain", "web.test"]
    env = {"CAIRN_ACCESS_LOG_INTERVAL": "1s"}
    with ServerProcess(tmp_path / "data", tmp_path / "log", extra_args=arguments, env=env) as process:
        source = Source(process, bucket_name)
        s3, host = source.s3, f"{bucket_name}.web.test"
        arn = f"arn:aws:s3:::{bucket_name}"
        grant = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
        s3.put_bucket_policy(Bucket=bucket_name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [grant]}))
        index = {"IndexDocument": {"Suffix": "index.html"}}
        s3.put_bucket_website(Bucket=bucket_name, WebsiteConfiguration=index)
        s3.put_object(Bucket=bucket_name, Key="docs/index.html", Body=b"<p>docs</p>")

        def visit(path, method="GET"):
            request = urllib.request.Request(process.endpoint + path, headers={"Host": host}, method=method)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.headers["x-amz-request-id"]
            except urllib.error.HTTPError as refused:
                return refused.headers["x-amz-request-id"]

        page, head, missing = visit("/docs/"), visit("/docs/index.html", "HEAD"), visit("/nothing%20here")
        lines = source.lines(lambda lines: {page, head, missing} <= {line["request_id"] for line in lines})
        of = lambda wanted: next(line for line in lines if line["request_id"] == wanted)  # noqa: E731
        line = of(page)
        assert (line["operation"], line["key"], line["status"]) == ("WEBSITE.GET.OBJECT", "docs/", "200")
        assert (line["uri"], line["host"], line["size"]) == ('"GET /docs/ HTTP/1.1"', host, "11")
        assert (line["requester"], line["signature"], line["auth"]) == ("-", "-", "-")
        assert (of(head)["operation"], of(head)["sent"]) == ("WEBSITE.HEAD.OBJECT", "-")
        line = of(missing)
        assert (line["operation"], line["key"], line["status"]) == ("WEBSITE.GET.OBJECT", "nothing%20here", "404")
        assert line["error"] == "NoSuchKey"


def test_acl_required_is_told_of_what_only_a_list_allows(logged, bucket_name):
    source = Source(logged, bucket_name)
    s3, name = source.s3, source.name
    s3.put_bucket_ownership_controls(
        Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    s3.put_object(Bucket=name, Key="public", Body=b"1", ACL="public-read")
    s3.put_object(Bucket=name, Key="private", Body=b"1")
    user = source.principals.user({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})

    def asked(url):
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.headers["x-amz-request-id"]
        except urllib.error.HTTPError as refused:
            return refused.headers["x-amz-request-id"]

    by_list, refused = asked(f"{logged.endpoint}/{name}/public"), asked(f"{logged.endpoint}/{name}/private")
    by_policy = user.client("s3").get_object(Bucket=name, Key="public")["ResponseMetadata"]["RequestId"]
    by_root = s3.get_object(Bucket=name, Key="private")["ResponseMetadata"]["RequestId"]
    wanted = [by_list, refused, by_policy, by_root]
    lines = source.lines(lambda lines: set(wanted) <= {line["request_id"] for line in lines})
    told = {line["request_id"]: (line["status"], line["acl"]) for line in lines}
    assert [told[one] for one in wanted] == [("200", "Yes"), ("403", "-"), ("200", "-"), ("200", "-")]


@pytest.mark.parametrize("date_source", ["DeliveryTime", "EventTime"])
def test_partitioned_keys(logged, bucket_name, date_source):
    format = {"PartitionedPrefix": {"PartitionDateSource": date_source}}
    source = Source(logged, bucket_name, prefix="p/", TargetObjectKeyFormat=format)
    enabled = source.s3.get_bucket_logging(Bucket=source.name)["LoggingEnabled"]
    assert enabled["TargetObjectKeyFormat"] == format
    keys = source.poll(source.objects, len)
    time_of_day = "00-00-00" if date_source == "EventTime" else r"\d\d-\d\d-\d\d"
    pattern = rf"p/{ROOT_ACCOUNT}/us-east-1/{source.name}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3-{time_of_day}-[0-9A-F]{{16}}"
    assert all(re.fullmatch(pattern, key) for key in keys), keys


def test_a_log_is_delivered_as_far_as_the_target_permits(logged, bucket_name):
    source = Source(logged, bucket_name)
    source.s3.head_bucket(Bucket=source.name)
    source.lines(len)
    refused = metric(logged, "cairn_access_log_refused_lines_total")
    source.permit("Deny")
    before = source.objects()
    source.s3.head_bucket(Bucket=source.name)
    source.poll(lambda: metric(logged, "cairn_access_log_refused_lines_total"), lambda now: now > refused)
    # Every line that was on its way when the policy changed has come by now.
    assert len(source.objects()) <= len(before) + 1
    source.s3.delete_bucket_policy(Bucket=source.target)
    source.s3.put_bucket_ownership_controls(
        Bucket=source.target, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    source.s3.put_bucket_acl(Bucket=source.target, ACL="log-delivery-write")
    owner = source.s3.list_buckets()["Owner"]["ID"]
    grant = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}, "Permission": "READ"}
    source.put(TargetGrants=[grant])
    source.s3.head_bucket(Bucket=source.name)

    def grants():
        """Of the new objects. The line of the configuration's own change may have gone by the one before."""
        new = sorted(set(source.objects()) - set(before))
        return [source.s3.get_object_acl(Bucket=source.target, Key=key)["Grants"] for key in new]

    found = source.poll(grants, lambda lists: any(len(granted) == 2 for granted in lists))
    granted = max(found, key=len)
    assert {(line["Grantee"].get("ID", line["Grantee"].get("URI")), line["Permission"]) for line in granted} == {
        (owner, "FULL_CONTROL"),
        (grant["Grantee"]["URI"], "READ"),
    }


def test_what_can_be_configured(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    target = f"{own_bucket}-t"
    s3.create_bucket(Bucket=target)
    tenants.other.client("s3").create_bucket(Bucket=f"{own_bucket}-o")

    def put(**enabled):
        status = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": ""} | enabled} if enabled else {}
        try:
            s3.put_bucket_logging(Bucket=own_bucket, BucketLoggingStatus=status)
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return s3.get_bucket_logging(Bucket=own_bucket).get("LoggingEnabled")

    # As recorded of Amazon: nothing is asked of permissions, and nothing added to what was put.
    assert put(TargetPrefix="log") == {"TargetBucket": target, "TargetPrefix": "log"}
    assert put(TargetBucket=own_bucket) == {"TargetBucket": own_bucket, "TargetPrefix": ""}
    simple = {"TargetObjectKeyFormat": {"SimplePrefix": {}}}
    assert put(**simple) == {"TargetBucket": target, "TargetPrefix": ""} | simple
    assert put(TargetBucket="no-such-bucket-of-ours") == "InvalidTargetBucketForLogging"
    assert put(TargetBucket=f"{own_bucket}-o") == "InvalidTargetBucketForLogging"
    assert put(TargetPrefix="p" * 1_000) == "InvalidArgument"
    grants = [{"Grantee": {"Type": "Group", "URI": LOG_DELIVERY}, "Permission": "WRITE"}]
    assert put(TargetGrants=grants) == "AccessControlListNotSupported"
    s3.delete_bucket_ownership_controls(Bucket=target)
    assert put(TargetGrants=grants) == {"TargetBucket": target, "TargetPrefix": "", "TargetGrants": grants}
    for body in ("<LoggingEnabled><TargetBucket/><TargetPrefix/></LoggingEnabled>",
                 f"<LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix/><TargetObjectKeyFormat/></LoggingEnabled>"):  # fmt: skip
        text = f'<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</BucketLoggingStatus>'
        answer = tenants.signed(tenants.owner, "PUT", f"/{own_bucket}?logging", (), text.encode())
        assert answer.code == "MalformedXML", answer
    assert put() is None


def test_a_crash_loses_no_line_that_was_kept(tmp_path, bucket_name):
    """What a second has passed since is delivered after kill -9, by a server that had no time to deliver before."""
    with ServerProcess(tmp_path / "data", tmp_path / "log", env={"CAIRN_ACCESS_LOG_INTERVAL": "1h"}) as process:
        source = Source(process, bucket_name)
        ids = {source.s3.put_object(Bucket=source.name, Key=f"k{number}", Body=b"1")["ResponseMetadata"]["RequestId"]
               for number in range(200)}  # fmt: skip
        staged = lambda: metric(process, "cairn_access_log_staged_lines_total")  # noqa: E731
        source.poll(staged, lambda lines: lines >= 200)
        process.kill9()
        process.extra_env["CAIRN_ACCESS_LOG_INTERVAL"] = "1s"
        process.start()
        lines = source.lines(lambda lines: ids <= {line["request_id"] for line in lines})
        assert len(lines) >= 200


def test_stopping_keeps_what_is_in_memory(tmp_path, bucket_name):
    with ServerProcess(tmp_path / "data", tmp_path / "log", env={"CAIRN_ACCESS_LOG_INTERVAL": "1h"}) as process:
        source = Source(process, bucket_name)
        ids = {source.s3.head_bucket(Bucket=source.name)["ResponseMetadata"]["RequestId"] for _ in range(20)}
        process.terminate()
        process.extra_env["CAIRN_ACCESS_LOG_INTERVAL"] = "1s"
        process.start()
        source.lines(lambda lines: ids <= {line["request_id"] for line in lines})
