"""Plain classes that decide without an inbox. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from actors.client.replies import Asked, ReplyQueue
from actors.executor.environment import agent_environment
from actors.executor.output import TAIL_BYTES, Credit, LineSplitter
from actors.frontend.conversation import RequestCredit
from actors.frontend.wire import FRAGMENTS_MAX, Assembler, FrameLimits, MessageRefused
from actors.hub.registry import free_id
from actors.limits.quotas import TokenBucket
from actors.ports import Caller
from actors.project.run_queue import Execution, RunQueue
from actors.runtime.restarts import RESTART_PERIOD_S, RESTARTS_MAX, RestartIntensity
from protocol.claude import Cut
from protocol.requests import Ping, Request
from protocol.versions import CURRENT, OLDER


@given(st.binary(max_size=300).map(lambda b: b.replace(b"\x00", b"\n")), st.integers(1, 50))
def test_lines_are_the_same_in_any_pieces(data: bytes, size: int) -> None:
    whole, pieces = LineSplitter(20), LineSplitter(20)
    expected = whole.feed(data)
    found = [line for at in range(0, len(data), size) for line in pieces.feed(data[at : at + size])]
    assert found == expected
    assert pieces.rest() == whole.rest()
    assert [len(line) if cut is None else cut.size_bytes for line, cut in expected] == [
        len(line) for line in data.split(b"\n")[:-1]
    ]


def test_a_long_line_is_cut_and_its_length_reported() -> None:
    splitter = LineSplitter(4)
    assert splitter.feed(b"abc") == []
    assert splitter.feed(b"defg\nx\n") == [
        (b"abcd", Cut(7, b"efg")),
        (b"x", None),
    ]
    assert splitter.rest() is None
    splitter.feed(b"a" * 10 + b"b" * TAIL_BYTES)
    assert splitter.feed(b"\n") == [(b"aaaa", Cut(10 + TAIL_BYTES, b"b" * TAIL_BYTES))]
    splitter.feed(b"tail")
    assert splitter.rest() == (b"tail", None)


def test_credit_blocks_only_above_its_limit() -> None:
    credit = Credit(limit_bytes=10)
    assert credit.take(25)
    credit.give_back(20)
    assert credit.take(1)
    credit.cancel()
    assert not credit.take(100)


def test_the_environment_is_a_short_list() -> None:
    ours = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "https_proxy": "p",
        "NO_PROXY": "n",
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CONFIG_DIR": "c",
        "CLAUDE_CMD": "x",
        "CLAUDE_ENV": "AWS",
        "AWS": "a",
        "SECRET": "s",
        "CLAUDEHUB_VENV": "v",
        "WS_PORT": "1",
    }
    seen = agent_environment(ours, ["AWS"], delta_hold_ms=50, background=False)
    assert {k: v for k, v in seen.items() if k in ours} == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "https_proxy": "p",
        "NO_PROXY": "n",
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CONFIG_DIR": "c",
        "AWS": "a",
    }
    assert seen["CLAUDE_CODE_STREAM_EVENT_HOLD_MS"] == "50"
    assert seen["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"
    assert "CLAUDE_CODE_STREAM_EVENT_HOLD_MS" not in agent_environment(
        {}, [], delta_hold_ms=0, background=True
    )


class StillClock:
    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic(self) -> float:
        return self.at_s


def test_the_rate_allows_bursts_of_twice_its_number() -> None:
    clock = StillClock()
    bucket = TokenBucket(5, clock)  # type: ignore[arg-type]
    assert [bucket.take() for _ in range(11)] == [True] * 10 + [False]
    clock.at_s += 0.4
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.at_s += 3600
    assert sum(bucket.take() for _ in range(20)) == 10


def test_requests_in_flight_are_counted_in_bytes_too() -> None:
    credit = RequestCredit(3, 100)
    assert credit.take(500, 0)  # one, whatever its size
    assert not credit.take(1, 0)
    credit.answered()
    assert [credit.take(1, 0) for _ in range(4)] == [True, True, True, False]
    credit.answered()
    assert credit.take(1, 0)
    for _ in range(5):
        credit.answered()


def text(data: bytes, fin: bool = True, opcode: Opcode = Opcode.TEXT) -> Frame:
    return Frame(opcode, data, fin)


def test_fragments_become_messages_of_strict_utf8() -> None:
    assembler = Assembler(FrameLimits(1024))
    assert assembler.add(text("é".encode()[:1], fin=False)) is None
    assert assembler.add(text("é".encode()[1:], opcode=Opcode.CONT)) == "é"
    assert assembler.add(text(b"")) == ""
    with pytest.raises(MessageRefused) as refused:
        assembler.add(text(b"\xed\xa0\x80"))
    assert refused.value.code == 1007
    with pytest.raises(MessageRefused) as refused:
        Assembler(FrameLimits(1024)).add(text(b"x", opcode=Opcode.BINARY))
    assert refused.value.code == 1003
    takes_all = Assembler(FrameLimits(1024, takes_binary=True))
    assert takes_all.add(text(b"\xff", opcode=Opcode.BINARY, fin=False)) is None
    assert takes_all.add(text(b"\xfe", opcode=Opcode.CONT)) == b"\xff\xfe"


def test_a_flood_of_empty_fragments_is_stopped() -> None:
    assembler = Assembler(FrameLimits(1024))
    for _ in range(FRAGMENTS_MAX):
        assembler.add(text(b"", fin=False))
    with pytest.raises(MessageRefused) as refused:
        assembler.add(text(b"", fin=False))
    assert refused.value.code == 1008


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("site", [], "site"),
        ("My Site!", [], "my-site"),
        ("été", [], "t"),
        ("...", [], "project"),
        ("", ["project"], "project-2"),
        ("a", ["a", "a-2"], "a-3"),
        ("x" * 100, ["x" * 64], "x" * 62 + "-2"),
        ("_a_", [], "a"),
    ],
)
def test_project_ids_come_from_folder_names(name: str, taken: list[str], expected: str) -> None:
    assert free_id(name, taken) == expected


def an_execution(execution_id: str) -> Execution:
    return Execution(execution_id, Caller("c"), prompt="prompt")


def test_one_prompt_runs_and_the_others_wait() -> None:
    queue = RunQueue(max_waiting=2)
    a, b, c = an_execution("a"), an_execution("b"), an_execution("c")
    assert queue.is_idle
    for each in (a, b, c):
        assert queue.has_room
        queue.admit(each)
    assert not queue.has_room
    assert [queue.place_of(e.execution_id) for e in (a, b, c)] == [
        ("started", 0),
        ("queued", 1),
        ("queued", 2),
    ]
    assert queue.ready() is None
    a.is_stored = True
    assert queue.ready() is a
    a.is_ordered = True
    assert queue.ready() is None
    queue.start(a, now_s=1.0)
    assert (a.started_at_s, a.number) == (1.0, 1) and queue.at_work_now == [a]
    assert queue.ready() is None
    queue.finish("b")
    assert queue.find("b") is None and queue.place_of("b") == ("finished", 0)
    queue.finish("a")
    assert queue.running is c and queue.at_work_now == []
    queue.finish("none")
    assert queue.running is c


def test_replies_keep_the_order_of_the_requests() -> None:
    replies = ReplyQueue[str]()
    first, second = (Request("ping", name, Ping({})) for name in "12")
    one = replies.open(first, Asked("ping"), "p")
    two = replies.open(second, Asked("ping"), "q")
    assert replies.settle(two, "second")
    assert replies.ready() is None
    assert [request.number for request in replies.unanswered("p")] == [one]
    assert len(replies.unanswered()) == 1
    assert replies.unanswered("q") == []
    assert replies.settle(one, "first")
    assert not replies.settle(one, "again")
    head = replies.ready()
    assert head is not None and (head.request, head.answer) == (first, "first")
    replies.pop()
    head = replies.ready()
    assert head is not None and head.answer == "second"
    replies.pop()
    assert len(replies) == 0 and replies.ready() is None
    assert not replies.settle(99, "never")


def test_a_supervisor_gives_up_after_so_many_failures() -> None:
    intensity = RestartIntensity("a kind")
    assert [intensity.may_restart(t) for t in range(RESTARTS_MAX + 1)] == [True] * 3 + [False]
    assert intensity.may_restart(RESTART_PERIOD_S * 3)


def test_a_client_chooses_a_version() -> None:
    assert CURRENT.choose([]) is None and CURRENT.dialect(None).version == 1
    assert CURRENT.choose(["x", "claudehub.v1"]) == "claudehub.v1"
    assert OLDER.choose([]) is None and OLDER.dialect(None).version == 0
    for endpoint, known, unknown in ((CURRENT, "v1", "v0"), (OLDER, "v0", "v1")):
        with pytest.raises(ValueError, match=rf"claudehub\.{known}"):
            endpoint.choose([f"claudehub.{unknown}", "claudehub.v2"])
