"""Lines of the older server's log, and the updates that come of them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.fields import parse_time
from protocol.old_log import Fault, LineRefused, OldHistory, OldRecord, OldUpdate, read_line
from protocol.updates import UpdateType

LINE_MAX = 64 * 1024
NOON = "2026-11-24T12:00:00Z"
PROJECT = "185f1a3e-5987-4441-9c0b-92f1709d81cf"
SESSION = "11111111-2222-4333-8444-555555555555"


def stamp(second: int) -> str:
    return f"2026-11-24T13:52:{second:02d}.123456789Z"


def line(content: Any, direction: Any = "claude", timestamp: Any = NOON) -> bytes:
    """A line as the older server writes it: compact, and `<>&` as escapes."""
    kind = content.get("type", "user") if isinstance(content, dict) else "user"
    record = {
        "timestamp": timestamp,
        "message": {"type": kind, "content": content},
        "direction": direction,
    }
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogatepass")


def prompt(text: str, second: int = 0) -> bytes:
    return line({"text": text}, "client", stamp(second))


def said(second: int = 0, **fields: Any) -> bytes:
    return line({"type": "assistant", "session_id": SESSION, **fields}, timestamp=stamp(second))


def ended(second: int = 0, **fields: Any) -> bytes:
    end = {"type": "result", "is_error": False, "result": "ok", "session_id": SESSION, **fields}
    return line(end, timestamp=stamp(second))


def taken(raw: bytes, max_bytes: int = LINE_MAX) -> OldRecord:
    record = read_line(raw, max_bytes)
    assert record is not None
    return record


def refused(raw: bytes, max_bytes: int = LINE_MAX) -> Fault:
    with pytest.raises(LineRefused) as error:
        read_line(raw, max_bytes)
    return error.value.fault


def updates_of(*lines: bytes) -> list[OldUpdate]:
    history = OldHistory(PROJECT)
    found = [update for raw in lines for update in history.take(taken(raw))]
    return [*found, *history.finish()]


def plain(update: OldUpdate) -> dict[str, Any]:
    data = update.data if isinstance(update.data, bytes) else codec.dumps(update.data)
    value: dict[str, Any] = json.loads(data)
    return value


# -- lines


def test_the_clis_line_is_passed_on_byte_for_byte() -> None:
    content = (
        b'{"b":1.50,"a":1e22,"t":"\\u003cb\\u003e \xc3\xa9 \\ud83d\\ude00","type":"assistant"}'
    )
    head = b'{"timestamp":"2026-11-24T13:52:10.5+02:00","message":{"type":"assistant","content":'
    record = taken(head + content + b'},"direction":"claude"}')
    assert record.data == content
    assert record.timestamp == "2026-11-24T11:52:10.500000Z"


def test_a_line_in_another_order_says_the_same() -> None:
    content = {"type": "assistant", "n": 1.5}
    parts = {
        "direction": "claude",
        "message": {"content": content, "type": "assistant"},
        "timestamp": stamp(1),
    }
    record = taken(json.dumps(parts, indent=None).encode())
    assert json.loads(record.data) == content
    assert record.timestamp == "2026-11-24T13:52:01.123456Z"


def test_a_text_that_looks_like_a_huge_number_is_none() -> None:
    raw = said(text="commit 9e12345", n=1e200)
    assert json.loads(taken(raw).data)["n"] == 1e200


def test_what_follows_the_content_is_no_part_of_it() -> None:
    """The end of the line looks like the usual one, and is a text inside of it."""
    raw = (
        b'{"timestamp":"2026-11-24T13:52:10Z","message":{"type":"x","content":{"type":"x"},'
        b'"z":{"y":1}},"direction":"claude"}'
    )
    assert json.loads(taken(raw).data) == {"type": "x"}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"\x00" * 40, Fault.NOT_JSON),
        (b"half a li", Fault.NOT_JSON),
        (b"[1, 2]", Fault.NOT_JSON),
        (said(text="x").replace(b'"x"', b'"\xff"'), Fault.NOT_JSON),
        (said(text="x").replace(b'"x"', b'"\x00"'), Fault.NOT_JSON),
        (said(text="x").replace(b'"x"', b"[" * 5000), Fault.NOT_JSON),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, Fault.NOT_JSON),
        (said(n=7).replace(b":7", b":1e400"), Fault.NOT_JSON),
        (b" " + said(n=7).replace(b":7", b":-1E+999"), Fault.NOT_JSON),
        (said(n=7).replace(b":7", b":" + b"9" * 400 + b".5"), Fault.NOT_JSON),
        (line({"type": "assistant"}, timestamp=17), Fault.NO_TIME),
        (line({"type": "assistant"}, timestamp="yesterday, at about noon"), Fault.NO_TIME),
        (line({"type": "assistant"}, timestamp="0001-01-01T00:00:00Z"), Fault.NO_TIME),
        (line({"type": "assistant"}, timestamp="2026-13-01T00:00:00Z"), Fault.NO_TIME),
        (line({"text": "x"}, "server"), Fault.NO_DIRECTION),
        (line({"text": "x"}, ["client"]), Fault.NO_DIRECTION),
        (line({"text": 5}, "client"), Fault.NO_PROMPT),
        (line(None, "client"), Fault.NO_PROMPT),
        (line("a text"), Fault.NO_OBJECT),
        (line([1]), Fault.NO_OBJECT),
        (said(text="x" * LINE_MAX), Fault.TOO_LONG),
        (prompt("x" * LINE_MAX), Fault.TOO_LONG),
    ],
)
def test_a_line_that_says_nothing_is_refused_with_its_reason(raw: bytes, fault: Fault) -> None:
    assert refused(raw) is fault


@pytest.mark.parametrize("raw", [b"", b"  \t", b"\r", b"\xef\xbb\xbf"])
def test_an_empty_line_is_nothing(raw: bytes) -> None:
    assert read_line(raw, LINE_MAX) is None


def test_a_byte_order_mark_and_a_carriage_return_do_not_matter() -> None:
    assert taken(b"\xef\xbb\xbf" + said(text="x") + b"\r").data == taken(said(text="x")).data


def test_a_lone_surrogate_of_a_prompt_becomes_what_the_older_server_showed() -> None:
    raw = prompt("x").replace(b'"x"', rb'"\ud800!"')
    assert taken(raw).prompt == "\ufffd!"


def test_a_prompt_may_be_a_bare_text() -> None:
    assert taken(line("do it", "client")).prompt == "do it"


def test_a_time_has_the_width_of_the_logs_times_whatever_the_year() -> None:
    assert parse_time("0900-01-01t00:00:00.5z") == "0900-01-01T00:00:00.500000Z"
    assert parse_time("2026-01-01T00:30:00.1234567+01:00") == "2025-12-31T23:30:00.123456Z"


# -- executions


def test_a_prompt_and_the_clis_lines_are_one_execution() -> None:
    found = updates_of(prompt("hi", 1), said(2), ended(3, total_cost_usd=0.25))
    kinds = [update.update_type for update in found]
    assert kinds == [
        UpdateType.PROMPT,
        UpdateType.EXECUTION_STARTED,
        UpdateType.CLAUDE,
        UpdateType.CLAUDE,
        UpdateType.EXECUTION_FINISHED,
    ]
    asked, began, first, last, end = (plain(update) for update in found)
    assert asked["prompt"] == "hi" and asked["options"] == {} and asked["key"] is None
    assert began == {
        "execution_id": asked["execution_id"],
        "session_id": None,
        "origin": "prompt",
    }
    assert found[2].execution_id == found[3].execution_id == asked["execution_id"]
    assert (first["type"], last["type"]) == ("assistant", "result")
    assert end == {
        "execution_id": asked["execution_id"],
        "outcome": "success",
        "result": "ok",
        "session_id": SESSION,
        "exit_code": None,
        "stderr": "",
        "duration_ms": 2000,
        "cost_usd": 0.25,
    }
    assert [update.timestamp[17:19] for update in found] == ["01", "01", "02", "03", "03"]


def outcomes(found: list[OldUpdate]) -> list[tuple[str, str | None]]:
    ends = [plain(u) for u in found if u.update_type is UpdateType.EXECUTION_FINISHED]
    return [(end["outcome"], end["result"]) for end in ends]


def test_the_outcome_is_what_the_cli_said() -> None:
    found = updates_of(
        prompt("a"), ended(is_error=True, result="no"), prompt("b"), said(), prompt("c"), ended()
    )
    assert outcomes(found) == [("error", "no"), ("lost", None), ("success", "ok")]


def test_lines_before_the_first_prompt_get_an_execution_without_one() -> None:
    found = updates_of(said(1), ended(2), prompt("a", 3))
    kinds = [update.update_type for update in found]
    assert kinds[0] is UpdateType.EXECUTION_STARTED
    assert kinds.count(UpdateType.EXECUTION_STARTED) == 2
    assert kinds.count(UpdateType.PROMPT) == 1
    assert outcomes(found) == [("success", "ok"), ("lost", None)]


def test_the_start_names_the_session_that_goes_on() -> None:
    other = "99999999-2222-4333-8444-555555555555"
    found = updates_of(
        prompt("a"), ended(), prompt("b"), ended(), prompt("c"), ended(session_id=other)
    )
    begins = [plain(u) for u in found if u.update_type is UpdateType.EXECUTION_STARTED]
    assert [begin["session_id"] for begin in begins] == [None, SESSION, None]


def test_the_end_of_a_mock_run_lies_inside_of_its_content() -> None:
    inner = {"is_error": True, "result": "broken", "session_id": SESSION, "total_cost_usd": 1}
    found = updates_of(prompt("a"), line({"type": "result", "content": inner}))
    assert outcomes(found) == [("error", "broken")]


def test_an_id_is_made_from_the_place_and_the_project() -> None:
    lines = (prompt("a"), ended(), prompt("b"))
    assert [plain(u) for u in updates_of(*lines)] == [plain(u) for u in updates_of(*lines)]
    ids = {plain(u)["execution_id"] for u in updates_of(*lines) if u.execution_id is None}
    assert len(ids) == 2
    other = OldHistory("another")
    assert ids.isdisjoint(plain(u)["execution_id"] for u in other.take(taken(lines[0])))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.just(stamp(3)) | JSON,
        "direction": st.sampled_from(["client", "claude"]) | JSON,
        "message": st.fixed_dictionaries({}, optional={"type": JSON, "content": JSON}) | JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | FIELDS.map(lambda v: json.dumps(v).encode()))
def test_any_line_is_taken_left_out_or_refused(raw: bytes) -> None:
    history = OldHistory(PROJECT)
    try:
        record = read_line(raw, LINE_MAX)
    except LineRefused as refusal:
        assert isinstance(refusal.fault, Fault)
        return
    if record is None:
        assert not raw.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")
        return
    found = [*history.take(record), *history.finish()]
    kinds = [update.update_type for update in found]
    assert kinds.count(UpdateType.EXECUTION_FINISHED) == 1
    assert all(isinstance(plain(update), dict) for update in found)
