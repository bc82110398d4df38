"""How executions and processes end: ladder, tidying, sweep, drain. Unstarted."""

import itertools
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors import messages
from actors.executor import starter
from actors.executor.worker import CLI_CLEANS_S
from actors.process_tree import ends
from actors.process_tree.ends import FAILED_LOOKS_MAX, TERM_LOOKS, UNSURE_LOOKS_MAX, Ending
from protocol.claude import SessionChoice
from protocol.updates import Outcome
from tests.executor_setup import (
    ABORTED,
    FORGOTTEN,
    INIT,
    LINE,
    RESULT,
    FakeProcess,
    Left,
    Setup,
    cold,
    found,
    no_processes,
    note_signal,
    sent,
    setup,
)

__all__ = ["cold", "no_processes", "setup"]

LADDER = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]


def test_a_timeout_begins_with_the_gentlest_step(setup: Setup) -> None:
    setup.start()
    setup.fire(messages._WatchdogFired)
    assert len(setup.process.controls("interrupt")) == 1 and setup.process.signals == []
    for _ in range(4):
        setup.fire(messages._RungDue)
    assert setup.process.signals == LADDER
    setup.gone(-9)
    end = setup.end()
    assert (end.outcome, end.exit_code) == (Outcome.TIMEOUT, 137)
    assert end.result == "Ended after its time limit of 60 s."


@pytest.mark.parametrize("wish", ["interrupt", "timeout"])
def test_a_turn_that_stops_when_asked_leaves_the_process(setup: Setup, wish: str) -> None:
    setup.start()
    setup.read(INIT)
    if wish == "interrupt":
        setup.interrupt()
        setup.interrupt()
    else:
        setup.fire(messages._WatchdogFired)
    assert len(setup.process.controls("interrupt")) == 1
    setup.read(ABORTED)
    end = setup.end()
    assert end.exit_code is None
    assert end.outcome == (Outcome.INTERRUPTED if wish == "interrupt" else Outcome.TIMEOUT)
    setup.fire(messages._RungDue)  # late
    assert setup.process.signals == []
    setup.start(SessionChoice(resume="s"), "f")
    assert len(FakeProcess.started) == 1


def test_an_interrupt_before_the_prompt_was_sent(setup: Setup) -> None:
    setup.start(permission_mode="plan", allowed_tools=["Read"])
    assert setup.process.prompts() == []
    setup.interrupt()
    assert setup.told(messages.RunEnded) == []  # it may be deaf
    setup.prepare()
    assert setup.end().outcome == Outcome.INTERRUPTED
    assert setup.process.prompts() == [] and setup.process.signals == []


@pytest.mark.parametrize("wish", ["interrupt", "timeout"])
def test_a_process_that_does_not_answer_during_preparation_is_ended(
    setup: Setup, wish: str
) -> None:
    setup.start(allowed_tools=["Read"])
    if wish == "interrupt":
        setup.interrupt()
    else:
        setup.fire(messages._WatchdogFired)
    for _ in range(3):
        setup.fire(messages._RungDue)
    assert setup.process.signals == LADDER[:3]
    setup.gone(-9)
    expected = Outcome.INTERRUPTED if wish == "interrupt" else Outcome.TIMEOUT
    assert setup.end().outcome == expected


def test_an_interrupt_that_takes_the_prompt_back(setup: Setup) -> None:
    """Version 2.1.331 gives no result then."""
    setup.start()
    uuid = setup.process.prompts()[0]["uuid"]
    setup.interrupt()
    request = setup.process.controls("interrupt")[0]
    assert request["cancel_queued"]
    setup.respond(request["id"], {"still_queued": [], "cancelled": ["other"]})
    assert setup.told(messages.RunEnded) == []
    setup.respond(request["id"], {"still_queued": [], "cancelled": [uuid]})
    assert setup.end().outcome == Outcome.INTERRUPTED


