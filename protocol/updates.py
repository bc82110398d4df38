"""What the hub may say, as types: the data of updates, and the objects of replies.

The fields are those of `docs/protocol.md`. Times are RFC 3339 strings in UTC.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from protocol.host import AUTH_VERSION


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


class ProjectStatus(StrEnum):
    """`error` is for a project that cannot work; after a failed execution a project is `idle`."""

    IDLE = "idle"
    EXECUTING = "executing"
    ERROR = "error"


class Data(BaseModel):
    """A JSON object on the wire."""

    model_config = ConfigDict(frozen=True)


class ExecutionQueued(Data):
    execution_id: str
    position: int


class ExecutionStarted(Data):
    execution_id: str
    session_id: str | None
    origin: Literal["prompt", "background"] = "prompt"


class ClaudeText(Data):
    """A line of standard output that could not be passed on as JSON."""

    text: str
    truncated: bool | None = None
    size_bytes: int | None = None


class PermissionRequest(Data):
    """The CLI asks whether a tool may run. `suggestions` and `input` come from the CLI unchanged;
    `agent_id` is its own for the subagent that asks. The last four are null if it does not say
    them."""

    permission_id: str
    execution_id: str | None
    tool: str
    input: dict[str, Any]
    description: str | None
    suggestions: list[dict[str, Any]]
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
    old_session_id: str | None
    reason: Literal["requested", "cleared", "forgotten"]


class ExecutionFinished(Data):
    execution_id: str
    outcome: Outcome
    result: str | None = None
    session_id: str | None = None
    exit_code: int | None = None
    stderr: str = ""
    duration_ms: int = 0
    cost_usd: float | None = None


class Gap(Data):
    first_seq: int
    last_seq: int


class FilesChanged(Data):
    paths: list[str]
    truncated: bool


class StatusChanged(Data):
    status: ProjectStatus


class ProjectDeleted(Data):
    by: str | None


class QueuedPrompt(Data):
    execution_id: str
    prompt: str
    client_id: str


class ProjectInfo(Data):
    """The `project` object of replies."""

    project_id: str
    name: str
    path: str
    status: ProjectStatus
    session_id: str | None
    execution_id: str | None
    queue: list[QueuedPrompt]
    pending_permissions: list[dict[str, Any]]
    subscribers: int
    first_seq: int
    last_seq: int
    created_at: str
    last_active: str
    trusted: bool = False
    untrusted_files: list[str] = []


class ProjectChanged(Data):
    """For who watches: what the project is now."""

    project: ProjectInfo


class AuthOffer(Data):
    """How to authenticate: `challenge` is part of the text that is to be signed for `namespace`
    (protocol/host.py); `version` is that of the text."""

    challenge: str
    namespace: str
    method: Literal["ssh"] = "ssh"
    version: int = AUTH_VERSION


class Welcome(Data):
    server: str
    protocol: int
    protocols: list[int]
    client_id: str
    heartbeat_seconds: float
    max_message_bytes: int
    max_update_bytes: int
    auth: AuthOffer | None = None


class WarmSession(Data):
    """A CLI process that is kept between prompts; `memory_bytes`: resident, of itself alone."""

    project_id: str
    pid: int
    memory_bytes: int


class Health(Data):
    status: Literal["ok", "degraded"]
    problems: list[str]
    version: str
    uptime_seconds: float
    connections: int
    projects: int
    executing: int
    claude: str | None
    warm_sessions: list[WarmSession]
