"""The CLI's arguments and lines, against captured sessions of the real program. Pure."""

import json

import pytest

from protocol import claude
from protocol.claude import Phase, SessionChoice
from protocol.requests import Options
from protocol.updates import UpdateType

MAX = 10_000
NEW_SESSION = SessionChoice()

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


def arguments(
    options: Options, session: SessionChoice = NEW_SESSION, default: str = "ask", **facts: bool
) -> list[str]:
    launch, turn = claude.settings_of(options, default)
    given = {"background": False, "knows_snapshots": False, **facts}
    return claude.arguments(session, launch, turn, **given)


def test_arguments_are_single_words_with_their_values() -> None:
    options = Options(
        model="opus",
        fallback_model="haiku",
        append_system_prompt="be brief",
        max_turns=3,
        allowed_tools=["Bash(git *)", "Read"],
        add_dirs=["/a", "/b"],
    )
    args = arguments(options, SessionChoice(resume="s1"))
    assert args[: len(claude.FIXED_ARGUMENTS)] == list(claude.FIXED_ARGUMENTS)
    assert args[len(claude.FIXED_ARGUMENTS) :] == [
        "--resume=s1",
        "--permission-mode=default",
        "--model=opus",
        "--fallback-model=haiku",
        "--disallowedTools=ScheduleWakeup,Monitor",
        "--append-system-prompt=be brief",
        "--max-turns=3",
    ]
    assert not any(
        "Disallowed" in a or "disallowed" in a for a in arguments(options, background=True)
    )
    assert "--system-prompt-snapshot=off" in arguments(options, knows_snapshots=True)


def test_permission_rules_are_messages_and_not_arguments() -> None:
    _, turn = claude.settings_of(Options(allowed_tools=["Read"], add_dirs=["/a"]), "ask")
    line = json.loads(claude.permissions_line("r", turn.rules))
    assert line["request"]["settings"] == {
        "permissions": {"allow": ["Read"], "additionalDirectories": ["/a"]}
    }
    taken_back = json.loads(claude.permissions_line("r", claude.Rules()))
    assert taken_back["request"]["settings"] == {"permissions": None}


@pytest.mark.parametrize(
    ("option", "remembered", "default", "mode"),
    [
        (None, None, "ask", "default"),
        (None, None, "plan", "plan"),
        (None, "acceptEdits", "plan", "acceptEdits"),
        ("dontAsk", "acceptEdits", "plan", "dontAsk"),
    ],
)
def test_the_permission_mode_is_always_an_argument(
    option: str | None, remembered: str | None, default: str, mode: str
) -> None:
    _, turn = claude.settings_of(Options(permission_mode=option), default, remembered)
    assert turn.mode == mode


def test_a_session_is_continued_resumed_or_new() -> None:
    assert "-c" in arguments(Options(), SessionChoice(continue_latest=True))
    fresh = arguments(Options())
    assert "-c" not in fresh and not any(arg.startswith("--resume") for arg in fresh)


def test_input_lines_are_one_line_each() -> None:
    line = claude.user_line("-a\n\u2028b", "u1")
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["message"] == {"role": "user", "content": "-a\n\u2028b"}
    assert json.loads(line)["uuid"] == "u1"
    assert json.loads(claude.end_session_line("r"))["request"] == {"subtype": "end_session"}
    assert json.loads(claude.refuse_control_line("r"))["response"]["subtype"] == "error"


def test_a_result_is_recognised_wherever_its_type_stands() -> None:
    line = parsed(RESULT_331)
    assert line.turn_end == claude.TurnEnd(False, "ONE", 0.375, 0.5)
    assert (line.update_type, line.session_id, line.data) == (UpdateType.CLAUDE, "s1", RESULT_331)
    assert parsed(RESULT_197).turn_end == claude.TurnEnd(False, "ok", None, 0.5)


def test_each_error_of_a_turn_has_its_text() -> None:
    assert parsed(MAX_TURNS).turn_end == claude.TurnEnd(True, "Reached maximum number of turns (2)")
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
def test_an_unusual_result_still_ends_the_turn(cost: bytes) -> None:
    line = parsed(b'{"type":"result","is_error":false,"result":"x",%b}' % cost)
    assert line.turn_end == claude.TurnEnd(False, "x")


@pytest.mark.parametrize("name", ["\\ud800", "a\\u0000b", "-x", "", "x" * 200])
def test_a_session_id_that_cannot_be_an_argument_is_ignored(name: str) -> None:
    line = parsed(b'{"type":"system","subtype":"init","session_id":"%b"}' % name.encode())
    assert line.session_id is None