def test_a_prompt_that_must_wait_for_a_process_is_given_back(setup: Setup) -> None:
    """So that what changes meanwhile (its trust, its session, its key) holds for it."""
    setup.start()
    setup.read(INIT, RESULT)
    setup.project.take()
    setup.start(SessionChoice(), "f")
    (returned,) = setup.told(messages.RunReturned)
    assert (returned.execution_id, returned.until_process_ends) == ("f", True)
    setup.interrupt("f")
    setup.kill("f")
    assert setup.told(messages.RunEnded) == [], "the Project ends it"
    setup.gone()
    assert len(FakeProcess.started) == 2, "the Project has ordered it again"


def test_after_sigint_the_process_does_not_stay(setup: Setup) -> None:
    """It writes its result and then exits."""
    setup.start()
    setup.interrupt()
    setup.fire(messages._RungDue)
    assert setup.process.signals == [signal.SIGINT]
    setup.read(ABORTED)
    assert setup.told(messages.RunEnded) == []
    setup.gone(0)
    assert setup.end().outcome == Outcome.INTERRUPTED
    setup.start(SessionChoice(resume="s"), "f")
    assert len(FakeProcess.started) == 2


def test_a_kill_overtakes_a_timeout_and_cancels_its_timer(setup: Setup) -> None:
    setup.start()
    setup.fire(messages._WatchdogFired)
    old = list(setup.timers.pending)
    setup.kill()
    setup.kill()
    setup.kill("other")
    assert setup.process.signals == [signal.SIGTERM]
    for timer in old:
        if isinstance(timer.message, messages._RungDue):
            setup.tell(timer.message)
    assert setup.process.signals == [signal.SIGTERM]
    setup.gone(-15)
    assert setup.end().outcome == Outcome.KILLED


def test_a_success_during_an_interrupt_is_a_success(setup: Setup) -> None:
    setup.start()
    setup.kill()
    setup.read(RESULT)
    setup.gone(-15)
    assert setup.end().outcome == Outcome.SUCCESS


def test_a_process_that_does_not_leave_gets_sigterm(cold: Setup) -> None:
    cold.start()
    cold.read(RESULT)
    assert cold.process.controls("end_session") and cold.process.signals == []
    cold.fire(messages._RungDue)
    assert cold.process.signals == [signal.SIGTERM]
    cold.gone(-15)
    assert cold.end().outcome == Outcome.SUCCESS


def test_processes_of_a_turn_end_before_execution_finished(setup: Setup) -> None:
    setup.start()
    setup.process.left_of_turn = found(Left())
    setup.read(RESULT)
    assert setup.told(messages.RunEnded) == []
    setup.process.left_of_turn = found()
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.SUCCESS
    assert setup.process.settled == 1 and setup.process.signals == []


def test_processes_of_the_cli_end_before_execution_finished(setup: Setup) -> None:
    setup.start()
    setup.kill()
    setup.process.left = found(Left())
    setup.gone(-15)
    assert setup.told(messages.RunEnded) == []
    setup.process.left = found()
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.KILLED


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_unreadable_process_is_examined_again(setup: Setup, is_seen: bool) -> None:
    """A process during its exec shows no mark; one that has cleared its environment never will."""
    setup.start()
    setup.process.left = found(unreadable={7})
    setup.kill()
    setup.gone(-15)
    assert setup.told(messages.RunEnded) == []
    if is_seen:
        setup.process.left = found(Left())
        setup.fire(messages._SweepDue)
        assert setup.told(messages.RunEnded) == []
        setup.process.left = found()
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.KILLED


LOOKS_MAX = Ending().looks_max
PATIENT_LOOKS = Ending(CLI_CLEANS_S).looks_max - LOOKS_MAX


