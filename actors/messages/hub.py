"""The messages of the Hub: from Clients, Projects and main."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from actors.messages.project import DeleteProject, ProjectRequest
from actors.messages.replies import ReplyTo
from actors.messages.settings import ChangeSettings
from actors.ports import Caller, Watcher
from actors.runtime.refs import ActorDied, Ref
from protocol import requests, updates
from protocol.errors import WireError
from storage.projects import ProjectMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRequest:
    """A request that does not go to an existing project. Only a `watch` has a `watcher`."""

    reply_to: ReplyTo
    caller: Caller
    body: requests.ToHub
    watcher: Watcher | None = None
    terms: requests.Terms = requests.USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnected:
    client: Ref
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGone:
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """From the reloader of AUTHORIZED_KEYS: open connections may no longer be allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOpened:
    """From a Project: its log is open, and it takes requests."""

    info: updates.ProjectInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatusChanged:
    """From a Project, at every change. `problem` says why the status is `error`, or is a
    warning."""

    project_id: str
    status: updates.ProjectStatus
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmProcess:
    """From a Project: its CLI process is idle and kept; without a pid it is in use, or gone.
    `used_at_s` is the monotonic time of its last use."""

    project_id: str
    used_at_s: float
    pid: int | None = None
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDescribed:
    """From a Project: the answer to Describe, for the list with that number or for none."""

    list_number: int | None
    info: updates.ProjectInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChanged:
    """From a Project: it is no longer what the last Describe with `is_watched` has told."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectClosed:
    """From a Project that has ended its work: its log is closed, and its actor stops."""

    project_id: str
    meta: ProjectMeta | None
    deletion: DeleteProject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CliKnown:
    """From the thread that asks the CLI what it is: health_check can name its version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreYouAlive:
    """From Liveness: say so, with the number of the question."""

    asker: Ref
    question: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDrained:
    """From a Project, after DrainProject: no execution runs or waits."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDraining:
    """From a Project, at DrainProject: how many executions run, and how many prompts it has
    cancelled."""

    project_id: str
    running: int
    cancelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainHub:
    """From main, at a stop with STOP_GRACE: take no new prompts, cancel what waits, and let what
    runs end by itself. `drained` is called when nothing runs any more."""

    grace_s: float
    drained: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopHub:
    """From main: end everything in order; `done` is set when all is stopped."""

    done: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProjectListDue:
    list_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChangeDue:
    """A project may be shown to those who watch again, if it has changed."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _HealthDue:
    """Answer health_check now, whatever is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RotatorDue:
    """Try to start the Rotator again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviveProject:
    """A client wants to execute in a project that was set aside. `otherwise` is the answer if the
    project cannot be opened."""

    request: ProjectRequest
    otherwise: WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReopenDue:
    """Try to open a project again that could not work."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _StopStepDue:
    """A step of the stop has had its time."""

    step: str


HubEndMessage = DrainHub | ProjectDrained | ProjectDraining | StopHub | _StopStepDue
HubMessage = (
    HubRequest
    | ClientConnected
    | ClientGone
    | KeysChanged
    | ProjectOpened
    | ProjectStatusChanged
    | WarmProcess
    | ProjectDescribed
    | ProjectChanged
    | ProjectClosed
    | ActorDied
    | AreYouAlive
    | ChangeSettings
    | CliKnown
    | HubEndMessage
    | _ChangeDue
    | _HealthDue
    | _ProjectListDue
    | _ReopenDue
    | ReviveProject
    | _RotatorDue
)
