"""What is true of a project now: what runs, what waits, who asks, what it has cost."""

from collections.abc import Callable
from dataclasses import dataclass

from claudehub.client.reading import waiting_requests
from claudehub.client.updates import (
    ExecutionFinished,
    ExecutionQueued,
    ExecutionStarted,
    FilesChanged,
    HistoryGone,
    PermissionRequest,
    PermissionResolved,
    ProjectInfo,
    Prompt,
    SessionReset,
    Status,
    Update,
)
from claudehub.show import words

FILES_MAX = 200
PROMPTS_MAX = 200


@dataclass(slots=True)
class Running:
    """The execution that runs. `since` is the hub's time, or empty while it is not known."""

    execution_id: str
    since: str = ""
    prompt: str = ""
    is_ending: bool = False


@dataclass(slots=True)
class Waiting:
    """A prompt in the queue."""

    execution_id: str
    prompt: str
    by: str


@dataclass(slots=True)
class Spent:
    """What the executions since `since` have cost; `unknown` of them did not say."""

    since: str = ""
    usd: float = 0.0
    executions: int = 0
    unknown: int = 0


class ProjectState:
    """It is seeded with the hub's description, and goes on with the updates behind that."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.info: ProjectInfo | None = None
        self.status = ""
        self.session_id: str | None = None
        self.running: Running | None = None
        self.queue: list[Waiting] = []
        self.questions: dict[str, PermissionRequest] = {}
        self.answered: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.spent = Spent()
        self.prompts: list[str] = []
        self._texts: dict[str, tuple[str, str]] = {}
        self._seq = 0
        self._counted_seq = 0

    @property
    def others(self) -> int:
        """Return how many connections beside this one have joined the project."""
        return max(self.info.subscribers - 1, 0) if self.info is not None else 0

    def seed(self, info: ProjectInfo) -> None:
        """Take the hub's description. One that is older than the updates tells only who is there
        and what does not change."""
        self.info = info
        if info.last_seq < self._seq:
            return
        self._seq = info.last_seq
        self.status = info.status
        self.session_id = info.session_id
        self.queue = [Waiting(q.execution_id, q.prompt, q.client_id) for q in info.queue]
        known = self.questions
        asked = waiting_requests(info)
        self.questions = {q.permission_id: known.get(q.permission_id, q) for q in asked}
        if info.execution_id is None:
            self.running = None
        elif self.running is None or self.running.execution_id != info.execution_id:
            self.running = Running(info.execution_id)

    def apply(self, update: Update) -> None:
        """Take an update of the live stream, also one from before the description."""
        if isinstance(update, HistoryGone):  # the numbers may begin again
            self._seq = self._counted_seq = update.first_seq - 1
        self._count(update)
        take = _TAKES.get(type(update))
        if take is None:
            return
        if update.seq is None or update.seq > self._seq:
            take(self, update)
        elif isinstance(update, PermissionRequest) and update.permission_id in self.questions:
            self.questions[update.permission_id] = update  # whole, where the other may be cut
        elif isinstance(update, ExecutionStarted) and self._runs(update.execution_id):
            self._started(update)
        if update.seq is not None:
            self._seq = max(self._seq, update.seq)

    def _runs(self, execution_id: str | None) -> bool:
        return self.running is not None and self.running.execution_id == execution_id

    def _count(self, update: Update) -> None:
        """Count each update of the stream once, whatever the description knew of it."""
        if update.seq is None or update.seq <= self._counted_seq:
            return
        self._counted_seq = update.seq
        self.spent.since = self.spent.since or update.timestamp
        if isinstance(update, Prompt):
            by = update.user or update.client_id
            self._texts[update.execution_id or ""] = (update.text, by)
            self.prompts.append(update.text)
            del self.prompts[:-PROMPTS_MAX]
        elif isinstance(update, ExecutionFinished):
            self._texts.pop(update.execution_id or "", None)
            self.spent.executions += 1
            self.spent.unknown += update.cost_usd is None
            self.spent.usd += update.cost_usd or 0.0

    def _queued(self, update: ExecutionQueued) -> None:
        text, by = self._texts.get(update.execution_id or "", ("", ""))
        self.queue.append(Waiting(update.execution_id or "", text, by))

    def _started(self, update: ExecutionStarted) -> None:
        text, _ = self._texts.get(update.execution_id or "", ("", ""))
        self._dequeue(update.execution_id)
        self.running = Running(update.execution_id or "", update.timestamp, text)
        self.status = "executing"

    def _finished(self, update: ExecutionFinished) -> None:
        self._dequeue(update.execution_id)
        self.session_id = update.session_id or self.session_id
        if self._runs(update.execution_id):
            self.running = None
            self.status = "idle"

    def _dequeue(self, execution_id: str | None) -> None:
        self.queue = [waiting for waiting in self.queue if waiting.execution_id != execution_id]

    def _request(self, update: PermissionRequest) -> None:
        self.questions[update.permission_id] = update

    def _resolved(self, update: PermissionResolved) -> None:
        if self.questions.pop(update.permission_id, None) is not None:
            self.answered = {update.permission_id: words.resolved(update)}

    def _changed_files(self, update: FilesChanged) -> None:
        for path in update.paths:
            self.files.pop(path, None)
            self.files[path] = update.timestamp
        for path in list(self.files)[:-FILES_MAX]:
            del self.files[path]

    def _said_status(self, update: Status) -> None:
        self.status = update.status

    def _reset(self, update: SessionReset) -> None:
        self.session_id = None


_TAKES: dict[type[Update], Callable[..., None]] = {
    ExecutionQueued: ProjectState._queued,
    ExecutionStarted: ProjectState._started,
    ExecutionFinished: ProjectState._finished,
    PermissionRequest: ProjectState._request,
    PermissionResolved: ProjectState._resolved,
    FilesChanged: ProjectState._changed_files,
    Status: ProjectState._said_status,
    SessionReset: ProjectState._reset,
}
