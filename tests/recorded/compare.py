"""Compares one answer of Cairn with the recorded answer of AWS, field by field.

The recorded answers hold placeholders: `<version-id:1>` stands for one value, the same at each of its places and
different from `<version-id:2>`; `<owner-id>` and bare words such as `datetime` stand for any value.
"""

import datetime
import re

PLACEHOLDER = re.compile(r"<([a-z0-9-]+)(?::(\d+))?>")

# Bare words that stand for any value, by the field that holds them.
ANY_VALUE = {
    "LastModified": {"datetime", "date"},
    "Initiated": {"datetime", "date"},
    "CreationDate": {"datetime", "date"},
    "Bucket": {"bucket"},
    "ID": {"owner-id", "i-d"},
    "DisplayName": {"display-name"},
    "Last-Modified": {"last--modified"},
    "date": {"date"},
    "NextContinuationToken": {"next-continuation-token"},
    "ContinuationToken": {"continuation-token"},
    "eventTime": {"date"},
    "sequencer": {"sequencer"},
    "versionId": {"version-id"},
    "x-amz-id-2": {"amz-id"},
    "x-amz-request-id": {"amz-request-id"},
}

# Fields that are not compared, with the reason. Everything else is: a field that AWS gives must be there, and a
# field that AWS does not give must not.
TOLERATED_ABSENT = {
    "ServerSideEncryption": "AWS encrypts every object at rest by default; Cairn names no encryption that was not asked for",
    "x-amz-server-side-encryption": "as above, as a header",
    "Connection": "how an answer is framed is no part of it",
    "Transfer-Encoding": "how an answer is framed is no part of it",
    "DisplayName": "AWS gives it in some regions only, and has been withdrawing it since 2025",
}
TOLERATED_EXTRA = {
    "DisplayName": TOLERATED_ABSENT["DisplayName"],
    "content-length": "AWS sends errors in chunks; how an answer is framed is no part of it",
    "Resource": "part of S3's documented error document; AWS itself leaves it out of many errors",
}
NOT_COMPARED = {"HTTPHeaders", "RequestId", "HostId", "RetryAttempts", "MaxAttemptsReached"}
# What boto3 notes about its own check of a body's checksum; depends on its release.
NOTED_BY_CLIENT = "ResponseMetadata.ChecksumAlgorithm"


class Bindings:
    """What each numbered placeholder stands for within one recorded test."""

    def __init__(self):
        self.by_name = {}

    def bind(self, kind, number, value):
        """None if `value` fits the placeholder, else what is wrong."""
        known = self.by_name.setdefault((kind, number), value)
        if known != value:
            return f"<{kind}:{number}> was {known!r} before and is {value!r} here"
        for (other_kind, other_number), other in self.by_name.items():
            if other_kind == kind and other_number != number and other == value:
                return f"<{kind}:{number}> and <{kind}:{other_number}> differ at AWS and are both {value!r} here"
        return None


def compare(expected, actual, bindings, path=""):
    """The differences between a recorded answer and Cairn's, each as one line."""
    field = path.rsplit(".", 1)[-1].split("[")[0]
    if isinstance(expected, dict):
        return _compare_dict(expected, actual, bindings, path)
    if isinstance(expected, list):
        return _compare_list(expected, actual, bindings, path)
    if isinstance(expected, str):
        return _compare_string(expected, actual, bindings, path, field)
    if expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        return [f"{path}: AWS {expected!r}, Cairn {actual!r}"]
    return []


def _compare_dict(expected, actual, bindings, path):
    if not isinstance(actual, dict):
        return [f"{path}: AWS {expected!r}, Cairn {actual!r}"]
    found = []
    for name, value in expected.items():
        here = f"{path}.{name}" if path else name
        if name in NOT_COMPARED:
            continue
        if name in actual:
            found += compare(value, actual[name], bindings, here)
        elif name not in TOLERATED_ABSENT:
            found.append(f"{here}: AWS {value!r}, Cairn does not give it")
    for name, value in actual.items():
        here = f"{path}.{name}" if path else name
        if here == NOTED_BY_CLIENT or name in NOT_COMPARED or name in TOLERATED_EXTRA:
            continue
        if name not in expected:
            found.append(f"{here}: AWS does not give it, Cairn {value!r}")
    return found


def _compare_list(expected, actual, bindings, path):
    if not isinstance(actual, list):
        return [f"{path}: AWS gives a list, Cairn {actual!r}"]
    found = []
    if len(expected) != len(actual):
        found.append(f"{path}: AWS gives {len(expected)} elements, Cairn {len(actual)}")
    for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
        found += compare(one, other, bindings, f"{path}[{index}]")
    return found


def _compare_string(expected, actual, bindings, path, field):
    if expected in ANY_VALUE.get(field, ()):
        ok = isinstance(actual, (str, datetime.datetime)) and actual != ""
        return [] if ok else [f"{path}: AWS gives a value, Cairn {actual!r}"]
    places = list(PLACEHOLDER.finditer(expected))
    if not places:
        return [] if expected == actual else [f"{path}: AWS {expected!r}, Cairn {actual!r}"]
    match = isinstance(actual, str) and re.fullmatch(_pattern(expected, places), actual, re.DOTALL)
    if not match:
        return [f"{path}: AWS {expected!r}, Cairn {actual!r}"]
    found = []
    for place, value in zip(places, match.groups(), strict=True):
        problem = bindings.bind(place[1], place[2], value) if place[2] else None
        if problem:
            found.append(f"{path}: {problem}")
    return found


def _pattern(text, places):
    parts, end = [], 0
    for place in places:
        parts += [re.escape(text[end : place.start()]), "(.+?)"]
        end = place.end()
    return "".join([*parts, re.escape(text[end:])])
