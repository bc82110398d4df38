"""The state of a fake hub: projects and connections, without sockets or threads."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import simplejson

from claudehub.fake.log import now
from claudehub.fake.project import FakeProject
from claudehub.fake.script import Script, usual
from protocol import PROTOCOL_VERSION, VERSION

HEARTBEAT_S = 20
MESSAGE_BYTES_MAX = 1024 * 1024
UPDATE_BYTES_MAX = 18 * 1024 * 1024
# What a client gets that wants no ephemeral updates.
ALWAYS_SENT = frozenset({"gap", "status", "project_deleted"})
# What changes the state of a project, for those who watch.
CHANGES = frozenset(
    {
        "execution_queued",
        "execution_started",
        "permission_request",
        "permission_resolved",
        "execution_finished",
    }
)


class Refused(Exception):
    """The answer to a request is an error."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """An `execute` that the fake hub has taken."""

    project_id: str
    execution_id: str
    prompt: str | None
    content: Any
    options: Mapping[str, Any]
    key: str | None


@dataclass(frozen=True, slots=True)
class SentAnswer:
    """A `permission_answer` that the fake hub has taken."""

    project_id: str
    permission_id: str
    decision: str
    message: str | None
    updated_input: Mapping[str, Any] | None
    remember: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request of a kind. With a `code` it is refused. Else the connection is
    cut: before the request is done, or behind it, so that only the reply is lost."""

    kind: str
    code: str | None = None
    message: str = "a fault of the fake hub"
    details: Mapping[str, Any] = field(default_factory=dict)
    is_done: bool = False


class FakeClient:
    """A connection. `send` gets each message for it, and `cut` ends it."""

    def __init__(self, send: Callable[[str], None], cut: Callable[[], None]) -> None:
        self.client_id = uuid.uuid4().hex[:12]
        self.joined: dict[str, bool] = {}
        self.is_watching = False
        self.is_cut = False
        self._send = send
        self._cut = cut

    def send(self, message: Mapping[str, Any]) -> None:
        if not self.is_cut:
            self._send(simplejson.dumps(message))

    def update(self, update: Mapping[str, Any]) -> None:
        self.send({"type": "update", "payload": update})

    def cut(self) -> None:
        self.is_cut = True
        self._cut()


class FakeCore:
    """All projects, and the connections that are open."""

    def __init__(self) -> None:
        self.projects: dict[str, FakeProject] = {}
        self.clients: list[FakeClient] = []
        self.prompts: list[SentPrompt] = []
        self.answers: list[SentAnswer] = []
        self.faults: list[Fault] = []
        self.script: Script = usual

    # -- connections

    def connect(self, send: Callable[[str], None], cut: Callable[[], None]) -> FakeClient:
        """Take a connection, and greet it."""
        client = FakeClient(send, cut)
        self.clients.append(client)
        welcome = {
            "server": f"claudehub/{VERSION}",
            "protocol": PROTOCOL_VERSION,
            "protocols": [PROTOCOL_VERSION],
            "client_id": client.client_id,
            "heartbeat_seconds": HEARTBEAT_S,
            "max_message_bytes": MESSAGE_BYTES_MAX,
            "max_update_bytes": UPDATE_BYTES_MAX,
            "auth": None,
        }
        client.send({"type": "welcome", "payload": welcome})
        return client

    def disconnect(self, client: FakeClient) -> None:
        client.is_cut = True
        if client in self.clients:
            self.clients.remove(client)

    def next_fault(self, kind: str) -> Fault | None:
        """Return what is to happen to a request of this kind, once."""
        for fault in self.faults:
            if fault.kind == kind:
                self.faults.remove(fault)
                return fault
        return None

    # -- projects

    def project(self, project_id: str) -> FakeProject:
        """Raises Refused."""
        project = self.projects.get(project_id)
        if project is None:
            words = f"there is no project {project_id}"
            raise Refused("project_not_found", words, project_id=project_id)
        return project

    def make(self, project_id: str, path: str, name: str | None = None) -> FakeProject:
        """Make a project. Raises Refused if there is one of that id or folder."""
        for project in self.projects.values():
            if project_id == project.project_id or path == project.path:
                words = f"{project.project_id} is the project of {project.path}"
                raise Refused("project_exists", words, project_id=project.project_id)
        project = FakeProject(project_id, path, name, self.script, self._tell)
        self.projects[project_id] = project
        self.changed(project)
        return project

    def described(self, project: FakeProject) -> dict[str, Any]:
        return project.described(sum(project.project_id in c.joined for c in self.clients))

    def all_described(self) -> list[dict[str, Any]]:
        return [self.described(project) for project in self.projects.values()]

    def delete(self, project: FakeProject, by: str) -> None:
        project.end_all("killed", "cancelled")
        del self.projects[project.project_id]
        project.add("project_deleted", {"by": by}, logged=False)
        for client in self.clients:
            client.joined.pop(project.project_id, None)

    def changed(self, project: FakeProject) -> None:
        """Tell everybody who watches."""
        update = {
            "project_id": project.project_id,
            "update_type": "project_changed",
            "data": {"project": self.described(project)},
            "timestamp": now(),
        }
        for client in self.clients:
            if client.is_watching:
                client.update(update)

    def _tell(self, update: Mapping[str, Any]) -> None:
        """Send an update to everybody who has joined its project."""
        kind, project_id = update["update_type"], update["project_id"]
        for client in self.clients:
            wants_all = client.joined.get(project_id)
            is_wanted = wants_all or "seq" in update or kind in ALWAYS_SENT
            is_for_watchers = client.is_watching and kind == "project_deleted"
            if (wants_all is not None and is_wanted) or is_for_watchers:
                client.update(update)
        if kind in CHANGES:
            self.changed(self.projects[project_id])
