"""Damage at rest: whatever becomes of a segment file, scrubbing names exactly the objects that are hit, and no request
is answered with wrong bytes.

What a damage hits is told by the objects' own bytes, which say whose they are: nothing that Cairn knows is asked.
`CAIRN_DAMAGES` says how many damages are made (300 unless it is set), `CAIRN_SEED` which.
"""

import os
import random
import re
import shutil
import struct
import subprocess

import pytest
from durability.client import Client, Lost
from durability.content import content
from server_process import ServerFailed, ServerProcess, binary

BUCKET = "rotten"
MiB = 1024 * 1024
CONFIG = '[storage]\nsegment_size = "64MiB"\nscrub_rate = "1GiB"\nscrub_interval = "never"\n'
# Objects of one chunk and of several; those of the second half are written when the old copies have been taken.
SIZES = (5_000, 20_000, 70_000, 300_000, 1_000_000, 2_500_000)
OBJECTS = 260
DAMAGES_IN_ROUND = 40
HIT = re.compile(rf"^  HIT  {BUCKET}/(\S+)  version [0-9a-f]{{32}}$", re.MULTILINE)
KINDS = ("flip", "zero", "swap", "old copy", "header")


def sizes():
    return {f"object/{number:04}": SIZES[number % len(SIZES)] + number for number in range(OBJECTS)}


def put(server, keys):
    client = Client(server)
    for key in keys:
        client.expect(200, "PUT", BUCKET, key, body=content(key, sizes()[key]))
    client.close()


