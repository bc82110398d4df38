"""What a project tells of its executions to those who trace them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.claude import AgentLine
from protocol.trace_context import TraceParent


@dataclass(frozen=True, slots=True)
class Began:
    """An execution that has begun. Nothing here says what its prompt says."""

    project_id: str
    execution_id: str
    user: str | None
    client_id: str
    origin: str
    parent: TraceParent | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution has ended. `is_fault`: its span is marked as an error."""

    outcome: str
    is_fault: bool
    session_id: str | None
    cost_usd: float | None


class Span(Protocol):
    """The span of one execution. No call blocks or raises."""

    def take(self, lines: Sequence[AgentLine]) -> None:
        """Note the CLI's lines: its tools become spans below this one."""

    def end(self, ended: Ended) -> None:
        """End the span, and those of the tools that have no end."""


class Tracer(Protocol):
    """Any thread may call it. `endpoint` is where the spans go; None: nowhere."""

    endpoint: str | None

    def begin(self, began: Began) -> Span:
        """Begin the span of an execution."""


class NoSpan:
    """The span where nobody traces."""

    def take(self, _lines: Sequence[AgentLine]) -> None:
        pass

    def end(self, _ended: Ended) -> None:
        pass


NO_SPAN = NoSpan()


class NoTracer:
    """Trace nothing."""

    endpoint: str | None = None

    def begin(self, _began: Began) -> Span:
        return NO_SPAN
