"""Updates as values: one frozen class for each type.

`reading.py` makes them from what arrives. An update of a type that this version does not know is a
plain `Update`; its `raw` holds all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from claudehub.client.position import Position

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """What every update has.

    `seq` is its number in the log, or None for an update that is not stored. `position` is where a
    reader is behind it; it is None only for an update that belongs to no log, such as
    ProjectChanged. `timestamp` is RFC 3339 in UTC, and `time` the same as a datetime. `raw` is the
    payload as it came.
    """

    project_id: str
    seq: int | None
    timestamp: str
    execution_id: str | None
    position: Position | None
    raw: JsonObject = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Compare what was sent. Each subclass would otherwise get a method of its own, and making
        them would take a fifth of the time that a command needs to start."""
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Update)
        return (self.raw, self.position) == (other.raw, other.position)

    def __hash__(self) -> int:
        return hash((self.project_id, self.seq, self.timestamp, self.position))

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.timestamp)

    @property
    def type(self) -> str:
        """Return the `update_type`."""
        return str(self.raw.get("update_type", ""))

    @property
    def data(self) -> JsonObject:
        found = self.raw.get("data")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, eq=False)
class Prompt(Update):
    """A prompt has been accepted. `text` is its text; blocks without text show their kind."""

    text: str
    key: str | None
    client_id: str
    user: str | None


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionQueued(Update):
    """The prompt waits; 1 is the next."""

    queue_position: int


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionStarted(Update):
    """`origin` is `prompt`, or `background` for a turn that the CLI began by itself."""

    session_id: str | None
    origin: str


@dataclass(frozen=True, slots=True, eq=False)
class ClaudeDelta(Update):
    """A piece of partial output. `text` is what it adds to the answer; it is empty for other
    pieces."""

    text: str
    message_id: str | None


@dataclass(frozen=True, slots=True, eq=False)
class OutputText(Update):
    """A line of the CLI's output that was no JSON object, or too long."""

    text: str
    truncated: bool


@dataclass(frozen=True, slots=True, eq=False)
class PermissionRequest(Update):
    """The agent asks if a tool may run, or asks a question. Answer with `Project.answer`."""

    permission_id: str
    tool: str
    input: JsonObject
    description: str | None
    suggestions: list[JsonObject]
    blocked_path: str | None
    tool_use_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, eq=False)
class PermissionResolved(Update):
    """A permission has been answered. `by` is the user or the client, or `timeout`, `withdrawn`,
    `execution_finished`."""

    permission_id: str
    decision: str
    by: str


@dataclass(frozen=True, slots=True, eq=False)
class SessionReset(Update):
    """The next prompt begins a new conversation."""

    old_session_id: str | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionFinished(Update):
    """The end of an execution. `outcome` is `success`, `error`, `timeout`, `interrupted`,
    `killed`, `cancelled` or `lost`."""

    outcome: str
    result: str | None
    session_id: str | None
    exit_code: int | None
    stderr: str
    duration_ms: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, eq=False)
class FilesChanged(Update):
    """Files of the project have changed; `paths` are relative to it."""

    paths: list[str]
    truncated: bool


@dataclass(frozen=True, slots=True, eq=False)
class Status(Update):
    """The project is `idle`, `executing`, or in `error`."""

    status: str


@dataclass(frozen=True, slots=True, eq=False)
class Gap(Update):
    """Stored updates that the hub cannot read. The stream goes on behind `last_seq`."""

    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True, eq=False)
class HistoryGone(Update):
    """The log no longer holds what was asked for: it was shortened, or it is another log.

    The present log is `log_id`, and holds `first_seq` to `last_seq`. The stream goes on with
    `first_seq`. Only this library makes it, from the hub's answer.
    """

    log_id: str
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class QueuedPrompt:
    """A prompt that waits; `prompt` is its beginning."""

    execution_id: str
    prompt: str
    client_id: str


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project as the hub describes it. `info["field"]` reads a field that has no name here."""

    project_id: str
    name: str
    path: str
    status: str
    session_id: str | None
    execution_id: str | None
    queue: tuple[QueuedPrompt, ...]
    pending_permissions: tuple[JsonObject, ...] = field(hash=False)
    subscribers: int
    first_seq: int
    last_seq: int
    created_at: str
    last_active: str
    trusted: bool
    untrusted_files: tuple[str, ...]
    raw: JsonObject = field(repr=False, hash=False)

    @property
    def id(self) -> str:
        return self.project_id

    def __getitem__(self, field_name: str) -> Any:
        return self.raw[field_name]


@dataclass(frozen=True, slots=True, eq=False)
class ProjectChanged(Update):
    """The present state of a project, for those who watch all projects."""

    project: ProjectInfo


@dataclass(frozen=True, slots=True, eq=False)
class ProjectDeleted(Update):
    """The project is deleted. `by` is the user, or None if this client was away when it was."""

    by: str | None
