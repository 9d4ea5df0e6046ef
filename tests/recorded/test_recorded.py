"""Cairn's answers agree with those that AWS gave to the same calls."""

import importlib

import pytest
from recorded import left_out, replay

for module in (
    "preconditions",
    "listing",
    "objects",
    "conditions",
    "multipart",
    "tagging",
    "cors",
    "access",
    "notifications",
    "object_lock",
    "encryption",
):
    importlib.import_module(f"recorded.cases_{module}")

RECORDED = replay.load() if replay.folder().is_dir() else None
needs_recordings = pytest.mark.skipif(
    RECORDED is None, reason=f"the recorded answers are not at {replay.folder()} (CAIRN_AWS_RECORDED names the folder)"
)


@needs_recordings
@pytest.mark.parametrize(("file", "name"), list(replay.CASES), ids=[name for _, name in replay.CASES])
def test_agrees_with_aws(request, outcomes, file, name):
    content = RECORDED[(file, name)]
    encrypts = name.startswith("TestS3BucketEncryption::")
    server = request.getfixturevalue("encrypting_server" if encrypts else "recorded_server")
    session = replay.Session(server, content)
    try:
        replay.CASES[(file, name)](session)
    finally:
        session.clean()
    outcomes[(file, name)] = (len(session.compared), session.differences)
    missed = [step for step in content if step not in session.compared and (name, step) not in left_out.STEPS]
    assert not missed, f"steps that the replay does not compare: {missed}"
    known = {step for test, step in left_out.KNOWN_DIFFERENCES if test == name}
    unknown = [line for line in session.differences if line.split(":")[0] not in known]
    if unknown:
        pytest.fail("\n".join([f"{len(unknown)} differences", *unknown]), pytrace=False)
    mended = known - {line.split(":")[0] for line in session.differences}
    assert not mended, f"these agree by now: take them out of KNOWN_DIFFERENCES: {mended}"


@needs_recordings
def test_every_recorded_test_is_replayed_or_left_out_by_name():
    unaccounted = [name for file, name in RECORDED if (file, name) not in replay.CASES and not left_out.reason(name)]
    assert not unaccounted, f"neither replayed nor left out: {unaccounted}"
    unknown = [name for key, name in replay.CASES if (key, name) not in RECORDED]
    assert not unknown, f"replayed, but not recorded: {unknown}"
    assert len(replay.CASES) >= 60
