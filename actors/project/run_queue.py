"""Who runs and who waits: one execution at a time, in the order of the prompts."""

from collections import deque
from dataclasses import dataclass

from actors.ports import Caller
from protocol.requests import Options


@dataclass(slots=True, eq=False)
class Execution:
    """One prompt. `is_stored`: its prompt is durable, so it may start; `started_at_s`: monotonic,
    None until it has; `session_id`: the one it runs in, once known; `is_voided`: that session was
    given up meanwhile."""

    execution_id: str
    prompt: str
    options: Options
    caller: Caller
    prompt_seq_before: int
    is_stored: bool = False
    started_at_s: float | None = None
    session_id: str | None = None
    is_voided: bool = False


class RunQueue:
    """`max_waiting` is MAX_QUEUE: those that wait, not the one that runs."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[Execution] = deque()
        self.running: Execution | None = None

    @property
    def is_idle(self) -> bool:
        return self.running is None and not self._waiting

    @property
    def waiting(self) -> tuple[Execution, ...]:
        return tuple(self._waiting)

    @property
    def has_room(self) -> bool:
        return self.running is None or len(self._waiting) < self._max_waiting

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of everything that is open; None where nothing is."""
        opened = [self.running] if self.running else []
        return min((e.prompt_seq_before for e in [*opened, *self._waiting]), default=None)

    def admit(self, execution: Execution) -> None:
        if self.running is None:
            self.running = execution
        else:
            self._waiting.append(execution)

    def place_of(self, execution: Execution) -> tuple[str, int]:
        """`state` and `position` as execute answers them: 0 for the one whose turn it is, 1 for
        the next."""
        if execution is self.running:
            return "started", 0
        if execution in self._waiting:
            return "queued", self._waiting.index(execution) + 1
        return "finished", 0

    def finish(self, execution_id: str) -> Execution | None:
        """Takes out one that runs or waits, and gives its place to the next."""
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