def test_a_control_request_with_a_huge_id_gets_no_answer() -> None:
    line = parsed(b'{"type":"control_request","request_id":"%b"}' % (b"r" * 1000))
    assert (line.update_type, line.control) == (None, None)


def test_each_kind_of_line_becomes_its_update() -> None:
    assert parsed(b'{"a":1,"type":"stream_event"}').update_type is UpdateType.CLAUDE_DELTA
    assert parsed(b'{"type":"whatever"}').update_type is UpdateType.CLAUDE
    assert parsed(b'{"no":"type"}').update_type is UpdateType.CLAUDE
    for kind in (b"control_response", b"control_cancel_request"):
        assert parsed(b'{"type":"%b"}' % kind).update_type is None
    asked = parsed(b'{"type":"control_request","request_id":"r","request":{"subtype":"x"}}')
    assert asked.update_type is None
    assert asked.control == claude.ControlRequest("r", "x", {"subtype": "x"})
    answered = parsed(
        b'{"type":"control_response","response":{"subtype":"error","request_id":"r","error":"no"}}'
    )
    assert answered.control == claude.ControlResponse("r", "no", {})
    withdrawn = parsed(b'{"type":"control_cancel_request","request_id":"r"}')
    assert withdrawn.control == claude.ControlCancel("r")
    init = parsed(b'{"type":"system","subtype":"init","session_id":"s2"}')
    assert (init.session_id, init.phase) == ("s2", Phase.INIT)
    assert parsed(b'{"type":"assistant","session_id":"s3"}').session_id is None


def test_white_space_and_empty_lines_are_ignored() -> None:
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
def test_a_line_that_is_no_object_becomes_text(raw: bytes, text: str) -> None:
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


def test_a_cut_line_stays_below_the_announced_size() -> None:
    """A control character becomes six characters in JSON."""
    for line in (
        claude.long_line(b"\x01" * 1000, b"\x01", 5000),
        claude.text_line(b"\x01" * 1000, 1000),
    ):
        assert len(line.data) < claude.STORED_GROWTH_MAX * 1000 + 100
        assert json.loads(line.data)["truncated"] is True
    assert json.loads(claude.long_line(b"\x01" * 1000, b"", 5000).data)["size_bytes"] == 5000


LOOKS_LIKE_A_RESULT = b'{"type":"result","num_turns":3,"blob":"'
LOOKS_LIKE_A_QUESTION = b'{"type":"control_request","request_id":"r","blob":"'


@pytest.mark.parametrize("inner", [LOOKS_LIKE_A_RESULT, LOOKS_LIKE_A_QUESTION])
def test_a_tools_input_is_not_mistaken_for_the_line(inner: bytes) -> None:
    head = b'{"type":"assistant","message":{"content":[{"input":' + inner + b"x" * 5000
    behind = inner.replace(b',"blob":"', b"}") + b',"uuid":"u"}]}}'
    line = claude.long_line(head, b"x" * 5000 + b'"}' + behind, 20_000)
    assert line.update_type is UpdateType.CLAUDE_TEXT
    assert (line.turn_end, line.control, line.uuids) == (None, None, ())


@pytest.mark.parametrize("kind_first", [True, False])
def test_a_long_result_is_recognised_by_either_end(kind_first: bool) -> None:
    """Its text may hold braces, quotation marks and backslashes."""
    text = rb"\"{\\" + b'","structured":{"a":[{"num_turns":1}]},"x":"'
    ends = b'"is_error":true,"num_turns":2,"user_message_uuid":"u","session_id":"s"'
    kind = b'"type":"result"'
    if kind_first:
        line = claude.long_line(b"{" + kind + b"," + ends + b',"result":"x', b"y" * 50, 9000)
    else:
        tail = b'xyz\\\\",' + ends + b',"result":"' + text + b'",' + kind + b"}"
        line = claude.long_line(b'{"usage":{"type":"x"},"result":"' + b"x" * 100, tail, 9000)
    assert line.turn_end is not None and line.turn_end.is_error
    assert (line.session_id, line.uuids) == ("s", ("u",))


def test_a_cost_is_a_finite_number() -> None:
    for cost in (b"-3", b"true", b'"1"', b"1e999"):
        line = parsed(b'{"type":"result","num_turns":1,"total_cost_usd":%b}' % cost)
        assert line.turn_end is not None and line.turn_end.total_cost_usd is None
