"""What a denial says, sealed, and who can have it decoded."""

import json
import re

import pytest
from botocore.exceptions import ClientError
from principals import allow, deny, refused
from tenants import OWNER

WORDS = "Encoded authorization failure message: "


@pytest.fixture
def reader(tenants):
    """Somebody who may decode."""
    return tenants.principals.user(allow("sts:DecodeAuthorizationMessage"))


def decoded(who, encoded):
    return json.loads(who.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])


def test_a_denial_of_iam(tenants, reader):
    user = tenants.principals.user(allow("iam:*"), deny("iam:DeleteGroup", resource="*", Sid="NoDeletions"))
    message = refused("AccessDenied", user.client("iam").delete_group, GroupName="some")
    encoded = message.partition(WORDS)[2]
    assert "NoDeletions" not in encoded
    said = decoded(reader, encoded)
    assert (said["allowed"], said["explicitDeny"]) == (False, True)
    [statement] = said["matchedStatements"]["items"]
    assert "NoDeletions" in statement["statementId"]
    context = said["context"]
    assert context["principal"]["arn"] == user.arn and context["principal"]["id"].startswith("AIDA")
    assert (context["action"], context["resource"]) == ("iam:DeleteGroup", f"arn:aws:iam::{OWNER}:group/some")


def test_a_denial_of_sts(tenants, reader):
    user = tenants.principals.user()
    message = refused("AccessDenied", user.client("sts").get_access_key_info, AccessKeyId=user.access_key)
    said = decoded(reader, message.partition(WORDS)[2])
    assert (said["explicitDeny"], said["matchedStatements"]["items"]) == (False, [])
    assert said["context"]["action"] == "sts:GetAccessKeyInfo"


def test_a_denial_of_s3(tenants, reader, own_bucket):
    user = tenants.principals.user()
    with pytest.raises(ClientError) as caught:
        user.client("s3").get_object(Bucket=own_bucket, Key="k")
    said = decoded(reader, caught.value.response["Error"]["EncodedMessage"])
    assert said["context"]["resource"] == f"arn:aws:s3:::{own_bucket}/k"
    # Another account is told nothing.
    answer = tenants.signed(tenants.other, "GET", f"/{own_bucket}/k")
    assert answer.status == 403 and not re.search("EncodedMessage|not authorized", answer.text), answer


def test_who_can_decode(tenants, reader):
    user = tenants.principals.user()
    message = refused("AccessDenied", user.client("iam").list_users)
    encoded = message.partition(WORDS)[2]
    asked = {"EncodedMessage": encoded}
    refused("AccessDenied", user.client("sts").decode_authorization_message, **asked)
    # A message is for the account in which it was denied.
    other = tenants.other.client("sts").decode_authorization_message
    refused("InvalidAuthorizationMessageException", other, **asked)
    for broken in (encoded[:-1], encoded[1:], "nonsense", encoded.upper()):
        decode = reader.client("sts").decode_authorization_message
        refused("InvalidAuthorizationMessageException", decode, EncodedMessage=broken)
    assert decoded(reader, encoded)["context"]["action"] == "iam:ListUsers"
