"""How an execution ends: the ladder of signals, and the one verdict. Pure."""

import signal
from dataclasses import dataclass
from enum import Enum, auto

from protocol.claude import TurnEnd
from protocol.updates import Outcome

# From the gentlest: SIGINT lets the CLI end its tools and write a result.
LADDER = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FIRST_RUNG = 0
KILL_RUNG = LADDER.index(signal.SIGTERM)


class EndReason(Enum):
    """Why the ladder was begun."""

    TIMEOUT = auto()
    KILLED = auto()
    LINGERS = auto()  # the turn is over and the process stays


@dataclass(frozen=True, slots=True)
class Ladder:
    """`next_rung`: what comes after the grace; `reason` is the strongest that was given."""

    reason: EndReason
    next_rung: int

    def signal_now(self) -> signal.Signals:
        return LADDER[min(self.next_rung, len(LADDER) - 1)]

    def climbed(self) -> "Ladder":
        return Ladder(self.reason, min(self.next_rung + 1, len(LADDER) - 1))


def begin(current: Ladder | None, reason: EndReason) -> Ladder | None:
    """The ladder that a reason begins; None where it changes nothing.

    A kill begins at SIGTERM, also when a timeout is under way, and then it is a kill.
    """
    start = KILL_RUNG if reason is EndReason.KILLED else FIRST_RUNG
    if current is None:
        return Ladder(reason, start)
    if reason is EndReason.KILLED and current.reason is not EndReason.KILLED:
        return Ladder(reason, max(start, current.next_rung))
    return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What execution_finished says. `exit_code`: 128 + n for signal n."""

    outcome: Outcome
    result: str
    exit_code: int | None
    cost_usd: float | None


def judge(
    reason: EndReason | None, turn_end: TurnEnd | None, return_code: int | None, timeout_s: float
) -> Verdict:
    """A turn that ended by itself with success is a success, whatever was on its way.

    The exit code at closing says nothing about the turn: that was its `result`.
    """
    exit_code = None if return_code is None else _exit_code(return_code)
    cost = turn_end.cost_usd if turn_end is not None else None
    text = turn_end.text if turn_end is not None else ""
    if turn_end is not None and not turn_end.is_error:
        outcome = Outcome.SUCCESS
    elif reason is EndReason.KILLED:
        outcome, text = Outcome.KILLED, text or "Ended by agent_kill."
    elif reason is EndReason.TIMEOUT:
        outcome, text = Outcome.TIMEOUT, text or f"Ended after its time limit of {timeout_s:g} s."
    else:
        outcome = Outcome.ERROR
        text = text or _without_result(exit_code)
    return Verdict(outcome, text, exit_code, cost)


def _exit_code(return_code: int) -> int:
    return 128 - return_code if return_code < 0 else return_code


def _without_result(exit_code: int | None) -> str:
    if exit_code is None:
        return "The agent ended without a result."
    return f"The agent ended without a result (exit code {exit_code}); see stderr."