@pytest.mark.parametrize("fact", [{"fleeting": True}, {"failed": True}])
def test_a_look_that_is_not_sure_is_repeated_a_bounded_number_of_times(
    setup: Setup, fact: dict[str, bool]
) -> None:
    setup.start()
    setup.process.left = found(**fact)
    setup.gone(-9)
    for _ in range(UNSURE_LOOKS_MAX if "fleeting" in fact else FAILED_LOOKS_MAX + LOOKS_MAX - 1):
        assert setup.told(messages.RunEnded) == []
        setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.ERROR


def test_a_sweep_has_an_end(setup: Setup) -> None:
    setup.start()
    setup.process.left = found(Left())
    setup.gone()
    for _ in range(LOOKS_MAX):
        setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.ERROR


def test_tidying_has_an_end(setup: Setup) -> None:
    setup.start()
    setup.process.left_of_turn = found(Left())
    setup.read(RESULT)
    for _ in range(LOOKS_MAX):
        setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.SUCCESS


@pytest.mark.parametrize("way", ["result", "crash"])
def test_what_is_left_gets_sigterm_a_second_before_sigkill(setup: Setup, way: str) -> None:
    setup.start()
    left = Left(1 << 30), Left((1 << 30) + 1)
    setup.process.left = setup.process.left_of_turn = found(left[0], below=True)
    setup.read(RESULT) if way == "result" else setup.exit(1)
    assert sent == [([left[0].pid], signal.SIGTERM)]
    setup.process.left = setup.process.left_of_turn = found(*left)
    setup.fire(messages._SweepDue)
    assert sent[1:] == [([left[1].pid], signal.SIGTERM)]
    for _ in range(TERM_LOOKS - 1):
        assert len(sent) == 2
        setup.fire(messages._SweepDue)
    assert sent[2:] == [([left[0].pid], signal.SIGKILL)]
    setup.fire(messages._SweepDue)
    assert sent[3:] == [([process.pid for process in left], signal.SIGKILL)]


@pytest.mark.parametrize("wish", ["interrupt", "timeout"])
def test_after_an_interrupt_the_cli_ends_its_own_children(setup: Setup, wish: str) -> None:
    """It sends them SIGTERM itself. A second one could hit a program that cleans up."""
    setup.start()
    setup.interrupt() if wish == "interrupt" else setup.fire(messages._WatchdogFired)
    orphan, child = Left(1 << 30), Left((1 << 30) + 1)
    look = found(orphan, child)
    look.below = {child.pid}
    setup.process.left_of_turn = look
    setup.read(ABORTED)
    assert sent == [([orphan.pid], signal.SIGTERM)]
    setup.process.left_of_turn = found(child, below=True)
    for _ in range(PATIENT_LOOKS):
        assert len(sent) == 1
        setup.fire(messages._SweepDue)
    assert sent[1:] == [([child.pid], signal.SIGTERM)]


def test_a_turn_of_the_clis_own_does_not_wait_for_what_cleans_up() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.process.left_of_turn = found(Left())
    setup.read(INIT, RESULT)
    assert setup.told(messages.RunEnded) == []
    setup.read(INIT)
    assert sent[-1] == ([Left().pid], signal.SIGKILL)
    assert setup.end().outcome == Outcome.SUCCESS


def test_a_pipe_that_stays_open_is_given_up(cold: Setup) -> None:
    cold.start()
    cold.read(RESULT)
    cold.exit()
    assert not cold.process.output_stopped
    cold.fire(messages._DrainDue)
    assert cold.process.output_stopped
    cold.end_output(rest=(b"half", None))
    told = cold.project.take()
    texts = [m for m in told if isinstance(m, messages.AgentOutput)]
    assert texts[-1].lines[0].data == b'{"text":"half"}'
    assert any(isinstance(m, messages.RunEnded) for m in told)


def test_a_kill_during_the_sweep_of_a_forgotten_session_counts(setup: Setup) -> None:
    setup.start(SessionChoice(resume="s"))
    setup.read(FORGOTTEN)
    setup.process.left = found(Left())
    setup.gone(1)
    before = list(setup.process.signals)
    setup.kill()
    assert setup.process.signals == before
    setup.process.left = found()
    setup.fire(messages._SweepDue)
    assert setup.end().outcome == Outcome.KILLED


