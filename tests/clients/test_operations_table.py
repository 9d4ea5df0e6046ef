"""The README's table of operations, compared with the running server: every operation of S3's API, as botocore's own
model of it has them, is asked for with a request that is valid and as small as can be."""

import hashlib
import http.client
import pathlib
import re
import urllib.parse

import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import pytest
from tenants import OWNER
from wire import signer

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
ACTS, ANSWERS, REFUSES = "does what", "answers as", "refuses with"

# Older names for the same requests; the README says so.
SUPERSEDED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}

# What is in the table and not in botocore's model of S3: a form, s3control's, and an extension of MinIO's.
BESIDE = {
    "PostObject",
    "GetAccountPublicAccessBlock",
    "PutAccountPublicAccessBlock",
    "DeleteAccountPublicAccessBlock",
    "ListenBucketNotification",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
}

# Codes of requests that are not valid: no operation that acts or answers may say these of what is asked here.
COMPLAINTS = {
    "AccessDenied", "InternalError", "InvalidArgument", "InvalidRequest", "MalformedACLError", "MalformedPolicy",
    "MalformedXML", "MethodNotAllowed", "MissingSecurityHeader", "NotImplemented", "SignatureDoesNotMatch",
    "UnexpectedContent", "400", "403", "405", "500", "501",
}  # fmt: skip

# What a feature answers that is not used: the code of the error, or what the answer says.
UNUSED = {
    "GetBucketAccelerateConfiguration": {},
    "GetBucketAnalyticsConfiguration": "NoSuchConfiguration",
    "GetBucketIntelligentTieringConfiguration": "NoSuchConfiguration",
    "GetBucketInventoryConfiguration": "NoSuchConfiguration",
    "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "NoSuchConfiguration",
    "GetBucketNotificationConfiguration": {},
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
    "GetBucketRequestPayment": {"Payer": "BucketOwner"},
    "GetBucketWebsite": "NoSuchWebsiteConfiguration",
    "ListBucketAnalyticsConfigurations": {"IsTruncated": False},
    "ListBucketIntelligentTieringConfigurations": {"IsTruncated": False},
    "ListBucketInventoryConfigurations": {"IsTruncated": False},
    "ListBucketMetricsConfigurations": {"IsTruncated": False},
    "PutBucketAccelerateConfiguration": {},
    "PutBucketRequestPayment": {},
}

# Operations that need a keyring; tests of encryption ask them of a server that has one.
WITH_KEYS = {"PutBucketEncryption", "UpdateObjectEncryption"}

# Operations on a bucket that can lock.
LOCKING = {
    "GetObjectLegalHold", "GetObjectRetention", "PutObjectLegalHold", "PutObjectLockConfiguration", "PutObjectRetention",
}  # fmt: skip

# Parameters where what the model requires is not yet a valid request.
PARAMETERS = {
    "CompleteMultipartUpload": {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "{etag}"}]}},
    "CopyObject": {"Key": "copy"},
    "CreateBucket": {"Bucket": "{bucket}-new"},
    "DeleteBucket": {"Bucket": "{empty}"},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "gone"}]}},
    "GetObjectAttributes": {"ObjectAttributes": ["ETag"]},
    "PutBucketAbac": {"AbacStatus": {"Status": "Disabled"}},
    "PutBucketAccelerateConfiguration": {"AccelerateConfiguration": {"Status": "Suspended"}},
    "PutBucketAcl": {"ACL": "private"},
    "PutBucketCors": {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
    "PutBucketLifecycleConfiguration": {
        "LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 9}}]}
    },
    "PutBucketEncryption": {
        "ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    },
    "PutBucketOwnershipControls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    "PutBucketPolicy": {
        "Policy": '{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"' + OWNER + '"}},'
        '"Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}]}}'
    },
    "PutBucketRequestPayment": {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
    "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "PutBucketWebsite": {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}},
    "PutObjectAcl": {"ACL": "private"},
    "PutObjectLegalHold": {"LegalHold": {"Status": "OFF"}},
    "PutObjectLockConfiguration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    "PutObjectRetention": {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": 2_000_000_000}},
    "PutObjectAnnotation": {"AnnotationPayload": b"{}"},
    "RestoreObject": {"RestoreRequest": {"Days": 1}},
    "RenameObject": {"Key": "renamed", "RenameSource": "k"},
    "UpdateObjectEncryption": {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"}}},
    "UploadPart": {"Body": b"data"},
}


