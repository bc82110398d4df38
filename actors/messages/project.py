"""The messages of a Project: from Clients, the Hub, its Executor and its FileWatcher."""

from dataclasses import dataclass

from actors.messages.replies import ReplyTo
from actors.messages.settings import ChangeSettings
from actors.ports import Caller, Subscriber
from actors.runtime.refs import ActorDied
from protocol import requests, updates
from protocol.claude import AgentLine
from storage.pages import MissingRecords
from storage.retention import RetentionRules
from storage.segments import Compression


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequest:
    """A client's request. Only a join has a `subscriber`, to be registered."""

    reply_to: ReplyTo
    caller: Caller
    body: requests.ToProject
    subscriber: Subscriber | None = None
    terms: requests.Terms = requests.USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberGone:
    """A client's connection is lost."""

    subscriber_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """From the Hub: say what the project is. `is_watched`: say once more when that has changed."""

    list_number: int | None = None
    is_watched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtKeys:
    """From the Hub: check whether the keys of this project's prompts are still valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteProject:
    """From the Hub: take no more requests, end what runs, tell the subscribers, close.
    `behind_updates`: answer behind the last update."""

    reply_to: ReplyTo
    by: str | None
    keep_history: bool
    behind_updates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainProject:
    """From the Hub: the server stops soon. Take no more prompts, cancel what waits, and answer with
    ProjectDraining, and with ProjectDrained when nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopProject:
    """From the Hub: the server stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateLog:
    """From the Rotator: roll a segment that began before that time (as its name writes it)."""

    created_before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainLog:
    """From the Rotator: delete closed segments by these rules."""

    rules: RetentionRules


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCompressed:
    """From the Rotator: the compressed form of a closed segment lies beside it."""

    name: str
    compression: Compression


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageSeen:
    """From a Client: these records could not be read."""

    missing: tuple[MissingRecords, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUnreadable:
    """From a Client: reading the log behind this number has failed."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOutput:
    """From the Executor: lines in order; `execution_id` is None if the CLI said them outside of an
    execution. `size_bytes` is the credit to give back to the reader."""

    execution_id: str | None
    process_name: str
    lines: tuple[AgentLine, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionForgotten:
    """From the Executor: the CLI no longer knows the session; the prompt runs in a new one."""

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCleared:
    """From the Executor: `/clear` has begun the session that the line before named."""

    execution_id: str
    old_session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    """From the Executor: the CLI has the prompt."""

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReturned:
    """From the Executor: a prompt cannot run now, and the CLI does not have it.

    It waits for the end of the process, or else for that of the turn that BackgroundBegan has told.
    """

    execution_id: str
    until_process_ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundBegan:
    """From the Executor: the CLI has begun a turn by itself (AGENT_BACKGROUND)."""

    execution_id: str
    session_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionAsked:
    """From the Executor: the CLI waits for an answer. `outlives_turn`: also after the end of the
    execution, because an agent in the background asks."""

    request: updates.PermissionRequest
    outlives_turn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionWithdrawn:
    """From the Executor: no answer is needed any more."""

    permission_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessChanged:
    """From the Executor. `pid` is None if there is no process. `is_idle`: it is kept between
    prompts, and uses `memory_bytes`."""

    pid: int | None
    is_idle: bool = False
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LetProcessGo:
    """From the Hub: other processes are kept warm in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """From the Executor: the one end of an execution. All that it started is gone, except a kept
    CLI."""

    execution_id: str
    outcome: updates.Outcome
    result: str
    exit_code: int | None
    stderr: str
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesChanged:
    """From the FileWatcher: paths relative to the project's folder."""

    paths: tuple[str, ...]
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _PermissionExpired:
    """PERMISSION_TIMEOUT is over."""

    permission_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _PromptKeyDue:
    """A prompt's key may have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FlushFeed:
    """Write what has been gathered since the last flush."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SyncDue:
    """LOG_SYNC=interval: the time between flushes is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RetryStorage:
    """Try the log again after a failure."""


AgentMessage = (
    AgentOutput
    | SessionForgotten
    | SessionCleared
    | RunBegan
    | RunReturned
    | BackgroundBegan
    | PermissionAsked
    | PermissionWithdrawn
    | ProcessChanged
    | LetProcessGo
    | RunEnded
    | _PermissionExpired
)
MaintenanceMessage = RotateLog | RetainLog | SegmentCompressed | DamageSeen | LogUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExecutorDue:
    """Take executions again, after the Executor has failed too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatcherDue:
    """Start the FileWatcher again, which has failed."""


OtherProjectMessage = (
    ProjectRequest
    | SubscriberGone
    | Describe
    | LookAtKeys
    | ChangeSettings
    | DeleteProject
    | DrainProject
    | StopProject
    | FilesChanged
    | ActorDied
    | _PromptKeyDue
    | _FlushFeed
    | _SyncDue
    | _RetryStorage
    | _WatcherDue
    | _ExecutorDue
)
ProjectMessage = OtherProjectMessage | MaintenanceMessage | AgentMessage
