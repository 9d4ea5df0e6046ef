"""What was asked of the server and what it acknowledged, and which states of a key that allows.

Pure bookkeeping, kept in the test's process: nothing of it lies in the data directory. Each key is a linearizable
register. A state may be observed if its write was attempted and no later acknowledged write has surely replaced it;
a write of unknown outcome (no answer came) may have happened, or not, and never counts as a replacement.
"""

import enum
import itertools
import threading
from dataclasses import dataclass, field

# The state of a key without an object.
ABSENT = None


class Outcome(enum.Enum):
    """What the client knows about an attempt."""

    UNKNOWN = "unknown"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


@dataclass(frozen=True)
class State:
    """An object as a client sees it. `content` names the bytes; see `content.content`."""

    content: str
    size: int
    etag: str
    tags: tuple = ()

    def __str__(self):
        return f"{self.content}:{self.size}" + (f" tags {dict(self.tags)}" if self.tags else "")


@dataclass(eq=False)
class Attempt:
    """One write to one key: when it was sent, what it would make of the key, what became of it."""

    start: int
    state: State | None
    end: int | None = None
    outcome: Outcome = Outcome.UNKNOWN

    def __str__(self):
        return f"[{self.start}, {self.end or '…'}] {self.outcome.value}: {self.state or 'absent'}"


class Clock:
    """A logical clock that threads share."""

    def __init__(self):
        self._count = itertools.count(1)
        self._lock = threading.Lock()

    def now(self) -> int:
        with self._lock:
            return next(self._count)


class Register:
    """The history of one key since its state was last established."""

    def __init__(self, clock):
        self.clock = clock
        self.attempts = []
        self.settle(ABSENT)

    def begin(self, state) -> Attempt:
        """Notes a write before it is sent."""
        attempt = Attempt(self.clock.now(), state)
        self.attempts.append(attempt)
        return attempt

    def acknowledge(self, attempt):
        """The write was answered with success."""
        attempt.end = self.clock.now()
        attempt.outcome = Outcome.ACKNOWLEDGED

    def refuse(self, attempt):
        """The write was answered with an error of the client: it had no effect."""
        attempt.end = self.clock.now()
        attempt.outcome = Outcome.REFUSED

    def settle(self, state):
        """Establishes the present state: what a verification found. Earlier attempts are decided by it."""
        now = self.clock.now()
        self.attempts = [Attempt(now, state, now, Outcome.ACKNOWLEDGED)]

    def admissible(self, read_start=None, read_end=None) -> list:
        """The states that a read between the two moments may see; without moments, a read after everything."""
        attempts = [a for a in list(self.attempts) if a.outcome is not Outcome.REFUSED]
        done = [a for a in attempts if a.outcome is Outcome.ACKNOWLEDGED and (read_start is None or a.end < read_start)]
        replaced_before = max((a.start for a in done), default=-1)
        allowed = []
        for attempt in attempts:
            if read_end is not None and attempt.start > read_end:
                continue
            surely_replaced = attempt.end is not None and attempt.end < replaced_before
            if not surely_replaced and attempt.state not in allowed:
                allowed.append(attempt.state)
        return allowed

    def known(self):
        """The present state for a key with a single writer, who asks between its writes."""
        states = self.admissible()
        assert len(states) == 1, f"a single writer knows its key's state, but: {[str(s) for s in states]}"
        return states[0]

    def is_certain(self) -> bool:
        """Whether only one state is possible."""
        return len(self.admissible()) == 1

    def contents(self):
        """(name, size) of every content that was attempted."""
        return {(a.state.content, a.state.size) for a in self.attempts if a.state}

    def __str__(self):
        return "\n".join(f"      {attempt}" for attempt in self.attempts[-12:])


class OnceRegister(Register):
    """A key that is only ever written by `If-None-Match: *`: the first success is final."""

    def admissible(self, read_start=None, read_end=None) -> list:
        created = [a for a in self.attempts[1:] if a.outcome is Outcome.ACKNOWLEDGED]
        if created:
            return [a.state for a in created]
        return super().admissible(read_start, read_end)

    def decide(self, state):
        """Establishes what a verification found: lost answers are decided by it."""
        undecided = [a for a in self.attempts[1:] if a.outcome is Outcome.UNKNOWN]
        happened = next((a for a in undecided if a.state == state), None) if self.winners() == 0 else None
        for attempt in undecided:
            if attempt is happened:
                self.acknowledge(attempt)
            else:
                self.refuse(attempt)

    def winners(self) -> int:
        """How many creations were acknowledged; more than one is a violation."""
        return sum(1 for a in self.attempts[1:] if a.outcome is Outcome.ACKNOWLEDGED)


@dataclass(eq=False)
class Version:
    """One version of a key in a versioned bucket; a delete marker's state is ABSENT."""

    state: State | None
    id: str | None = None
    outcome: Outcome = Outcome.UNKNOWN
    # The outcome of its removal by version id; REFUSED: it was never asked for.
    removal: Outcome = Outcome.REFUSED


@dataclass(eq=False)
class VersionStack:
    """The versions of one key with a single writer, oldest first."""

    versions: list = field(default_factory=list)

    def live(self) -> list:
        """Acknowledged versions whose removal was never asked for."""
        return [v for v in self.versions if v.outcome is Outcome.ACKNOWLEDGED and v.removal is Outcome.REFUSED]


class Stage(enum.Enum):
    """How far an upload got. The -ING stages are requests whose outcome is unknown."""

    OPEN = "open"
    COMPLETING = "completing"
    COMPLETED = "completed"
    ABORTING = "aborting"
    ABORTED = "aborted"


@dataclass(eq=False)
class Upload:
    """A multipart upload of one key with a single writer."""

    key: str
    id: str
    state: State
    parts: list
    stage: Stage = Stage.OPEN
    # Part number to (ETag, outcome).
    sent: dict = field(default_factory=dict)
    # The attempt on the key that its completion is.
    attempt: Attempt | None = None