def table():
    """The README's rows: operation -> what the server does with it."""
    rows = re.findall(rf"^\| ({ACTS}|{ANSWERS}|{REFUSES})[^|]*\|([^|]*)\|$", README.read_text(), re.MULTILINE)
    named = [(name, kind) for kind, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert len(named) == len(dict(named)), "an operation is named twice"
    return dict(named)


@pytest.fixture(scope="module")
def client(tenants):
    """boto3 that sends whatever it is told, to this server."""
    config = botocore.config.Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        inject_host_prefix=False,
        signature_version="s3v4",
        parameter_validation=True,
        read_timeout=20,
    )
    who = tenants.owner
    return boto3.client(
        "s3",
        endpoint_url=who.endpoint,
        region_name="us-east-1",
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
        config=config,
    )


MODEL = botocore.session.get_session().get_service_model("s3")


def test_the_table_has_every_operation():
    of_s3 = set(MODEL.operation_names)
    assert len(of_s3) > 100
    assert set(table()) == (of_s3 - set(SUPERSEDED)) | BESIDE
    assert set(SUPERSEDED.values()) <= set(table())
    unused = {name for name, kind in table().items() if kind == ANSWERS}
    assert unused and unused <= set(UNUSED), unused - set(UNUSED)
    for older in SUPERSEDED:
        assert f"`{older}`" in README.read_text()


class World:
    """A bucket with an object and an upload of one part, and an empty bucket."""

    def __init__(self, s3, name, locking=False):
        self.names = {"bucket": name, "empty": f"{name}-e"}
        for bucket in self.names.values():
            s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locking)
        s3.put_object(Bucket=name, Key="k", Body=b"data")
        self.names["upload"] = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
        part = {"Bucket": name, "Key": "k", "UploadId": self.names["upload"], "PartNumber": 1, "Body": b"data"}
        self.names["etag"] = s3.upload_part(**part)["ETag"]

    def filled(self, value):
        if isinstance(value, str):
            return value.format(**self.names)
        if isinstance(value, dict):
            return {name: self.filled(inner) for name, inner in value.items()}
        return [self.filled(inner) for inner in value] if isinstance(value, list) else value

    def least(self, shape, name=""):
        """The smallest value that the model allows."""
        known = {
            "Bucket": self.names["bucket"], "Key": "k", "UploadId": self.names["upload"], "PartNumber": 1,
            "CopySource": f"{self.names['bucket']}/k",
        }  # fmt: skip
        if name in known:
            return known[name]
        match shape.type_name:
            case "structure" if shape.is_tagged_union:
                inner = next(iter(shape.members))
                return {inner: self.least(shape.members[inner], inner)}
            case "structure":
                return {inner: self.least(shape.members[inner], inner) for inner in shape.required_members}
            case "list":
                return [self.least(shape.member)]
            case "string":
                return shape.enum[0] if shape.enum else "x" * shape.metadata.get("min", 1)
            case "integer" | "long":
                return 1
            case "boolean":
                return False
            case "blob":
                return b"{}"
            case "timestamp":
                return 2_000_000_000
        raise AssertionError(f"no value for {shape}")

    def parameters(self, operation):
        shape = MODEL.operation_model(operation).input_shape
        return (self.least(shape) if shape else {}) | self.filled(PARAMETERS.get(SUPERSEDED.get(operation, operation), {}))


