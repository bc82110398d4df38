"""Who runs and who waits: one execution at a time, in the order of the prompts."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.runtime.logger import get_logger
from actors.tracing.spans import NO_SPAN, Began, Ended, Span
from protocol.requests import Options
from protocol.results import ExecutionState
from protocol.trace_context import TraceParent
from protocol.updates import ExecutionFinished, Outcome

logger = get_logger("claudehub.project")

# Ends that an operator may want to look into.
_BAD = (Outcome.ERROR, Outcome.TIMEOUT)


@dataclass(slots=True, eq=False)
class Execution:
    """One prompt (text, or content blocks), or a turn that the CLI has begun by itself.

    `is_stored`: its prompt is durable, so it may start. `was_queued`: it was shown as waiting.
    `is_ordered`: the Executor has it. `awaits_process`: the Executor has given it back, until its
    process has ended. `is_to_end`: the Executor was told to end it. `killed_by`,
    `interrupted_by`: who has asked for that first.
    `started_at_s` is monotonic, None until the CLI has its prompt; `number` says then how many had
    started with it. `session_id` is the session that it runs in, once that is known; `is_voided`:
    that session was given up meanwhile. `askers` are answered once the prompt is stored,
    `at_end` is called with the outcome once the end is.
    """

    execution_id: str
    caller: Caller
    prompt: str | None = None
    content: list[dict[str, Any]] | None = None
    text: str = ""
    options: Options = field(default_factory=Options)
    is_stored: bool = False
    is_ordered: bool = False
    awaits_process: bool = False
    is_to_end: bool = False
    killed_by: str | None = None
    interrupted_by: str | None = None
    was_queued: bool = False
    number: int = 0
    started_at_s: float | None = None
    session_id: str | None = None
    is_voided: bool = False
    askers: list[ReplyTo] = field(default_factory=list)
    at_end: list[Callable[[Outcome], object]] = field(default_factory=list)
    traceparent: TraceParent | None = None
    span: Span = NO_SPAN

    @property
    def ids(self) -> dict[str, str | None]:
        """Return the fields of its log lines that name it."""
        ids = {
            "execution": self.execution_id,
            "client": self.caller.client_id,
            "user": self.caller.user,
        }
        return ids if self.traceparent is None else {**ids, "traceparent": str(self.traceparent)}

    def began(self, project_id: str, origin: str) -> Began:
        """Return what a span says of its beginning."""
        return Began(
            project_id=project_id,
            execution_id=self.execution_id,
            user=self.caller.user,
            client_id=self.caller.client_id,
            origin=origin,
            parent=self.traceparent,
        )

    def has_ended(self, end: ExecutionFinished) -> None:
        """Say in the log how it ended, and end its span."""
        is_fault = end.outcome in _BAD
        say = logger.warning if is_fault else logger.info
        say(
            "execution finished",
            **self.ids,
            outcome=end.outcome,
            exit_code=end.exit_code,
            by=self.ended_by(end.outcome),
            duration_ms=end.duration_ms,
            cost_usd=end.cost_usd,
        )
        self.span.end(
            Ended(
                outcome=end.outcome,
                is_fault=is_fault,
                session_id=self.session_id,
                cost_usd=end.cost_usd,
            )
        )

    def ended_by(self, outcome: Outcome) -> str | None:
        """Return who has ended it; None if it has ended by itself, or by its time limit."""
        if outcome in (Outcome.KILLED, Outcome.CANCELLED):
            return self.killed_by
        return self.interrupted_by if outcome is Outcome.INTERRUPTED else None


class RunQueue:
    """`running` has its turn; `background` is a turn of the CLI's own, for whose end the prompt
    whose turn it is waits. `waiting` come behind, at most `max_waiting` (MAX_QUEUE). `started` is
    how many have started."""

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self.waiting: deque[Execution] = deque()
        self.running: Execution | None = None
        self.background: Execution | None = None
        self.started = 0

    @property
    def at_work_now(self) -> list[Execution]:
        """Return those that the Executor has: at most a prompt's and one of the CLI's own."""
        both = (self.running, self.background)
        return [e for e in both if e is not None and e.is_ordered]

    @property
    def prompts(self) -> list[Execution]:
        """Return all prompts, the one whose turn it is first."""
        return [*([] if self.running is None else [self.running]), *self.waiting]

    @property
    def blocked(self) -> Execution | None:
        """Return the prompt whose turn it is, if it waits for the end of a turn of the CLI's
        own."""
        run = self.running
        waits = self.background is not None and run is not None and run.started_at_s is None
        return run if waits else None

    @property
    def all_waiting(self) -> list[Execution]:
        """Return the prompts that wait, the next one first."""
        return [*([] if self.blocked is None else [self.blocked]), *self.waiting]

    @property
    def is_idle(self) -> bool:
        return self.running is None and self.background is None and not self.waiting

    @property
    def has_room(self) -> bool:
        starts_now = self.running is None and self.background is None
        return starts_now or len(self.all_waiting) < self.max_waiting

    def admit(self, execution: Execution) -> None:
        if self.running is None:
            self.running = execution
        else:
            self.waiting.append(execution)

    def start(self, execution: Execution, now_s: float) -> None:
        """Note that an execution has started, at a monotonic time."""
        self.started += 1
        execution.number = self.started
        execution.started_at_s = now_s

    def place_of(self, execution_id: str) -> tuple[ExecutionState, int]:
        """Return `state` and `position` as execute answers them: 0 for the one whose turn it is, 1
        for the next."""
        for position, execution in enumerate(self.all_waiting, start=1):
            if execution.execution_id == execution_id:
                return "queued", position
        return ("finished" if self.at_work(execution_id) is None else "started"), 0

    def at_work(self, execution_id: str | None) -> Execution | None:
        """Return the one of that id that has its turn, or None."""
        for execution in (self.running, self.background):
            if execution is not None and execution.execution_id == execution_id:
                return execution
        return None

    def find(self, execution_id: str) -> Execution | None:
        """Return the one of that id that has its turn or waits, or None."""
        waiting = [e for e in self.waiting if e.execution_id == execution_id]
        return self.at_work(execution_id) or (waiting[0] if waiting else None)

    def finish(self, execution_id: str) -> None:
        """Remove an execution that runs or waits, and give its place to the next."""
        if self.background is not None and self.background.execution_id == execution_id:
            self.background = None
        elif self.running is not None and self.running.execution_id == execution_id:
            self.running = self.waiting.popleft() if self.waiting else None
        else:
            self.waiting = deque(e for e in self.waiting if e.execution_id != execution_id)

    def ready(self) -> Execution | None:
        """Return the one whose turn it is, if it may start and has not."""
        run = self.running
        if run is None or self.background is not None or run.is_ordered or run.awaits_process:
            return None
        return run if run.is_stored else None
