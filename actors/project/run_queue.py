"""Who runs and who waits: one execution at a time, in the order of the prompts."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from actors.messages.replies import ReplyTo
from actors.ports import Caller
from protocol.requests import Options


@dataclass(slots=True, eq=False)
class Execution:
    """One prompt (text, or content blocks), or a turn that the CLI has begun by itself.

    `is_stored`: its prompt is durable, so it may start; `started_at_s`: monotonic, None until it
    has; `session_id`: the one it runs in, once known; `is_voided`: that session was given up
    meanwhile; `askers`: those whose requests are answered once it is stored.
    """

    execution_id: str
    caller: Caller
    prompt_seq_before: int
    prompt: str | None = None
    content: list[dict[str, Any]] | None = None
    text: str = ""
    options: Options = field(default_factory=Options)
    is_stored: bool = False
    started_at_s: float | None = None
    session_id: str | None = None
    is_voided: bool = False
    askers: list[ReplyTo] = field(default_factory=list)


class RunQueue:
    """`max_waiting` is MAX_QUEUE: those that wait, not the one that runs. `background`: a turn of
    the CLI's own; the prompt whose turn it is waits for its end."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[Execution] = deque()
        self.running: Execution | None = None
        self.background: Execution | None = None

    @property
    def at_work_now(self) -> list[Execution]:
        """Those that have started: at most a prompt's and one of the CLI's own."""
        both = (self.running, self.background)
        return [e for e in both if e is not None and e.started_at_s is not None]

    @property
    def active(self) -> Execution | None:
        """What the CLI works on."""
        return self.background or self.running

    @property
    def is_idle(self) -> bool:
        return self.active is None and not self._waiting

    @property
    def waiting(self) -> tuple[Execution, ...]:
        return tuple(self._waiting)

    @property
    def has_room(self) -> bool:
        return self.running is None or len(self._waiting) < self._max_waiting

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of everything that is open; None where nothing is."""
        opened = [e for e in (self.running, self.background, *self._waiting) if e is not None]
        return min((e.prompt_seq_before for e in opened), default=None)

    def admit(self, execution: Execution) -> None:
        if self.running is None:
            self.running = execution
        else:
            self._waiting.append(execution)

    def place_of(self, execution_id: str) -> tuple[str, int]:
        """`state` and `position` as execute answers them: 0 for the one whose turn it is, 1 for
        the next."""
        if self.at_work(execution_id) is not None:
            return "started", 0
        for position, execution in enumerate(self._waiting, start=1):
            if execution.execution_id == execution_id:
                return "queued", position
        return "finished", 0

    def at_work(self, execution_id: str) -> Execution | None:
        """The one that runs, by its id."""
        for execution in (self.running, self.background):
            if execution is not None and execution.execution_id == execution_id:
                return execution
        return None

    def find(self, execution_id: str) -> Execution | None:
        """One that runs or waits."""
        waiting = [e for e in self._waiting if e.execution_id == execution_id]
        return self.at_work(execution_id) or (waiting[0] if waiting else None)

    def finish(self, execution_id: str) -> Execution | None:
        """Takes out one that runs or waits, and gives its place to the next."""
        if self.background is not None and self.background.execution_id == execution_id:
            ended, self.background = self.background, None
            return ended
        if self.running is not None and self.running.execution_id == execution_id:
            ended = self.running
            self.running = self._waiting.popleft() if self._waiting else None
            return ended
        return self.cancel(execution_id)

    def cancel(self, execution_id: str) -> Execution | None:
        """Takes out one that waits."""
        for execution in self._waiting:
            if execution.execution_id == execution_id:
                self._waiting.remove(execution)
                return execution
        return None

    def ready(self) -> Execution | None:
        """The one whose turn it is, once it may start and has not."""
        run = self.running
        if run is not None and run.is_stored and run.started_at_s is None:
            return run
        return None
