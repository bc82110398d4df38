"""What the hub may say, as types: the data of updates, and the objects of replies.

The fields are those of `docs/protocol.md`. Times are RFC 3339 strings in UTC.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from protocol.host import AUTH_VERSION

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class UpdateType(StrEnum):
    """Every `update_type` that is sent."""

    PROMPT = "prompt"
    EXECUTION_QUEUED = "execution_queued"
    EXECUTION_STARTED = "execution_started"
    CLAUDE = "claude"
    CLAUDE_DELTA = "claude_delta"
    CLAUDE_TEXT = "claude_text"
    PERMISSION_REQUEST = "permission_request"
    PERMISSION_RESOLVED = "permission_resolved"
    SESSION_RESET = "session_reset"
    EXECUTION_FINISHED = "execution_finished"
    GAP = "gap"
    FILES_CHANGED = "files_changed"
    STATUS = "status"
    PROJECT_CHANGED = "project_changed"
    PROJECT_DELETED = "project_deleted"


class Outcome(StrEnum):
    """How an execution ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    CANCELLED = "cancelled"
    LOST = "lost"


# Sentences of the hub in `result`, which other versions of the protocol tell in their own way.
NOT_STARTED = "The agent could not be started: "
_TIME_LIMIT = "Ended after its time limit of {:g} s."


def time_limit_text(limit_s: float) -> str:
    """Return what `result` says if a time limit has ended an execution without a text."""
    return _TIME_LIMIT.format(limit_s)


def time_limit_of(text: str | None) -> float | None:
    """Return the limit in a text of `time_limit_text`, in seconds; None for any other text."""
    before, after = _TIME_LIMIT.split("{:g}")
    if text is None or not (text.startswith(before) and text.endswith(after)):
        return None
    try:
        return float(text[len(before) : -len(after)])
    except ValueError:
        return None


class ProjectStatus(StrEnum):
    """`error` is for a project that cannot work; after a failed execution a project is `idle`."""

    IDLE = "idle"
    EXECUTING = "executing"
    ERROR = "error"


class Data(BaseModel):
    """A JSON object on the wire. The hub sends every field, also those that have a default."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Prompt(TypedDict):
    """A client's prompt, which will run once. It has `prompt` or `content`, as it was sent."""

    execution_id: str
    prompt: NotRequired[str | None]
    content: NotRequired[list[dict[str, Any]]]
    options: dict[str, Any]
    key: str | None
    client_id: str
    user: Annotated[str | None, Field(description="Null if the hub needs no key.")]


class ExecutionQueued(Data):
    """The prompt must wait."""

    execution_id: str
    position: int = Field(description="1 for the next.")


class ExecutionStarted(Data):
    """The CLI has the prompt, or has begun a turn by itself (`background`)."""

    execution_id: str
    session_id: str | None = Field(description="Of the conversation that goes on; null: a new one.")
    origin: Literal["prompt", "background"] = "prompt"


class ClaudeText(Data):
    """A line of standard output that could not be passed on as JSON."""

    text: str
    truncated: bool | None = None
    size_bytes: int | None = Field(default=None, description="Of the whole line, if truncated.")


class PermissionRequest(Data):
    """The CLI asks whether a tool may run. `suggestions` and `input` come from the CLI unchanged;
    `agent_id` is its own for the subagent that asks. The last four are null if it does not say
    them."""

    permission_id: str = Field(description="The hub's own.")
    execution_id: str | None
    tool: str
    input: dict[str, Any]
    description: str | None
    suggestions: list[dict[str, Any]] = Field(description="What `remember` would remember.")
    blocked_path: str | None
    tool_use_id: str | None = None
    agent_id: str | None = None
    display_name: str | None = None
    reason: str | None = None


class PermissionResolved(Data):
    """`by` is the user or the client, or `timeout`, `withdrawn`, `execution_finished`."""

    permission_id: str
    decision: Literal["allow", "deny"]
    by: str


class SessionReset(Data):
    """The next prompt begins a new conversation."""

    old_session_id: str | None
    reason: Literal["requested", "cleared", "forgotten"]


class ExecutionFinished(Data):
    """The one end of an execution: everything that it has started is gone."""

    execution_id: str
    outcome: Outcome
    result: str | None = Field(
        default=None, description="The CLI's text, or a sentence that says what happened."
    )
    session_id: str | None = None
    exit_code: int | None = Field(default=None, description="128 + n for signal n.")
    stderr: str = Field(default="", description="The last 4 KiB.")
    duration_ms: int = 0
    cost_usd: float | None = Field(default=None, description="Of this execution alone.")


