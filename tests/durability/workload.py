"""The mixed load: threads that write, read back and note what they were promised, until the server is killed.

Each worker owns keys that nobody else writes, so that it knows their state; a few keys are shared by all workers.
What a worker does is a function of the seed, the round and its number.
"""

import random
import threading
import traceback
from dataclasses import dataclass, field

from durability.client import Client, Lost
from durability.content import content, etag, explain, multipart_etag
from durability.history import (
    ABSENT,
    Clock,
    OnceRegister,
    Outcome,
    Register,
    Stage,
    State,
    Upload,
    Version,
    VersionStack,
)

BUCKET, VERSIONED = "plain", "versioned"
KiB, MiB = 1024, 1024 * 1024
PART_MIN = 5 * MiB
OWN_KEYS, BIG_KEYS, MULTIPART_KEYS, COPY_KEYS, VERSIONED_KEYS, SHARED_KEYS = 14, 2, 2, 4, 5, 6
OPEN_UPLOADS_MAX = 2


@dataclass
class World:
    """Everything that is known about the server's data, over all rounds."""

    clock: Clock = field(default_factory=Clock)
    registers: dict = field(default_factory=dict)
    stacks: dict = field(default_factory=dict)
    uploads: list = field(default_factory=list)
    # Keys of uploads whose creation has not been answered, and ids of those that are over.
    creating: list = field(default_factory=list)
    finished_uploads: set = field(default_factory=set)
    violations: list = field(default_factory=list)
    acknowledged: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self, key, kind=Register):
        with self.lock:
            if key not in self.registers:
                self.registers[key] = kind(self.clock)
            return self.registers[key]

    def stack(self, key):
        with self.lock:
            return self.stacks.setdefault(key, VersionStack())

    def violation(self, text):
        with self.lock:
            self.violations.append(text)

    def count_acknowledged(self):
        with self.lock:
            self.acknowledged += 1


class Refused(Exception):
    """An answer that this load never earns."""