def outcome(client, operation, parameters):
    """The answer without what every answer has, or the code of the error."""
    method = botocore.xform_name(operation)
    try:
        answer = getattr(client, method)(**parameters)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("operation", sorted(set(MODEL.operation_names)))
def test_the_server_does_what_the_table_says(tenants, client, operation, bucket_name):
    kind = table()[SUPERSEDED.get(operation, operation)]
    world = World(tenants.owner.client("s3"), bucket_name[-40:].strip("-"), operation in LOCKING)
    found = outcome(client, operation, world.parameters(operation))
    if operation in WITH_KEYS:
        assert (kind, found) == (ACTS, "NotImplemented"), "it needs a keyring, which this server has not"
    elif kind == REFUSES:
        assert found == "NotImplemented"
    elif kind == ACTS:
        assert not isinstance(found, str) or found not in COMPLAINTS, found
    else:
        assert found == UNUSED[SUPERSEDED.get(operation, operation)]


def test_what_is_beside_the_model(tenants, own_bucket):
    """A form, an account's settings, and events as they happen."""
    s3, kinds = tenants.owner.client("s3"), table()
    form = s3.generate_presigned_post(own_bucket, "form")
    boundary = "boundary"
    fields = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
              for name, value in [*form["fields"].items(), ("file", "data")]]  # fmt: skip
    body = ("".join(fields) + f"--{boundary}--\r\n").encode()
    headers = [("Content-Type", f"multipart/form-data; boundary={boundary}")]
    answers = {"PostObject": tenants.anonymous("POST", f"/{own_bucket}", [("Host", tenants.host), *headers], body)}
    path, account = "/v20180820/configuration/publicAccessBlock", [("x-amz-account-id", OWNER)]
    block = b'<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>'
    for method in ("PUT", "GET", "DELETE"):
        name = f"{method.title()}AccountPublicAccessBlock"
        answers[name] = tenants.signed(tenants.owner, method, path, account, block if method == "PUT" else b"")
    resource = f"/v20180820/tags/arn%3Aaws%3As3%3A%3A%3A{own_bucket}"
    tags = b"<TagResourceRequest><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></TagResourceRequest>"
    answers["TagResource"] = tenants.signed(tenants.owner, "POST", resource, account, tags)
    answers["ListTagsForResource"] = tenants.signed(tenants.owner, "GET", resource, account)
    answers["UntagResource"] = tenants.signed(tenants.owner, "DELETE", f"{resource}?tagKeys=a", account)
    for name, answer in answers.items():
        assert kinds[name] == ACTS and answer.status < 300, (name, answer)
    # What acts sends events for as long as the client listens: the head of the answer is all there is to wait for.
    query = urllib.parse.urlencode({"events": "s3:ObjectCreated:*"})
    status = listen(tenants, own_bucket, query)
    assert status == {ACTS: 200, REFUSES: 501}[kinds["ListenBucketNotification"]]


def listen(tenants, bucket, query):
    who, target = tenants.owner, f"/{bucket}?{query}"
    headers, _ = signer.sign(
        signer.Credentials(who.access_key, who.secret_key),
        "GET",
        f"/{bucket}",
        urllib.parse.parse_qsl(query),
        [("Host", tenants.host)],
        hashlib.sha256(b"").hexdigest(),
    )
    connection = http.client.HTTPConnection(tenants.host, timeout=20)
    try:
        connection.request("GET", target, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_is_suspended_stays_so(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    for call, name, value in [
        (s3.put_bucket_request_payment, "RequestPaymentConfiguration", {"Payer": "Requester"}),
        (s3.put_bucket_accelerate_configuration, "AccelerateConfiguration", {"Status": "Enabled"}),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call(Bucket=own_bucket, **{name: value})
        assert refused.value.response["Error"]["Code"] == "NotImplemented"
        assert "can only be" in refused.value.response["Error"]["Message"]