class Gap(Data):
    """Stored records that cannot be read. After it, the client's position is its `last_seq`."""

    first_seq: int
    last_seq: int


class FilesChanged(Data):
    """Files of the project that have changed lately."""

    paths: list[str] = Field(description="Relative to the project.")
    truncated: bool = Field(description="There are more.")


class StatusChanged(Data):
    """The project has a new status."""

    status: ProjectStatus


class ProjectDeleted(Data):
    """The project is gone; this is its last update."""

    by: str | None


class QueuedPrompt(Data):
    """A prompt that waits for its turn."""

    execution_id: str
    prompt: str = Field(description="The first 200 characters of its text.")
    client_id: str


class ProjectInfo(Data):
    """The `project` object of replies."""

    project_id: str
    name: str
    path: str
    status: ProjectStatus
    session_id: str | None = Field(description="Claude's.")
    execution_id: str | None = Field(description="The running one.")
    queue: list[QueuedPrompt]
    pending_permissions: list[dict[str, Any]]
    subscribers: int
    first_seq: int = Field(description="1 for an empty log.")
    last_seq: int = Field(description="0 for an empty log.")
    created_at: Moment
    last_active: Moment
    trusted: bool = False
    untrusted_files: list[str] = Field(
        default=[], description="What is not taken up because the project is not trusted."
    )


class ProjectChanged(Data):
    """For who watches: what the project is now."""

    project: ProjectInfo


class AuthOffer(Data):
    """How to authenticate: `challenge` is part of the text that is to be signed for `namespace`;
    `version` is that of the text."""

    challenge: str
    namespace: str
    method: Literal["ssh"] = "ssh"
    version: int = AUTH_VERSION


class Welcome(Data):
    """The greeting: the first message of a connection."""

    server: str = Field(description="claudehub/VERSION")
    protocol: int
    protocols: list[int]
    client_id: str
    heartbeat_seconds: float
    max_message_bytes: int
    max_update_bytes: int
    auth: AuthOffer | None = None


class OldVersionWelcome(Welcome):
    """The greeting of a version that will go."""

    deprecation: str = Field(description="Until when it is spoken, and what to do.")


class WarmSession(Data):
    """A CLI process that is kept between prompts; `memory_bytes`: resident, of itself alone."""

    project_id: str
    pid: int
    memory_bytes: int


class Health(Data):
    """How the hub is; `degraded` if it has problems."""

    status: Literal["ok", "degraded"]
    problems: list[str]
    version: str
    uptime_seconds: float
    connections: int
    projects: int
    executing: int
    claude: str | None = Field(description="The version of the CLI.")
    warm_sessions: list[WarmSession]


class UpdateKind(NamedTuple):
    """What an update of a type looks like. `data` is None for a line of the CLI, which is any JSON
    object. `is_logged`: it has a `seq`. `of_execution`: it may carry an `execution_id` beside
    `data`."""

    data: type[Any] | None
    is_logged: bool = True
    of_execution: bool = False


KINDS = {
    UpdateType.PROMPT: UpdateKind(Prompt),
    UpdateType.EXECUTION_QUEUED: UpdateKind(ExecutionQueued),
    UpdateType.EXECUTION_STARTED: UpdateKind(ExecutionStarted),
    UpdateType.CLAUDE: UpdateKind(None, of_execution=True),
    UpdateType.CLAUDE_DELTA: UpdateKind(None, is_logged=False, of_execution=True),
    UpdateType.CLAUDE_TEXT: UpdateKind(ClaudeText, of_execution=True),
    UpdateType.PERMISSION_REQUEST: UpdateKind(PermissionRequest, of_execution=True),
    UpdateType.PERMISSION_RESOLVED: UpdateKind(PermissionResolved, of_execution=True),
    UpdateType.SESSION_RESET: UpdateKind(SessionReset),
    UpdateType.EXECUTION_FINISHED: UpdateKind(ExecutionFinished),
    UpdateType.GAP: UpdateKind(Gap, is_logged=False),
    UpdateType.FILES_CHANGED: UpdateKind(FilesChanged, is_logged=False),
    UpdateType.STATUS: UpdateKind(StatusChanged, is_logged=False),
    UpdateType.PROJECT_CHANGED: UpdateKind(ProjectChanged, is_logged=False),
    UpdateType.PROJECT_DELETED: UpdateKind(ProjectDeleted, is_logged=False),
}
