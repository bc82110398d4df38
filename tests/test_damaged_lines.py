"""A line of the CLI that something has damaged is kept as it came, and still decides."""

import json
from typing import Any

import pytest

from actors import messages
from actors.executor.turns import NO_RESULT, RESULT_GRACE_S
from protocol.claude import ControlRequest, Phase, SessionChoice, parse_line
from protocol.claude.damaged_line import TRIES_MAX, salvaged
from protocol.updates import Outcome, UpdateType
from tests.executor_setup import INIT, LINE, KnownCli, Setup, no_processes, setup

__all__ = ["no_processes", "setup"]

RESULT = b'{"type":"result","is_error":false,"num_turns":1,"result":"done","session_id":"s"}'
OTHER = b'{"type":"assistant","message":{"content":[]}}'
BOM = b"\xef\xbb\xbf"

DAMAGED = {
    "another object before it": OTHER + RESULT,
    "another object behind it": RESULT + OTHER,
    "an escape sequence before it": b"\x1b[2K\x1b[1G" + RESULT,
    "an escape sequence behind it": RESULT + b"\x1b[0m",
    "a title of a terminal before it": b"\x1b]0;claude\x07" + RESULT,
    "a byte order mark before it": BOM + RESULT,
    "NUL bytes around it": b"\0\0" + RESULT + b"\0",
    "a NUL byte in it": RESULT.replace(b'"done"', b'"do\0ne"'),
    "half of another object before it": b'{"type":"assistant","mess' + RESULT,
    "half of another object behind it": RESULT + b'{"type":"assist',
    "a word before it": b"warning: " + RESULT,
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_result_ends_its_turn_and_is_kept_as_it_came(setup: Setup, line: bytes) -> None:
    setup.start()
    setup.read(INIT, line)
    told = setup.project.take()
    ended = [m for m in told if isinstance(m, messages.RunEnded)]
    assert [(e.outcome, e.result) for e in ended] == [(Outcome.SUCCESS, "done")]
    shown = [m for m in told if isinstance(m, messages.AgentOutput)][-1].lines[-1]
    assert shown.update_type is UpdateType.CLAUDE_TEXT
    assert json.loads(shown.data)["text"] == line.decode("utf-8", errors="replace")


@pytest.mark.parametrize(
    "line",
    [
        b"plain text",
        b'the agent said {"type":"result","is_error":false} and went on',
        b'{"type":"result"',
        b'{"no":"type"}{"still":"none"}',
        b"[1,2]",
        b"}{",
        b"{" * 100_000,
        b'{"a":' * 5_000,
    ],
)
def test_a_line_without_a_whole_object_decides_nothing(line: bytes) -> None:
    parsed = parse_line(line, 1 << 20)
    assert parsed is not None
    assert parsed.update_type is UpdateType.CLAUDE_TEXT
    assert (parsed.turn_end, parsed.control, parsed.session_id) == (None, None, None)


def test_what_a_broken_object_holds_hides_nothing() -> None:
    """Its own braces are no places at which another object may begin."""
    blocks = b'{"type":"text","text":"x"},' * (TRIES_MAX * 4)
    broken = b'{"type":"assistant","message":{"content":[' + blocks + b'{"ty' + RESULT
    found = salvaged(broken)
    assert found is not None and found["type"] == "result"


def test_only_so_many_places_are_tried() -> None:
    assert salvaged(b"{ " * (TRIES_MAX - 1) + RESULT) is not None
    assert salvaged(b"{ " * TRIES_MAX + RESULT) is None


def test_a_damaged_question_is_asked_and_shown(setup: Setup) -> None:
    body = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    line = json.dumps({"type": "control_request", "request_id": "r", "request": body}).encode()
    parsed = parse_line(BOM + line, 1000)
    assert parsed is not None and isinstance(parsed.control, ControlRequest)
    setup.start()
    setup.read(INIT, BOM + line)
    told = setup.project.take()
    (asked,) = [m for m in told if isinstance(m, messages.PermissionAsked)]
    assert asked.request.input == {"command": "x"}
    lines = [m for m in told if isinstance(m, messages.AgentOutput)][-1].lines
    assert lines[-1].update_type is UpdateType.CLAUDE_TEXT


def test_a_damaged_answer_of_the_cli_is_heard(setup: Setup) -> None:
    setup.start(allowed_tools=["Bash"])
    (request,) = setup.process.controls("apply_flag_settings")
    answer = {"subtype": "success", "request_id": request["id"]}
    line = json.dumps({"type": "control_response", "response": answer}).encode()
    setup.read(line + b"\x1b[K")
    assert len(setup.process.prompts()) == 1


# -- a result that cannot be read at all -----------------------------------------------------

HALF, REST = RESULT[:30], RESULT[30:]


def lifecycle(setup: Setup, state: str) -> bytes:
    uuid = setup.process.prompts()[-1]["uuid"]
    return json.dumps({"type": "command_lifecycle", "command_uuid": uuid, "state": state}).encode()


def session_state(state: str) -> bytes:
    line = {"type": "system", "subtype": "session_state_changed", "state": state}
    return json.dumps(line).encode()


@pytest.mark.parametrize("state", ["completed", "cancelled"])
def test_a_turn_ends_a_moment_after_the_cli_is_done_with_its_prompt(
    setup: Setup, state: str
) -> None:
    setup.start()
    setup.read(INIT, HALF + OTHER, REST, lifecycle(setup, state))
    assert setup.told(messages.RunEnded) == []
    (timer,) = [t for t in setup.timers.pending if isinstance(t.message, messages._ResultDue)]
    assert timer.delay_s == RESULT_GRACE_S
    setup.fire(messages._ResultDue)
    ended = setup.end()
    assert (ended.outcome, ended.result) == (Outcome.ERROR, NO_RESULT)
    setup.start(execution_id="f")
    assert setup.told(messages.RunEnded) == [], "the process is free for the next prompt"


def test_an_older_cli_says_that_it_is_idle(setup: Setup) -> None:
    setup.start()
    setup.read(session_state("running"), INIT, HALF + OTHER, REST, session_state("idle"))
    setup.fire(messages._ResultDue)
    assert setup.end().outcome is Outcome.ERROR


def test_the_idle_of_the_turn_before_is_not_of_this_one(setup: Setup) -> None:
    setup.start()
    setup.read(session_state("running"), INIT, RESULT)
    setup.end()
    setup.start(SessionChoice(resume="s"), "f")
    setup.read(session_state("idle"), session_state("running"), INIT, LINE)
    setup.fire(messages._ResultDue)
    assert setup.told(messages.RunEnded) == []
    setup.read(RESULT)
    assert setup.end().outcome is Outcome.SUCCESS


def test_a_result_that_comes_late_is_still_the_end(setup: Setup) -> None:
    setup.start()
    setup.read(INIT, lifecycle(setup, "completed"))
    uuid = setup.process.prompts()[-1]["uuid"]
    setup.read(RESULT[:-1] + f',"user_message_uuids":["{uuid}"]}}'.encode())
    setup.fire(messages._ResultDue)
    assert setup.end().outcome is Outcome.SUCCESS


def test_an_interrupt_without_a_readable_result_is_an_interrupt(setup: Setup) -> None:
    setup.start()
    setup.read(INIT)
    setup.interrupt()
    setup.read(HALF, lifecycle(setup, "cancelled"))
    setup.fire(messages._ResultDue)
    assert setup.end().outcome is Outcome.INTERRUPTED


def test_phases_are_read_wherever_they_stand() -> None:
    states = {"running": Phase.RUNNING, "idle": Phase.IDLE, "odd": Phase.WAITING}
    for state, phase in states.items():
        line = parse_line(session_state(state), 1000)
        assert line is not None and line.phase is phase


@pytest.mark.parametrize("environment", [{}, {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}])
def test_states_that_only_the_hub_asks_for_are_not_passed_on(environment: Any) -> None:
    setup = Setup(environment=environment)
    setup.start()
    assert setup.process.spec.environment["CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"] == "1"
    setup.read(session_state("running"), LINE, session_state("requires_action"), RESULT)
    lines = [line for m in setup.told(messages.AgentOutput) for line in m.lines]
    assert len(lines) == (4 if environment else 2)


def test_a_cli_that_names_prompts_is_not_asked_for_its_state() -> None:
    setup = Setup(cli=KnownCli(knows_snapshots=True))
    setup.start()
    assert "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS" not in setup.process.spec.environment


# -- a result that is not this prompt's ------------------------------------------------------


def named(setup: Setup, line: bytes) -> bytes:
    uuid = setup.process.prompts()[-1]["uuid"]
    return line[:-1] + f',"user_message_uuids":["{uuid}"]}}'.encode()


def test_a_result_without_a_uuid_ends_nothing_where_the_cli_names_them(setup: Setup) -> None:
    """A late one, or one that somebody else has written to the CLI's output."""
    setup.start()
    setup.read(lifecycle(setup, "queued"), INIT, RESULT)
    assert setup.told(messages.RunEnded) == []
    setup.read(named(setup, RESULT))
    assert setup.end().outcome is Outcome.SUCCESS


def test_a_late_result_does_not_end_the_next_prompt(setup: Setup) -> None:
    """It comes before the CLI has said anything of the next prompt."""
    setup.start()
    setup.read(INIT, named(setup, RESULT))
    setup.end()
    setup.start(SessionChoice(resume="s"), "f")
    setup.read(RESULT)
    assert setup.told(messages.RunEnded) == []
    setup.read(named(setup, RESULT))
    assert setup.end().execution_id == "f"


def test_a_result_with_a_foreign_uuid_does_not_make_the_cli_one_that_names_them(
    setup: Setup,
) -> None:
    setup.start()
    setup.read(INIT, RESULT[:-1] + b',"user_message_uuids":["foreign"]}')
    assert setup.told(messages.RunEnded) == []
    setup.read(RESULT)
    assert setup.end().outcome is Outcome.SUCCESS
