"""The table of states, row by row, its picture, and the verdict. Pure."""

import pytest

from actors.executor.states import (
    LIMITED,
    TABLE,
    Action,
    Event,
    State,
)
from actors.executor.turn import EndReason, judge, stronger
from protocol.claude import TurnEnd
from protocol.updates import Outcome
from tests.harness import ROOT
from tests.state_picture import BEGIN, END, picture

DONE = TurnEnd(is_error=False, text="done")
FAILED = TurnEnd(is_error=True, text="why")
ABORTED = TurnEnd(is_error=True, text="[ede_diagnostic]", aborted=True)

# (state, event, next state, action); what is not listed changes nothing.
ROWS = [
    ("idle", "prompt", "running", "-"),
    ("idle", "release", "leaving", "end_session request"),
    ("idle", "speaks out of turn", "terminating", "SIGTERM"),
    ("idle", "exit", "sweeping", "end all that is left"),
    ("running", "result", "tidying", "end what the turn left"),
    ("running", "interrupt", "interrupting", "interrupt request"),
    ("running", "timeout", "interrupting", "interrupt request"),
    ("running", "kill", "terminating", "SIGTERM"),
    ("running", "exit", "sweeping", "end all that is left"),
    ("interrupting", "result", "tidying", "end what the turn left"),
    ("interrupting", "kill", "terminating", "SIGTERM"),
    ("interrupting", "grace is over", "stopping", "SIGINT"),
    ("interrupting", "exit", "sweeping", "end all that is left"),
    ("tidying", "clean", "idle", "-"),
    ("tidying", "speaks out of turn", "terminating", "SIGTERM"),
    ("tidying", "exit", "sweeping", "end all that is left"),
    ("leaving", "grace is over", "terminating", "SIGTERM"),
    ("leaving", "speaks out of turn", "terminating", "SIGTERM"),
    ("leaving", "kill", "terminating", "SIGTERM"),
    ("leaving", "exit", "sweeping", "end all that is left"),
    ("stopping", "grace is over", "terminating", "SIGTERM"),
    ("stopping", "kill", "terminating", "SIGTERM"),
    ("stopping", "exit", "sweeping", "end all that is left"),
    ("terminating", "grace is over", "killing", "SIGKILL"),
    ("terminating", "exit", "sweeping", "end all that is left"),
    ("killing", "grace is over", "killing", "SIGKILL"),
    ("killing", "exit", "sweeping", "end all that is left"),
    ("sweeping", "swept", "gone", "-"),
]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_row_of_the_table_holds(state: State, event: Event) -> None:
    expected = [row[2:] for row in ROWS if row[:2] == (state, event)]
    taken = TABLE.get((state, event))
    assert ([] if taken is None else [(taken.state, taken.action)]) == expected


def test_every_state_but_the_last_can_end() -> None:
    """From every state an exit, or what follows it, leads to the end; so does the grace after each
    request."""
    for state in State:
        if state not in (State.SWEEPING, State.GONE):
            assert (state, Event.EXIT) in TABLE, state
    asked = {s.state for s in TABLE.values() if s.action not in (Action.NOTHING, Action.TIDY)}
    assert asked - {State.SWEEPING} == LIMITED


def test_the_picture_in_the_documentation_shows_the_table() -> None:
    text = (ROOT / "docs" / "agent.md").read_text()
    assert text.split(BEGIN)[1].split(END)[0].strip() == picture().strip()


@pytest.mark.parametrize(
    ("current", "new", "strongest"),
    [
        (None, EndReason.TIMEOUT, EndReason.TIMEOUT),
        (EndReason.TIMEOUT, EndReason.INTERRUPTED, EndReason.TIMEOUT),
        (EndReason.INTERRUPTED, EndReason.TIMEOUT, EndReason.INTERRUPTED),
        (EndReason.INTERRUPTED, EndReason.KILLED, EndReason.KILLED),
        (EndReason.KILLED, EndReason.TIMEOUT, EndReason.KILLED),
    ],
)
def test_a_kill_overrides_other_outcomes(
    current: EndReason | None, new: EndReason, strongest: EndReason
) -> None:
    assert stronger(current, new) is strongest


@pytest.mark.parametrize(
    ("reason", "turn_end", "code", "outcome", "exit_code", "text"),
    [
        (None, DONE, None, Outcome.SUCCESS, None, "done"),
        (EndReason.KILLED, DONE, -15, Outcome.SUCCESS, 143, "done"),
        (EndReason.INTERRUPTED, DONE, None, Outcome.SUCCESS, None, "done"),
        (None, FAILED, 0, Outcome.ERROR, 0, "why"),
        (None, ABORTED, None, Outcome.ERROR, None, "The agent stopped the turn."),
        (EndReason.INTERRUPTED, ABORTED, None, Outcome.INTERRUPTED, None, "Interrupted."),
        (EndReason.TIMEOUT, ABORTED, 0, Outcome.TIMEOUT, 0, "Ended after its time limit of 5 s."),
        (EndReason.KILLED, ABORTED, 0, Outcome.KILLED, 0, "Killed."),
        (EndReason.KILLED, None, -9, Outcome.KILLED, 137, "Killed."),
        (None, None, 3, Outcome.ERROR, 3, "The agent ended without a result (exit code 3)"),
        (None, None, None, Outcome.ERROR, None, "The agent ended without a result."),
    ],
)
def test_each_end_has_its_outcome(
    reason: EndReason | None,
    turn_end: TurnEnd | None,
    code: int | None,
    outcome: Outcome,
    exit_code: int | None,
    text: str,
) -> None:
    verdict = judge(reason, turn_end, return_code=code, timeout_s=5.0, cost_usd=0.5, why="Killed.")
    assert (verdict.outcome, verdict.exit_code, verdict.cost_usd) == (outcome, exit_code, 0.5)
    assert verdict.result.startswith(text)
