"""A process that goes on after its turn is ended: nobody would see how it ends."""

import signal

import pytest

from actors import messages
from actors.executor import worker as worker_module
from actors.executor.output import LINE_COST_BYTES
from actors.executor.worker import OUTSIDE_BYTES_MAX, OUTSIDE_WITH_TASKS_BYTES_MAX
from protocol.claude import SessionChoice
from protocol.updates import Outcome
from tests.executor_setup import INIT, LINE, RESULT, Left, Setup, found, no_processes, setup

__all__ = ["no_processes", "setup"]

BIG = b'{"type":"assistant","text":"' + b"x" * 900 + b'"}'
TASK = b'{"type":"system","subtype":"task_started","task_id":"t"}'


def lines_until(limit_bytes: int) -> int:
    """Return how many of BIG fit into a limit."""
    return limit_bytes // (len(BIG) + 1 + LINE_COST_BYTES)


def stored(setup: Setup) -> int:
    return sum(len(output.lines) for output in setup.told(messages.AgentOutput))


def test_a_process_that_writes_on_behind_its_result_is_ended(setup: Setup) -> None:
    setup.start()
    setup.read(INIT, RESULT)
    setup.end()
    fits = lines_until(OUTSIDE_BYTES_MAX)
    setup.read(*[BIG] * fits)
    assert stored(setup) == fits and setup.process.signals == []
    setup.read(BIG, BIG, RESULT)
    assert setup.process.signals == [signal.SIGTERM]
    setup.read(*[BIG] * 100)
    assert stored(setup) == 0, "what it says then is dropped"
    setup.fire(messages._RungDue)
    assert setup.process.signals == [signal.SIGTERM, signal.SIGKILL]
    setup.gone(-9)
    setup.start(execution_id="f")
    assert [p["message"]["content"] for p in setup.process.prompts()] == ["hi"], "a new process"


def test_many_tiny_lines_count_too(setup: Setup) -> None:
    setup.start()
    setup.read(INIT, RESULT)
    setup.read(*[b"{}"] * (OUTSIDE_BYTES_MAX // LINE_COST_BYTES + 1))
    assert setup.process.signals == [signal.SIGTERM]


@pytest.mark.parametrize("line", [b'{"type":"control_response"}', b"", b"no json"])
def test_lines_that_are_not_shown_count_too(setup: Setup, line: bytes) -> None:
    setup.start()
    setup.read(INIT, RESULT)
    setup.read(*[line] * (OUTSIDE_BYTES_MAX // LINE_COST_BYTES))
    setup.read(line)
    assert setup.process.signals == [signal.SIGTERM]


def test_a_line_that_does_not_end_counts_too(setup: Setup) -> None:
    setup.start()
    setup.read(INIT, RESULT)
    name = setup.process.process_name
    for _ in range(2):
        size_bytes = OUTSIDE_BYTES_MAX * 2 // 3
        setup.tell(messages._OutputRead(process_name=name, lines=(), size_bytes=size_bytes))
    assert setup.process.signals == [signal.SIGTERM]


def test_a_question_while_the_turn_is_tidied_is_refused(setup: Setup) -> None:
    """Nobody would answer it, and the next prompt would wait for it."""
    setup.start()
    setup.process.left_of_turn = found(Left())
    setup.read(INIT, RESULT)
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    (answer,) = setup.process.answers()
    assert answer["response"]["behavior"] == "deny"
    assert setup.process.signals == [signal.SIGTERM]


def test_a_question_that_its_turn_leaves_open_is_denied(setup: Setup) -> None:
    setup.start()
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    setup.read(RESULT)
    (answer,) = setup.process.answers()
    assert answer["request_id"] == "r" and answer["response"]["behavior"] == "deny"


def test_a_flood_before_the_turn_is_tidied_does_not_change_its_end(setup: Setup) -> None:
    setup.start()
    setup.process.left_of_turn = found(Left())
    setup.read(INIT, RESULT)
    setup.read(*[BIG] * (lines_until(OUTSIDE_BYTES_MAX) + 1))
    assert setup.process.signals == [signal.SIGTERM]
    setup.gone(-15)
    assert setup.end().outcome is Outcome.SUCCESS


def test_each_prompt_begins_the_count_again(setup: Setup) -> None:
    setup.start()
    for number in range(3):
        setup.read(INIT, RESULT)
        setup.read(*[BIG] * (lines_until(OUTSIDE_BYTES_MAX) * 2 // 3))
        setup.start(SessionChoice(resume="s"), f"f{number}")
    assert setup.process.signals == []


def test_a_flood_while_it_is_let_go_ends_it_at_once(setup: Setup) -> None:
    setup.start()
    setup.read(INIT, RESULT)
    setup.tell(messages.LetGo())
    setup.read(*[BIG] * (lines_until(OUTSIDE_BYTES_MAX) + 1))
    assert setup.process.signals == [signal.SIGTERM]


def test_work_in_the_background_may_say_more() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.read(INIT, TASK, RESULT)
    setup.read(*[BIG] * (lines_until(OUTSIDE_BYTES_MAX) * 2))
    assert setup.process.signals == []


def test_work_in_the_background_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OUTSIDE_WITH_TASKS_BYTES_MAX > OUTSIDE_BYTES_MAX
    monkeypatch.setattr(worker_module, "OUTSIDE_WITH_TASKS_BYTES_MAX", OUTSIDE_BYTES_MAX * 2)
    setup = Setup(background=True)
    setup.start()
    setup.read(INIT, TASK, RESULT)
    setup.read(*[BIG] * (lines_until(OUTSIDE_BYTES_MAX * 2) + 1))
    assert setup.process.signals == [signal.SIGTERM]


@pytest.mark.parametrize("background", [False, True])
def test_a_process_that_asks_between_turns_is_refused_and_ended(background: bool) -> None:
    setup = Setup(background=background)
    setup.start()
    setup.read(INIT, LINE, RESULT)
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    (answer,) = setup.process.answers()
    assert answer["response"]["behavior"] == "deny"
    assert setup.process.signals == [signal.SIGTERM]
    assert setup.told(messages.PermissionAsked) == []
