"""The messages of an Executor: from its Project, and from the threads of its process."""

from dataclasses import dataclass
from typing import Any

from actors.messages.settings import ChangeSettings
from protocol import requests
from protocol.claude import RawLine, SessionChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Run a prompt. `content` is text, or content blocks. `model_named`: an earlier prompt of the
    session has named a model, which the CLI would bring back with it. `trusted`: the folder's own
    settings take effect."""

    execution_id: str
    content: str | tuple[dict[str, Any], ...]
    options: requests.Options
    session: SessionChoice
    timeout_s: float
    model_named: bool = False
    trusted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """Start a process before there is a prompt, unless there is one."""

    session: SessionChoice
    trusted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """End a process that is idle. A working process is left alone, and so is one with background
    work, unless `tasks_too`."""

    tasks_too: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPermissions:
    """Forget what was allowed for the rest of the session: the session is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPermission:
    """From the Project, once the answer is durable. `message` is for the agent if it is denied."""

    permission_id: str
    allow: bool
    message: str
    updated_input: dict[str, Any] | None
    remember: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptRun:
    """Ask the CLI to stop the turn; do nothing if another one, or none, runs."""

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRun:
    """End the execution, beginning with SIGTERM; do nothing if another one, or none, runs. `why`
    becomes its result."""

    execution_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStored:
    """From the Project: that much output is durable, so the reader may go on."""

    process_name: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputRead:
    """From a process's reader: whole lines, and what was cut off them."""

    process_name: str
    lines: tuple[RawLine, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputEnded:
    """From a process's reader: the pipe has ended; `rest` is a last line without an end."""

    process_name: str
    rest: RawLine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProcessExited:
    """From a process's waiter; a negative code is the signal that ended it."""

    process_name: str
    return_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgentThreadFailed:
    """A thread of the process has failed: the Executor cannot go on with that process."""

    process_name: str
    thread: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchdogFired:
    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResultDue:
    """The CLI has said that the turn is over, and its result has had its time. `uuid` is that of
    the prompt, None in a turn of the CLI's own."""

    execution_id: str
    uuid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _RungDue:
    """The process has had its time in the state that its change of that number brought."""

    process_name: str
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrainDue:
    """The process is gone, and its pipe has had its time."""

    process_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _SweepDue:
    """Look again at what is left, in the state that the change of that number brought."""

    process_name: str
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _IdleDue:
    """WARM_IDLE is over since the turn of that number."""

    process_name: str
    turns: int


ProcessMessage = (
    _OutputRead
    | _OutputEnded
    | _ProcessExited
    | _AgentThreadFailed
    | _RungDue
    | _DrainDue
    | _SweepDue
)
ExecutorMessage = (
    StartRun
    | WarmUp
    | LetGo
    | ForgetPermissions
    | AnswerPermission
    | InterruptRun
    | KillRun
    | OutputStored
    | ChangeSettings
    | ProcessMessage
    | _WatchdogFired
    | _ResultDue
    | _IdleDue
)
