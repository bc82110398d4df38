"""How a CLI process goes from prompt to prompt and to its end: one table. Pure.

Every reason to end something goes through the table: agent_interrupt, agent_kill, the watchdog, a
process that is let go, deletion and shutdown. docs/agent.md has a picture of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a process."""

    IDLE = "idle"
    RUNNING = "running"
    INTERRUPTING = "interrupting"
    TIDYING = "tidying"
    LEAVING = "leaving"
    STOPPING = "stopping"
    TERMINATING = "terminating"
    KILLING = "killing"
    SWEEPING = "sweeping"
    GONE = "gone"


class Event(StrEnum):
    """What happens to a process, or is wanted of it."""

    PROMPT = "prompt"
    RESULT = "result"
    CLEAN = "clean"
    INTERRUPT = "interrupt"
    TIMEOUT = "timeout"
    KILL = "kill"
    RELEASE = "release"
    OUT_OF_TURN = "speaks out of turn"
    GRACE = "grace is over"
    EXIT = "exit"
    SWEPT = "swept"


class Action(StrEnum):
    """What is done on the way into a state."""

    NOTHING = "-"
    ASK_TO_INTERRUPT = "interrupt request"
    ASK_TO_END = "end_session request"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGKILL = "SIGKILL"
    TIDY = "end what the turn left"
    SWEEP = "end all that is left"


@dataclass(frozen=True, slots=True)
class Step:
    """`state` is the next one."""

    state: State
    action: Action = Action.NOTHING


_INTERRUPT = Step(State.INTERRUPTING, Action.ASK_TO_INTERRUPT)
_TIDY = Step(State.TIDYING, Action.TIDY)
_TERM = Step(State.TERMINATING, Action.SIGTERM)
_KILL = Step(State.KILLING, Action.SIGKILL)
_SWEEP = Step(State.SWEEPING, Action.SWEEP)

# An event without a row changes nothing: a repeated request, a late timer, a result after SIGINT
# (the CLI writes it and only then exits, so the process does not stay).
TABLE: Mapping[tuple[State, Event], Step] = {
    (State.IDLE, Event.PROMPT): Step(State.RUNNING),
    (State.IDLE, Event.RELEASE): Step(State.LEAVING, Action.ASK_TO_END),
    (State.IDLE, Event.OUT_OF_TURN): _TERM,
    (State.IDLE, Event.EXIT): _SWEEP,
    (State.RUNNING, Event.RESULT): _TIDY,
    (State.RUNNING, Event.INTERRUPT): _INTERRUPT,
    (State.RUNNING, Event.TIMEOUT): _INTERRUPT,
    (State.RUNNING, Event.KILL): _TERM,
    (State.RUNNING, Event.EXIT): _SWEEP,
    (State.INTERRUPTING, Event.RESULT): _TIDY,
    (State.INTERRUPTING, Event.KILL): _TERM,
    (State.INTERRUPTING, Event.GRACE): Step(State.STOPPING, Action.SIGINT),
    (State.INTERRUPTING, Event.EXIT): _SWEEP,
    (State.TIDYING, Event.CLEAN): Step(State.IDLE),
    (State.TIDYING, Event.OUT_OF_TURN): _TERM,
    (State.TIDYING, Event.EXIT): _SWEEP,
    # An idle process runs no tools that SIGINT would end.
    (State.LEAVING, Event.GRACE): _TERM,
    (State.LEAVING, Event.KILL): _TERM,
    (State.LEAVING, Event.OUT_OF_TURN): _TERM,
    (State.LEAVING, Event.EXIT): _SWEEP,
    (State.STOPPING, Event.GRACE): _TERM,
    (State.STOPPING, Event.KILL): _TERM,
    (State.STOPPING, Event.EXIT): _SWEEP,
    (State.TERMINATING, Event.GRACE): _KILL,
    (State.TERMINATING, Event.EXIT): _SWEEP,
    (State.KILLING, Event.GRACE): _KILL,
    (State.KILLING, Event.EXIT): _SWEEP,
    (State.SWEEPING, Event.SWEPT): Step(State.GONE),
}
# The states that have a time limit.
LIMITED = frozenset(state for state, event in TABLE if event is Event.GRACE)
# The states in which a turn runs.
IN_TURN = frozenset((State.RUNNING, State.INTERRUPTING))
