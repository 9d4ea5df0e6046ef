"""The judge is judged: the history accepts what a durable store may show and refuses what it must not."""

import hashlib

import pytest
from durability.client import Answer
from durability.content import content, etag, explain
from durability.history import ABSENT, Clock, OnceRegister, Register, State
from durability.workload import check_read


def state(name, size=100):
    return State(name, size, etag(content(name, size)))


def acknowledged(register, new):
    attempt = register.begin(new)
    register.acknowledge(attempt)
    return attempt


def test_the_last_acknowledged_state_is_the_only_one():
    register = Register(Clock())
    acknowledged(register, state("a"))
    acknowledged(register, state("b"))
    assert register.admissible() == [state("b")]


def test_an_unanswered_write_may_have_happened_or_not():
    register = Register(Clock())
    acknowledged(register, state("a"))
    register.begin(ABSENT)
    assert register.admissible() == [state("a"), ABSENT]


def test_a_refused_write_did_not_happen():
    register = Register(Clock())
    register.refuse(register.begin(state("a")))
    assert register.admissible() == [ABSENT]


def test_of_two_overlapping_writes_either_may_be_last():
    register = Register(Clock())
    first = register.begin(state("a"))
    second = register.begin(state("b"))
    register.acknowledge(first)
    register.acknowledge(second)
    assert register.admissible() == [state("a"), state("b")]


def test_a_read_may_not_see_what_was_replaced_before_it_began():
    clock = Clock()
    register = Register(clock)
    acknowledged(register, state("a"))
    started = clock.now()
    acknowledged(register, state("b"))
    assert register.admissible(started, clock.now()) == [state("a"), state("b")]
    assert register.admissible(clock.now(), clock.now()) == [state("b")]


def test_of_creations_only_the_acknowledged_one_stays():
    register = OnceRegister(Clock())
    lost = register.begin(state("a"))
    acknowledged(register, state("b"))
    assert lost.end is None
    assert register.admissible() == [state("b")]


def test_a_verification_decides_unanswered_creations():
    register = OnceRegister(Clock())
    register.begin(state("a"))
    register.begin(state("a"))
    register.begin(state("b"))
    register.decide(state("a"))
    assert (register.winners(), register.admissible()) == (1, [state("a")])
    absent = OnceRegister(Clock())
    absent.begin(state("a"))
    absent.decide(ABSENT)
    assert absent.admissible() == [ABSENT]


def seen(body, name, tag=None):
    headers = {"x-amz-meta-content": name, "etag": tag or f'"{hashlib.md5(body).hexdigest()}"'}
    return Answer(200, headers, body)


@pytest.fixture
def register():
    register = Register(Clock())
    acknowledged(register, state("old", 10_000))
    acknowledged(register, state("new", 10_000))
    return register


def test_the_right_content_passes(register):
    assert check_read(seen(content("new", 10_000), "new"), register.admissible(), register) is None


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer(404, {}, b""), "LOST"),
        (Answer(500, {}, b""), "answered"),
        (seen(content("old", 10_000), "old"), "LOST"),
        (seen(content("new", 10_000)[:4096] + content("old", 10_000)[4096:], "new", state("new", 10_000).etag), "TORN"),
        (seen(content("new", 10_000)[:-1], "new"), "TORN"),
        (seen(content("new", 10_000)[:8192] + bytes(1808), "new", state("new", 10_000).etag), "TORN"),
    ],
    ids=["absent", "error", "older", "mixed", "short", "zeros"],
)
def test_what_a_crash_must_not_leave_is_refused(register, answer, word):
    problem = check_read(answer, register.admissible(), register)
    assert problem is not None and word in problem


def test_a_deleted_object_that_comes_back_is_a_ghost(register):
    acknowledged(register, ABSENT)
    problem = check_read(seen(content("new", 10_000), "new"), register.admissible(), register)
    assert problem.startswith("GHOST")


def test_a_torn_body_is_explained():
    body = content("a", 8192)[:4096] + content("b", 8192)[4096:] + bytes(4096)
    told = explain(body, {("a", 8192), ("b", 8192)})
    assert told == "12288 bytes: 1 blocks of a:8192, 1 blocks of b:8192, 1 blocks of zeros"
