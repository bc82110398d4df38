"""What an Executor is told: by its Project, and by the threads of its process."""

from dataclasses import dataclass

from protocol import requests
from protocol.claude import SessionChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    execution_id: str
    prompt: str
    options: requests.Options
    session: SessionChoice
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRun:
    """End the execution, beginning at SIGTERM. Harmless when another one, or none, runs."""

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStored:
    """From the Project: that much of the output is durable; the reader may go on."""

    execution_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputRead:
    """From a process's reader: whole lines; a number of bytes where a line was cut."""

    process_id: str
    lines: tuple[tuple[bytes, int | None], ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputEnded:
    """From a process's reader; `rest` is a last line that was left without an end."""

    process_id: str
    rest: tuple[bytes, int | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProcessExited:
    """From a process's waiter; negative: ended by that signal."""

    process_id: str
    return_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchdogFired:
    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _RungDue:
    """The process had its grace; `rung` is the one that is next."""

    process_id: str
    rung: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrainDue:
    """The process is gone and its pipe had its moment."""

    process_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _SweepDue:
    process_id: str


ExecutorMessage = (
    StartRun
    | KillRun
    | OutputStored
    | _OutputRead
    | _OutputEnded
    | _ProcessExited
    | _WatchdogFired
    | _RungDue
    | _DrainDue
    | _SweepDue
)