def segments(server):
    return sorted((server.data[0] / "segments").glob("segment-*"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A stopped server with objects, and copies of its segment files from when it had half of them."""
    folder = tmp_path_factory.mktemp("rot")
    config = folder / "cairn.toml"
    config.write_text(CONFIG)
    old = folder / "old"
    old.mkdir()
    with ServerProcess(folder / "data", folder / "cairn.log", config=config) as server:
        client = Client(server)
        client.expect(200, "PUT", BUCKET)
        client.close()
        keys = list(sizes())
        put(server, keys[: OBJECTS // 2])
        server.terminate()
        for segment in segments(server):
            shutil.copy(segment, old / segment.name)
        server.start()
        put(server, keys[OBJECTS // 2 :])
        server.terminate()
        yield server, old


def frames(server):
    """Every frame with an object's bytes: file, start, data's start, end, key."""
    stamps = {content(key, size)[:16]: key for key, size in sizes().items()}
    found = []
    for path in segments(server):
        bytes_ = path.read_bytes()
        for match in re.finditer(rb"CFRM\x01", bytes_):
            at = match.start()
            if at % 512:
                continue
            (length,) = struct.unpack_from("<I", bytes_, at + 12)
            data = at + 64 + 4 * -(-length // 65536)
            key = stamps.get(bytes_[data : data + 16])
            if key is not None:
                found.append((path.name, at, data, data + length, key))
    assert {key for *_, key in found} == set(sizes())
    return found


class Damages:
    """Changes segment files, knows what was changed, and puts it right again."""

    def __init__(self, server, old):
        self.folder, self.old = server.data[0] / "segments", old
        self.undo = []

    def write(self, name, at, new):
        """Writes bytes; answers whether that changed any."""
        with (self.folder / name).open("r+b") as file:
            file.seek(at)
            before = file.read(len(new))
            file.seek(at)
            file.write(new[: len(before)])
        if before == new[: len(before)]:
            return False
        self.undo.append((name, at, before))
        return True

    def read(self, name, at, length):
        with (self.folder / name).open("rb") as file:
            file.seek(at)
            return file.read(length)

    def heal(self):
        for name, at, before in reversed(self.undo):
            with (self.folder / name).open("r+b") as file:
                file.seek(at)
                file.write(before)
        self.undo = []

    def make(self, kind, draw, frame, other):
        """One damage to a frame; answers whether something changed."""
        name, start, data, end, _ = frame
        at = draw.randrange(data, end)
        if kind == "flip":
            (byte,) = self.read(name, at, 1)
            return self.write(name, at, bytes([byte ^ 1 << draw.randrange(8)]))
        if kind == "header":
            at = draw.randrange(start, data)
            (byte,) = self.read(name, at, 1)
            # The header, which has a checksum over all of it, or the checksums of blocks.
            return self.write(name, at, bytes([byte ^ 1 << draw.randrange(8)]))
        if kind == "zero":
            return self.write(name, at, bytes(min(draw.choice((1, 512, 4096, 65536)), end - at)))
        if kind == "swap":
            other_name, other_start, _, other_end, _ = other
            length = min(end - start, other_end - other_start)
            mine, others = self.read(name, start, length), self.read(other_name, other_start, length)
            return self.write(name, start, others) | self.write(other_name, other_start, mine)
        with (self.old / name).open("rb") if (self.old / name).exists() else (self.folder / name).open("rb") as file:
            file.seek(start)
            return self.write(name, start, file.read(end - start))


def scrub(server):
    """What a pass finds: the keys that it names."""
    command = [str(binary()), "scrub", "start", "--wait", "--endpoint", server.endpoint]
    done = subprocess.run(command, env=server.environment(), capture_output=True, text=True, timeout=120, check=False)
    named = set(HIT.findall(done.stdout))
    assert (done.returncode == 1) == ("damaged chunks" in done.stderr), (done.stdout[-2000:], done.stderr)
    assert done.returncode == 1 or "no damages are known" in done.stdout, (done.stdout[-2000:], done.stderr)
    return named


def unreadable(server):
    """The keys that a client cannot read; of all others it gets their very bytes."""
    found, client = set(), Client(server)
    for key, size in sizes().items():
        try:
            answer = client.request("GET", BUCKET, key)
        except Lost:
            found.add(key)
            continue
        if answer.status == 200:
            assert answer.body == content(key, size), f"wrong bytes of {key} were served"
        else:
            assert answer.status == 500, answer
            found.add(key)
    client.close()
    return found


def examine(server, hit, what):
    """Scrubbing names what is hit and nothing else, and clients cannot read exactly that."""
    server.start()
    try:
        for way, found in (("scrubbing", scrub(server)), ("reading", unreadable(server))):
            assert hit <= found, f"{what}: {way} missed {sorted(hit - found)[:5]}"
            assert found <= hit, f"{what}: {way} found {sorted(found - hit)[:5]}, where nothing was changed"
    finally:
        server.terminate()


def test_damaged_bytes_are_found_named_and_never_served(stopped):
    server, old = stopped
    wanted = int(os.environ.get("CAIRN_DAMAGES", "300"))
    seed = int(os.environ.get("CAIRN_SEED", str(random.SystemRandom().randrange(1 << 32))))
    print(f"CAIRN_SEED={seed}")
    draw, damages, made = random.Random(seed), Damages(server, old), dict.fromkeys(KINDS, 0)
    all_frames = frames(server)
    while sum(made.values()) < wanted:
        hurt = set()
        for _ in range(DAMAGES_IN_ROUND):
            frame, other = draw.sample(all_frames, 2)
            # One damage for each frame, so that no damage mends another.
            if hurt & {frame, other}:
                continue
            kind = draw.choice(KINDS)
            if damages.make(kind, draw, frame, other):
                hurt |= {frame, other} if kind == "swap" else {frame}
                made[kind] += 1
        hit = {key for *_, key in hurt}
        examine(server, hit, f"seed {seed}, after {sum(made.values())} damages")
        damages.heal()
    assert all(made.values()), made
    examine(server, set(), f"seed {seed}, healed")
    print(f"{sum(made.values())} damages, all found, named and not served: {made}")


WHOLE_FILES = ("truncated", "emptied", "removed", "swapped", "old copy", "zeroed")


@pytest.mark.parametrize("what", WHOLE_FILES)
def test_a_whole_file_is_damaged(stopped, what, tmp_path):
    server, old = stopped
    folder, all_frames = server.data[0] / "segments", frames(server)
    held = sorted({name for name, *_ in all_frames})
    assert len(held) >= 2
    first, second = held[:2]
    changed_names = {first, second} if what == "swapped" else {first}
    if what == "old copy":
        first = next(n for n in held if (old / n).exists() and (old / n).read_bytes() != (folder / n).read_bytes())
        changed_names = {first}
    for name in changed_names:
        shutil.copy(folder / name, tmp_path / name)
    path, size = folder / first, (folder / first).stat().st_size
    if what == "truncated":
        os.truncate(path, size // 2)
    elif what == "emptied":
        os.truncate(path, 0)
    elif what == "removed":
        path.unlink()
    elif what == "swapped":
        os.rename(folder / second, tmp_path / "aside")
        os.rename(path, folder / second)
        os.rename(tmp_path / "aside", path)
    elif what == "old copy":
        shutil.copy(old / first, path)
    else:
        path.write_bytes(bytes(size))
    lost = set()
    for name, start, _, end, key in all_frames:
        if name in changed_names:
            now = b""
            if (folder / name).exists():
                with (folder / name).open("rb") as file:
                    file.seek(start)
                    now = file.read(end - start)
            with (tmp_path / name).open("rb") as file:
                file.seek(start)
                if now != file.read(end - start):
                    lost.add(key)
    assert 0 < len(lost) < OBJECTS
    try:
        if what == "swapped":
            # Somebody's mistake rather than a drive's: nothing is changed, and it is put right by hand.
            with pytest.raises(ServerFailed, match="was it renamed"):
                server.start()
            server.process = None
        else:
            examine(server, lost, what)
    finally:
        for name in changed_names:
            shutil.copy(tmp_path / name, folder / name)
    examine(server, set(), "put back")