class Worker(threading.Thread):
    """One client of the load."""

    def __init__(self, world, server, number, seed, round_number, killed, gone=None):
        super().__init__(daemon=True, name=f"worker {number}")
        self.world = world
        self.client = Client(server, gone)
        self.number = number
        self.round_number = round_number
        self.random = random.Random(f"{seed}/{round_number}/{number}")
        self.killed = killed
        self.bodies = 0
        self.uploads = [u for u in world.uploads if u.key.startswith(f"w{number}/") and u.stage is Stage.OPEN]

    def run(self):
        operations = [
            (30, self.put_small),
            (14, self.put_middle),
            (4, self.put_big),
            (12, self.delete),
            (3, self.delete_many),
            (6, self.copy),
            (5, self.tag),
            (5, self.put_if_absent),
            (5, self.put_if_match),
            (3, self.multipart_step),
            (8, self.put_version),
            (4, self.mark_deleted),
            (3, self.remove_version),
            (7, self.write_shared),
            (3, self.create_once),
            (8, self.read_own),
            (4, self.read_shared),
        ]
        weights, actions = zip(*operations, strict=True)
        try:
            while not self.killed.is_set():
                self.random.choices(actions, weights)[0]()
        except Lost as lost:
            if not self.killed.is_set():
                self.world.violation(f"{self.name}: a connection broke before the kill: {lost}")
        except Refused as refused:
            self.world.violation(f"{self.name}: {refused}")
        except Exception:
            self.world.violation(f"{self.name}: {traceback.format_exc()}")
        finally:
            self.client.close()

    # --- what the operations share

    def own(self, kind, count):
        key = f"w{self.number}/{kind}{self.random.randrange(count)}"
        return key, self.world.register(key)

    def new_state(self, size, tags=()):
        """A state with content of its own, or now and then with content that other keys have too."""
        if size <= 64 * KiB and self.random.random() < 0.1:
            size = self.random.choice([1000, 60_000])
            name = f"pool/{self.random.randrange(8)}"
        else:
            self.bodies += 1
            name = f"{self.round_number}.{self.number}.{self.bodies}"
        return State(name, size, etag(content(name, size)), tuple(sorted(tags)))

    def some_tags(self):
        if self.random.random() < 0.8:
            return ()
        return tuple((f"t{i}", str(self.random.randrange(1000))) for i in range(self.random.randrange(1, 4)))

    def put_headers(self, state, *more):
        headers = [("x-amz-meta-content", state.content), *more]
        if state.tags:
            headers.append(("x-amz-tagging", "&".join(f"{k}={v}" for k, v in state.tags)))
        return headers

    def settle(self, register, attempt, answer, *, refusals=()):
        """Notes what an answer says about an attempt on a register."""
        if answer.status in (200, 204):
            register.acknowledge(attempt)
            self.world.count_acknowledged()
        elif answer.status in refusals:
            register.refuse(attempt)
        else:
            raise Refused(f"a write that must succeed was answered {answer}")
        return answer

    def put(self, key, register, state, *conditions, refusals=()):
        attempt = register.begin(state)
        body = content(state.content, state.size)
        headers = self.put_headers(state, *conditions)
        answer = self.client.request("PUT", BUCKET, key, headers=headers, body=body)
        self.settle(register, attempt, answer, refusals=refusals)
        if answer.status == 200 and answer.headers.get("etag") != state.etag:
            self.world.violation(f"PUT {key}: ETag {answer.headers.get('etag')} for content with {state.etag}")
        return answer

    # --- single keys

    def put_small(self):
        self.put(*self.own("k", OWN_KEYS), self.new_state(self.random.randint(0, 4 * KiB), self.some_tags()))

    def put_middle(self):
        size = self.random.choice([4097, 64 * KiB, 64 * KiB, 65 * KiB + 1, 250_000])
        self.put(*self.own("k", OWN_KEYS), self.new_state(size, self.some_tags()))

    def put_big(self):
        self.put(*self.own("big", BIG_KEYS), self.new_state(self.random.randint(MiB, 3 * MiB)))

    def put_if_absent(self):
        key, register = self.own("k", OWN_KEYS)
        present = register.known() is not ABSENT
        refusals = (412,) if present else ()
        answer = self.put(key, register, self.new_state(2000), ("If-None-Match", "*"), refusals=refusals)
        if present and answer.status == 200:
            self.world.violation(f"PUT {key} with If-None-Match: * replaced an object\n{register}")

    def put_if_match(self):
        key, register = self.own("k", OWN_KEYS)
        state = register.known()
        if state is not ABSENT:
            self.put(key, register, self.new_state(3000), ("If-Match", state.etag))

    def delete(self):
        key, register = self.own(*self.random.choice([("k", OWN_KEYS), ("big", BIG_KEYS), ("copy", COPY_KEYS)]))
        attempt = register.begin(ABSENT)
        self.settle(register, attempt, self.client.request("DELETE", BUCKET, key))

    def delete_many(self):
        chosen = {}
        for _ in range(4):
            key, register = self.own("k", OWN_KEYS)
            chosen[key] = register
        attempts = {key: register.begin(ABSENT) for key, register in chosen.items()}
        objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in chosen)
        answer = self.client.post_xml(BUCKET, None, [("delete", None)], f"<Delete>{objects}</Delete>")
        if answer.status != 200:
            raise Refused(f"DeleteObjects was answered {answer}")
        deleted = {entry.findtext("Key") for entry in answer.xml().iter("Deleted")}
        if deleted != set(chosen):
            raise Refused(f"DeleteObjects of {sorted(chosen)} was answered {answer}")
        for key, attempt in attempts.items():
            self.settle(chosen[key], attempt, answer)

    def copy(self):
        source, from_register = self.own("k", OWN_KEYS)
        if self.random.random() < 0.3:
            source, from_register = self.own("big", BIG_KEYS)
        state = from_register.known()
        if state is ABSENT:
            return
        key, register = self.own("copy", COPY_KEYS)
        attempt = register.begin(state)
        answer = self.client.request("PUT", BUCKET, key, headers=[("x-amz-copy-source", f"/{BUCKET}/{source}")])
        self.settle(register, attempt, answer)

    def tag(self):
        key, register = self.own("k", OWN_KEYS)
        state = register.known()
        if state is ABSENT:
            return
        tags = () if self.random.random() < 0.3 else (("tagged", str(self.random.randrange(1000))),)
        attempt = register.begin(State(state.content, state.size, state.etag, tags))
        if tags:
            document = "".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags)
            body = f"<Tagging><TagSet>{document}</TagSet></Tagging>".encode()
            answer = self.client.request("PUT", BUCKET, key, query=[("tagging", None)], body=body)
        else:
            answer = self.client.request("DELETE", BUCKET, key, query=[("tagging", None)])
        self.settle(register, attempt, answer)

    # --- keys of all workers

    def shared(self):
        key = f"shared/{self.random.randrange(SHARED_KEYS)}"
        return key, self.world.register(key)

    def write_shared(self):
        key, register = self.shared()
        if self.random.random() < 0.2:
            attempt = register.begin(ABSENT)
            self.settle(register, attempt, self.client.request("DELETE", BUCKET, key))
        else:
            self.put(key, register, self.new_state(self.random.choice([100, 5000, 70_000])))

    def create_once(self):
        key = f"once/{self.round_number}/{self.random.randrange(8)}"
        register = self.world.register(key, OnceRegister)
        state = self.new_state(self.random.choice([10, 20_000]))
        self.put(key, register, state, ("If-None-Match", "*"), refusals=(412, 409))

    # --- reads

    def read_own(self):
        kind = self.random.choice([("k", OWN_KEYS), ("big", BIG_KEYS), ("copy", COPY_KEYS), ("mp", MULTIPART_KEYS)])
        self.read(*self.own(*kind))

    def read_shared(self):
        self.read(*self.shared())

    def read(self, key, register):
        start = self.world.clock.now()
        answer = self.client.request("GET", BUCKET, key)
        end = self.world.clock.now()
        problem = check_read(answer, register.admissible(start, end), register)
        if problem:
            self.world.violation(f"read under load of {key}: {problem}")
        self.world.reads += 1

    # --- multipart uploads

    def multipart_step(self):
        """One whole upload in most cases; else one step of an upload that stays open over rounds."""
        if len(self.uploads) >= OPEN_UPLOADS_MAX or (self.uploads and self.random.random() < 0.5):
            upload = self.random.choice(self.uploads)
        else:
            upload = self.create_upload()
        stay_open = self.random.random() < 0.2
        for number in range(1, len(upload.parts) + 1):
            if upload.sent.get(number, ("", None))[1] is not Outcome.ACKNOWLEDGED:
                self.send_part(upload, number)
                if stay_open:
                    return
        self.uploads.remove(upload)
        if self.random.random() < 0.25:
            self.abort(upload)
        else:
            self.complete(upload)

    def create_upload(self):
        key, _ = self.own("mp", MULTIPART_KEYS)
        self.bodies += 1
        name = f"{self.round_number}.{self.number}.{self.bodies}"
        sizes = [PART_MIN, self.random.randint(1, 300_000)]
        body = content(name, sum(sizes))
        parts = [body[: sizes[0]], body[sizes[0] :]]
        state = State(name, len(body), multipart_etag(parts))
        headers = [("x-amz-meta-content", name)]
        with self.world.lock:
            self.world.creating.append(key)
        answer = self.client.expect(200, "POST", BUCKET, key, query=[("uploads", None)], headers=headers)
        upload = Upload(key, answer.xml().findtext("UploadId"), state, sizes)
        self.uploads.append(upload)
        with self.world.lock:
            self.world.creating.remove(key)
            self.world.uploads.append(upload)
        self.world.count_acknowledged()
        return upload

    def send_part(self, upload, number):
        start = sum(upload.parts[: number - 1])
        body = content(upload.state.content, upload.state.size)[start : start + upload.parts[number - 1]]
        upload.sent[number] = (etag(body), Outcome.UNKNOWN)
        query = [("partNumber", str(number)), ("uploadId", upload.id)]
        answer = self.client.expect(200, "PUT", BUCKET, upload.key, query=query, body=body)
        if answer.headers.get("etag") != etag(body):
            self.world.violation(f"part {number} of {upload.key}: ETag {answer.headers.get('etag')}")
        upload.sent[number] = (etag(body), Outcome.ACKNOWLEDGED)
        self.world.count_acknowledged()

    def abort(self, upload):
        upload.stage = Stage.ABORTING
        self.client.expect(204, "DELETE", BUCKET, upload.key, query=[("uploadId", upload.id)])
        upload.stage = Stage.ABORTED
        self.world.count_acknowledged()

    def complete(self, upload):
        register = self.world.register(upload.key)
        upload.attempt = register.begin(upload.state)
        upload.stage = Stage.COMPLETING
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, (tag, _) in sorted(upload.sent.items())
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        answer = self.client.post_xml(BUCKET, upload.key, [("uploadId", upload.id)], document)
        if b"<Error>" in answer.body:
            raise Refused(f"CompleteMultipartUpload of {upload.key} was answered {answer}")
        self.settle(register, upload.attempt, answer)
        upload.stage = Stage.COMPLETED

    # --- the versioned bucket

    def versioned(self):
        key = f"w{self.number}/v{self.random.randrange(VERSIONED_KEYS)}"
        return key, self.world.stack(key)

    def put_version(self):
        key, stack = self.versioned()
        state = self.new_state(self.random.choice([0, 50, 4096, 30_000, 200_000]))
        version = Version(state)
        stack.versions.append(version)
        body = content(state.content, state.size)
        answer = self.client.expect(200, "PUT", VERSIONED, key, headers=self.put_headers(state), body=body)
        self.acknowledge_version(version, answer)

    def mark_deleted(self):
        key, stack = self.versioned()
        version = Version(ABSENT)
        stack.versions.append(version)
        self.acknowledge_version(version, self.client.expect(204, "DELETE", VERSIONED, key))

    def acknowledge_version(self, version, answer):
        version.id = answer.headers.get("x-amz-version-id")
        if version.id is None:
            raise Refused(f"a write to a versioned bucket was answered without a version id: {answer.headers}")
        version.outcome = Outcome.ACKNOWLEDGED
        self.world.count_acknowledged()

    def remove_version(self):
        key, stack = self.versioned()
        live = stack.live()
        if not live:
            return
        version = self.random.choice(live)
        version.removal = Outcome.UNKNOWN
        self.client.expect(204, "DELETE", VERSIONED, key, query=[("versionId", version.id)])
        version.removal = Outcome.ACKNOWLEDGED
        self.world.count_acknowledged()


def check_read(answer, allowed, register):
    """None if the answer to a GET of a key is one of the `allowed` states (tags aside), else what is wrong."""
    if answer.status == 404:
        ok = ABSENT in allowed
        return None if ok else f"LOST: absent, allowed {[str(s) for s in allowed]}\n{register}"
    if answer.status != 200:
        return f"answered {answer}"
    name, length = answer.headers.get("x-amz-meta-content"), len(answer.body)
    matching = [s for s in allowed if s and (s.content, s.size, s.etag) == (name, length, answer.headers.get("etag"))]
    whole = name is not None and content(name, length) == answer.body
    if matching and whole:
        return None
    kind = "TORN" if not whole else "GHOST" if allowed == [ABSENT] else "LOST"
    made_of = explain(answer.body, register.contents())
    told = f"content {name}, ETag {answer.headers.get('etag')}, body of {made_of}"
    return f"{kind}: {told}, allowed {[str(s) for s in allowed]}\n{register}"
