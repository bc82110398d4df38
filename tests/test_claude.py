"""The CLI's arguments and lines, against captured sessions of the real program. Pure."""

import json

import pytest

from protocol import claude
from protocol.claude import SessionChoice
from protocol.requests import Options
from protocol.updates import UpdateType

MAX = 10_000

# Cut from captured sessions; `type` does not stand first in 2.1.331's result.
RESULT_331 = (
    b'{"duration_api_ms":19,"session_id":"s1","total_cost_usd":0.5,"is_error":false,'
    b'"num_turns":1,"subtype":"success","result":"ONE","type":"result",'
    b'"model_usage_since_last_result":{"a":{"costUSD":0.25},"b":{"costUSD":0.125}}}'
)
RESULT_197 = (
    b'{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"ok",'
    b'"session_id":"s1","total_cost_usd":0.5}'
)
UNKNOWN_SESSION = (
    b'{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,'
    b'"session_id":"gone","total_cost_usd":0,'
    b'"errors":["No conversation found with session ID: gone"]}'
)
MAX_TURNS = (
    b'{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":3,'
    b'"session_id":"s1","errors":["Reached maximum number of turns (2)"]}'
)


def parsed(raw: bytes) -> claude.AgentLine:
    line = claude.parse_line(raw, MAX)
    assert line is not None
    return line


def test_arguments_are_single_words_with_their_values() -> None:
    options = Options(model="opus", allowed_tools=["Bash(git *)", "Read"], add_dirs=["/a", "/b"])
    args = claude.arguments(options, SessionChoice(resume="s1"), "ask")
    assert args[: len(claude.FIXED_ARGUMENTS)] == list(claude.FIXED_ARGUMENTS)
    assert "--resume=s1" in args and "-c" not in args
    assert "--allowedTools=Bash(git *),Read" in args
    assert args[-2:] == ["--add-dir=/a", "--add-dir=/b"]
    assert all(arg.startswith("-") for arg in args)
    assert "--disallowedTools=ScheduleWakeup,Monitor" in args


@pytest.mark.parametrize(
    ("option", "default", "mode"),
    [(None, "ask", "default"), (None, "plan", "plan"), ("acceptEdits", "plan", "acceptEdits")],
)
def test_the_permission_mode_is_always_said(option: str | None, default: str, mode: str) -> None:
    args = claude.arguments(Options(permission_mode=option), SessionChoice(), default)
    assert f"--permission-mode={mode}" in args


def test_a_session_is_continued_resumed_or_new() -> None:
    assert "-c" in claude.arguments(Options(), SessionChoice(continue_latest=True), "ask")
    fresh = claude.arguments(Options(), SessionChoice(), "ask")
    assert "-c" not in fresh and not any(arg.startswith("--resume") for arg in fresh)


def test_input_lines_are_one_line_each() -> None:
    line = claude.user_line("-a\n\u2028b", "u1")
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["message"] == {"role": "user", "content": "-a\n\u2028b"}
    assert json.loads(line)["uuid"] == "u1"
    assert json.loads(claude.end_session_line("r"))["request"] == {"subtype": "end_session"}
    assert json.loads(claude.refuse_control_line("r"))["response"]["subtype"] == "error"


def test_a_result_ends_the_turn_wherever_its_type_stands() -> None:
    line = parsed(RESULT_331)
    assert line.turn_end == claude.TurnEnd(False, "ONE", 0.375, forgotten=False)
    assert (line.update_type, line.session_id, line.data) == (UpdateType.CLAUDE, "s1", RESULT_331)
    assert parsed(RESULT_197).turn_end == claude.TurnEnd(False, "ok", 0.5, forgotten=False)


def test_errors_of_a_turn() -> None:
    assert parsed(MAX_TURNS).turn_end == claude.TurnEnd(
        True, "Reached maximum number of turns (2)", None, forgotten=False
    )
    unknown = parsed(UNKNOWN_SESSION)
    assert unknown.turn_end is not None and unknown.turn_end.forgotten
    assert unknown.session_id is None


@pytest.mark.parametrize(
    "cost",
    [
        b'"total_cost_usd":1e999',
        b'"total_cost_usd":1' + b"0" * 400,
        b'"total_cost_usd":"x"',
        b'"model_usage_since_last_result":[]',
        b'"model_usage_since_last_result":{"m":{"costUSD":1e999}}',
        b'"errors":5',
    ],
)
def test_a_strange_result_is_a_result_all_the_same(cost: bytes) -> None:
    line = parsed(b'{"type":"result","is_error":false,"result":"x",%b}' % cost)
    assert line.turn_end == claude.TurnEnd(False, "x", None, forgotten=False)


@pytest.mark.parametrize("name", ["\\ud800", "a\\u0000b", "-x", "", "x" * 200])
def test_a_session_must_be_able_to_be_an_argument(name: str) -> None:
    line = parsed(b'{"type":"system","subtype":"init","session_id":"%b"}' % name.encode())
    assert line.session_id is None


def test_a_control_request_with_an_endless_id_is_not_answered() -> None:
    line = parsed(b'{"type":"control_request","request_id":"%b"}' % (b"r" * 1000))
    assert (line.update_type, line.control_request_id) == (None, None)


def test_lines_by_their_kind() -> None:
    assert parsed(b'{"a":1,"type":"stream_event"}').update_type is UpdateType.CLAUDE_DELTA
    assert parsed(b'{"type":"whatever"}').update_type is UpdateType.CLAUDE
    assert parsed(b'{"no":"type"}').update_type is UpdateType.CLAUDE
    for kind in (b"control_response", b"control_cancel_request"):
        assert parsed(b'{"type":"%b"}' % kind).update_type is None
    asked = parsed(b'{"type":"control_request","request_id":"r"}')
    assert (asked.update_type, asked.control_request_id) == (None, "r")
    init = parsed(b'{"type":"system","subtype":"init","session_id":"s2"}')
    assert init.session_id == "s2"
    assert parsed(b'{"type":"assistant","session_id":"s3"}').session_id is None


def test_white_space_and_empty_lines() -> None:
    assert claude.parse_line(b"", MAX) is None
    assert claude.parse_line(b" \r", MAX) is None
    assert parsed(b'{"a":1}\r').data == b'{"a":1}'


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"[1]", "[1]"),
        (b'{"a":NaN}', '{"a":NaN}'),
        (b"\xff", "\ufffd"),
        (b'\xef\xbb\xbf{"a":1}', "\ufeff" + '{"a":1}'),
        (b"[" * 5000, "[" * 5000),
    ],
)
def test_what_is_no_object_is_kept_as_text(raw: bytes, text: str) -> None:
    line = parsed(raw)
    assert line.update_type is UpdateType.CLAUDE_TEXT
    assert json.loads(line.data) == {"text": text}


def test_long_lines_are_cut_and_say_so() -> None:
    line = parsed(b'"' + b"x" * MAX + b'"')
    data = json.loads(line.data)
    assert (data["truncated"], data["size_bytes"], len(data["text"])) == (True, MAX + 2, MAX)
    # Control characters grow in JSON: the bound that clients were told holds.
    line = parsed(b"\x01" * MAX)
    assert len(line.data) < claude.STORED_GROWTH_MAX * MAX + 100
    assert json.loads(line.data)["size_bytes"] == MAX