def test_late_timers_are_harmless(cold: Setup) -> None:
    cold.start()
    process_name = cold.process.process_name
    cold.read(RESULT)
    cold.gone()
    cold.end()
    for message in (
        messages._RungDue(process_name=process_name, change=1),
        messages._SweepDue(process_name=process_name, change=1),
        messages._DrainDue(process_name=process_name),
        messages._IdleDue(process_name=process_name, turns=1),
        messages._WatchdogFired(execution_id="e"),
        messages._ProcessExited(process_name=process_name, return_code=0),
        messages._OutputEnded(process_name=process_name, rest=None),
        messages.KillRun(execution_id="e", why="Killed."),
        messages.InterruptRun(execution_id="e"),
        messages.LetGo(),
    ):
        cold.tell(message)
    assert cold.project.take() == []


# -- exactly one end, whatever comes in whatever order ---------------------------------------

EVENTS: dict[str, Any] = {
    "line": lambda s: s.read(LINE),
    "init": lambda s: s.read(INIT),
    "result": lambda s: s.read(RESULT),
    "aborted": lambda s: s.read(ABORTED),
    "exit": lambda s: s.exit(1),
    "eof": lambda s: s.end_output(),
    "timeout": lambda s: s.fire(messages._WatchdogFired),
    "kill": lambda s: s.kill(),
    "interrupt": lambda s: s.interrupt(),
    "grace": lambda s: s.fire(messages._RungDue),
    "prepared": lambda s: s.prepare(),
    "let go": lambda s: s.tell(messages.LetGo(tasks_too=True)),
    "idle": lambda s: s.fire(messages._IdleDue),
    "sweep": lambda s: s.fire(messages._SweepDue),
}


def ends_of(setup: Setup, events: tuple[str, ...]) -> list[messages.RunEnded]:
    """Each process ends once; in the end everything comes to its end."""
    exited: set[int] = set()
    ended: set[int] = set()
    for name in (*events, "exit", "eof", "sweep", "exit", "eof", "exit", "eof"):
        process = setup.process
        if name in ("exit", "eof"):
            done = exited if name == "exit" else ended
            if process.pid in done:
                continue
            done.add(process.pid)
        EVENTS[name](setup)
    return setup.told(messages.RunEnded)


@pytest.mark.parametrize("keeps_warm", [True, False])
def test_every_order_of_four_events_has_one_end(keeps_warm: bool) -> None:
    names = ("result", "exit", "eof", "timeout", "kill", "interrupt", "grace", "line")
    for events in itertools.permutations(names, 4):
        FakeProcess.started = []
        setup = Setup(keeps_warm=keeps_warm)
        setup.start()
        ends = ends_of(setup, events)
        assert [e.execution_id for e in ends] == ["e"], events


@given(
    events=st.lists(st.sampled_from(sorted(EVENTS)), max_size=14),
    keeps_warm=st.booleans(),
    background=st.booleans(),
    named=st.booleans(),
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_any_sequence_has_one_end(
    events: list[str], keeps_warm: bool, background: bool, named: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starter, "AgentProcess", FakeProcess)
        patch.setattr(ends, "send", note_signal)
        FakeProcess.started = []
        setup = Setup(keeps_warm=keeps_warm, background=background)
        setup.start(**({"model": "opus", "allowed_tools": ["Read"]} if named else {}))
        told = ends_of(setup, tuple(events))
        assert [e.execution_id for e in told].count("e") == 1
        assert len({e.execution_id for e in told}) == len(told)
        assert setup.executor._turns.turn is None


def test_the_sentence_of_the_first_kill_becomes_the_result(setup: Setup) -> None:
    setup.start()
    setup.tell(messages.KillRun(execution_id="e", why="The server was stopped."))
    setup.kill()
    setup.gone(-15)
    assert setup.end().result == "The server was stopped."
