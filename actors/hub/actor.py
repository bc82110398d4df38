"""The Hub actor: creates, deletes and lists projects, knows the clients, supervises, stops."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from actors import messages
from actors.base import Actor
from actors.clock import Clock, Timers, timestamp
from actors.directory import LocalDirectory, LocalProject, UnavailableProject
from actors.hub.gathering import Gatherings
from actors.hub.opening import error_info, new_meta, placeholder_meta
from actors.hub.registry import BeingDeleted, Entry, Registry
from actors.hub.stopping import Stopping, close_client
from actors.mailbox import tell_if_alive
from actors.messages import Ref
from actors.project import Project, ProjectSettings
from actors.restarts import RestartIntensity
from actors.rotator import Rotator
from actors.slot import Slot
from protocol import requests
from protocol.errors import ErrorCode, HubFault, RequestRefused, WireError, not_found
from protocol.updates import Health, ProjectStatus
from storage.errors import FolderOutsideRoots, FolderRefused, StorageError
from storage.layout import resolve_folder
from storage.projects import ProjectMeta, ProjectStore, Unreadable

logger = logging.getLogger("claudehub.hub")

GATHERING_TIMEOUT_S = 2.0
# Creates that wait for a deletion; more are refused.
WAITING_CREATES_MAX = 64


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`ready` is called when every project is open or has failed to; `died` when the Hub fails."""

    project: ProjectSettings
    max_projects: int
    rotate_days: int
    version: str
    ready: Callable[[], None]
    died: Callable[[str], None]


class Hub(Actor):
    """The root; its parent is main."""

    def __init__(
        self,
        *,
        settings: HubSettings,
        directory: LocalDirectory,
        clock: Clock,
        timers: Timers,
    ) -> None:
        super().__init__(parent=None, name="hub")
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._timers = timers
        self._store = ProjectStore(settings.project.layout)
        self._registry = Registry(settings.max_projects)
        self._gatherings = Gatherings()
        self._clients: dict[str, Ref] = {}
        self._waiting_creates: deque[messages.HubRequest] = deque()
        self._rotator: Ref | None = None
        self._rotator_restarts = RestartIntensity()
        self._claude_version: str | None = None
        self._started_s = 0.0
        self._is_ready = False
        self._stopping: Stopping | None = None

    # -- life --------------------------------------------------------------------------------

    def started(self) -> None:
        self._started_s = self._clock.monotonic()
        for found in self._store.load_all():
            if isinstance(found, Unreadable):
                logger.error("project %s cannot be opened: %s", found.project_id, found.problem)
                meta = placeholder_meta(found.project_id, timestamp(self._clock.now()))
                self._set_aside(Entry(meta), found.problem)
            else:
                self._open_project(Entry(found))
        self._start_rotator()
        self._report_ready()

    def _start_rotator(self) -> None:
        self._rotator = Rotator.start(
            hub=self.actor_ref,
            directory=self._directory,
            rotate_days=self._settings.rotate_days,
            clock=self._clock,
            timers=self._timers,
        )

    def release(self) -> None:
        """The Hub holds everything: without it the server cannot go on."""
        if self._rotator is not None:
            self._rotator.stop(block=False)
        if self._stopping is None:
            self._settings.died("the hub failed; the log above says why")

    def _report_ready(self) -> None:
        if not self._is_ready and all(e.status is not None for e in self._registry.entries()):
            self._is_ready = True
            self._settings.ready()

    def receive(self, message: messages.HubMessage) -> None:  # noqa: C901 - one case a message
        match message:
            case messages.HubRequest():
                self._on_request(message)
            case messages.ClientConnected():
                self._clients[message.client_id] = message.client
                if self._stopping is not None:
                    close_client(message.client)
            case messages.ClientGone():
                self._clients.pop(message.client_id, None)
                self._go_on_stopping()
            case messages.ProjectOpened():
                self._on_project_opened(message)
            case messages.ProjectStatusChanged():
                self._on_project_status(message)
            case messages.ProjectDescribed():
                self._gatherings.described(message.gathering, message.info)
            case messages.ProjectClosed():
                self._on_project_closed(message)
            case messages.ClaudeVersionFound():
                self._claude_version = message.version
            case messages.ActorDied():
                self._on_child_died(message)
            case messages._GatheringExpired():
                self._gatherings.expire(message.gathering)
            case messages.StopHub():
                self._on_stop_hub(message)
            case messages._StopStepDue():
                if self._stopping is not None:
                    self._stopping.on_step_due(message.step)
            case _:
                assert_never(message)

    # -- requests ----------------------------------------------------------------------------

    def _on_request(self, message: messages.HubRequest) -> None:
        try:
            match message.body:
                case requests.ProjectCreate():
                    self._create(message, message.body)
                case requests.ProjectDelete():
                    self._delete(message.slot, message.caller.client_id, message.body)
                case requests.ProjectList():
                    self._list(message.slot)
                case requests.HealthCheck():
                    message.slot.result(self._health())
                case _:
                    assert_never(message.body)
        except WireError as error:
            message.slot.error(error)

    def _refuse_while_stopping(self) -> None:
        if self._stopping is not None:
            raise HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")

    def _create(self, message: messages.HubRequest, request: requests.ProjectCreate) -> None:
        self._refuse_while_stopping()
        try:
            path = resolve_folder(request.path, self._settings.project.roots)
        except FolderOutsideRoots as error:
            raise RequestRefused(ErrorCode.PATH_NOT_ALLOWED, str(error)) from None
        except FolderRefused as error:
            raise RequestRefused(
                ErrorCode.INVALID_PATH, str(error), {"field": "payload.path"}
            ) from None
        try:
            project_id = self._registry.admit(path, request.project_id)
        except BeingDeleted:
            self._wait_for_deletion(message)
            return
        now = timestamp(self._clock.now())
        try:
            kept = self._store.take_kept(project_id, str(path))
            meta = new_meta(request, project_id, path, now, kept)
            self._store.save(meta)
        except StorageError as error:
            raise HubFault(ErrorCode.STORAGE_FAILED, str(error)) from None
        logger.info("project %s: %s", project_id, path)
        entry = Entry(meta, created_for=message.slot, keep_history=kept is not None)
        self._open_project(entry)

    def _wait_for_deletion(self, message: messages.HubRequest) -> None:
        if len(self._waiting_creates) >= WAITING_CREATES_MAX:
            raise HubFault(ErrorCode.INTERNAL, "too many requests wait for a deletion")
        self._waiting_creates.append(message)

    def _delete(self, slot: Slot, by: str, request: requests.ProjectDelete) -> None:
        self._refuse_while_stopping()
        entry = self._registry.get(request.project_id)
        if entry is None or entry.is_deleting:
            raise not_found(request.project_id)
        entry.is_deleting, entry.keep_history = True, request.keep_history
        self._directory.remove(request.project_id)
        order = messages.DeleteProject(slot=slot, by=by, keep_history=request.keep_history)
        if entry.ref is None or not tell_if_alive(entry.ref, order):
            slot.result({"project_id": request.project_id})
            self._finish_deletion(entry)

    def _list(self, slot: Slot) -> None:
        known = {
            e.meta.project_id: error_info(e.meta)
            for e in self._registry.entries()
            if e.ref is None and not e.is_deleting
        }
        asked = {
            e.meta.project_id: e.ref
            for e in self._registry.entries()
            if e.ref is not None and not e.is_deleting
        }
        number = self._gatherings.begin(slot, known, set(asked))
        for project_id, ref in asked.items():
            if not tell_if_alive(ref, messages.Describe(gathering=number)):
                self._gatherings.gone(project_id)
        if asked:
            expired = messages._GatheringExpired(gathering=number)
            self._timers.after(GATHERING_TIMEOUT_S, self.actor_ref, expired)

    def _health(self) -> Health:
        entries = self._registry.entries()
        problems = [f"project {e.meta.project_id}: {e.problem}" for e in entries if e.problem]
        return Health(
            status="degraded" if problems else "ok",
            problems=problems,
            version=self._settings.version,
            uptime_seconds=round(self._clock.monotonic() - self._started_s, 3),
            connections=len(self._clients),
            projects=len([e for e in entries if not e.is_deleting]),
            executing=len([e for e in entries if e.status is ProjectStatus.EXECUTING]),
            claude=self._claude_version,
        )

    # -- projects ----------------------------------------------------------------------------

    def _open_project(self, entry: Entry) -> None:
        entry.ref = Project.start(
            hub=self.actor_ref,
            meta=entry.meta,
            settings=self._settings.project,
            clock=self._clock,
            timers=self._timers,
        )
        self._registry.add(entry)
        self._directory.put(entry.meta.project_id, LocalProject(entry.ref))

    def _set_aside(self, entry: Entry, problem: str) -> None:
        """A project that cannot work: it is listed, and can be deleted."""
        entry.ref, entry.status, entry.problem = None, ProjectStatus.ERROR, problem
        self._registry.add(entry)
        fault = HubFault(ErrorCode.STORAGE_FAILED, f"the project cannot work: {problem}")
        self._directory.put(entry.meta.project_id, UnavailableProject(fault))

    def _on_project_status(self, message: messages.ProjectStatusChanged) -> None:
        if (entry := self._registry.get(message.project_id)) is not None:
            entry.status, entry.problem = message.status, message.problem

    def _on_project_opened(self, message: messages.ProjectOpened) -> None:
        """Whoever had it made is answered here: now the directory has it, for what follows."""
        if (entry := self._registry.get(message.info.project_id)) is None:
            return
        entry.status = message.info.status
        if entry.created_for is not None:
            entry.created_for.result({"project": message.info.model_dump(mode="json")})
            entry.created_for = None
        self._report_ready()

    def _on_project_closed(self, message: messages.ProjectClosed) -> None:
        entry = self._registry.get(message.project_id)
        self._gatherings.gone(message.project_id)
        if entry is None:
            return
        entry.ref, entry.status = None, ProjectStatus.IDLE
        if message.deletion is not None:
            entry.meta = message.meta or entry.meta
            self._finish_deletion(entry)
        else:
            fault = HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")
            self._directory.put(message.project_id, UnavailableProject(fault))
        self._go_on_stopping()

    def _finish_deletion(self, entry: Entry) -> None:
        try:
            if entry.keep_history:
                self._store.keep(entry.meta)
            else:
                self._store.remove(entry.meta.project_id)
        except StorageError as error:
            logger.error("deleting project %s: %s", entry.meta.project_id, error)
        self._registry.remove(entry.meta.project_id)
        waiting, self._waiting_creates = self._waiting_creates, deque()
        for request in waiting:
            self._on_request(request)

    def _on_child_died(self, message: messages.ActorDied) -> None:
        if self._rotator is not None and message.child.actor_urn == self._rotator.actor_urn:
            self._on_rotator_died()
        elif (entry := self._registry.by_ref(message.child)) is not None:
            self._on_project_died(entry, message)

    def _on_rotator_died(self) -> None:
        if self._rotator_restarts.may_restart(self._clock.monotonic()):
            self._start_rotator()
        else:
            self._settings.died("the rotator failed too often")

    def _on_project_died(self, entry: Entry, message: messages.ActorDied) -> None:
        """Rebuilt from disk; one that cannot even start, or fails again and again, is set aside."""
        project_id = entry.meta.project_id
        entry.ref = None
        self._gatherings.gone(project_id)
        for client in self._clients.values():
            tell_if_alive(client, messages.ProjectFailed(project_id=project_id))
        if entry.is_deleting:
            self._finish_deletion(entry)
        elif entry.created_for is not None:
            entry.created_for.error(HubFault(ErrorCode.STORAGE_FAILED, message.reason))
            self._directory.remove(project_id)
            self._finish_deletion(entry)
        elif message.started and self._may_restart(entry):
            entry.meta, entry.status = self._reload(entry.meta), None
            self._open_project(entry)
        else:
            self._set_aside(entry, message.reason)
        self._report_ready()
        self._go_on_stopping()

    def _may_restart(self, entry: Entry) -> bool:
        return self._stopping is None and entry.restarts.may_restart(self._clock.monotonic())

    def _reload(self, meta: ProjectMeta) -> ProjectMeta:
        return self._store.load(meta.project_id) or meta

    # -- the end -----------------------------------------------------------------------------

    def _on_stop_hub(self, message: messages.StopHub) -> None:
        self._stopping = Stopping(
            hub=self.actor_ref,
            registry=self._registry,
            clients=self._clients,
            timers=self._timers,
            kill_grace_s=self._settings.project.executor.kill_grace_s,
            done=message.done,
            finish=self.stop,
        )
        self._stopping.begin()

    def _go_on_stopping(self) -> None:
        if self._stopping is not None:
            self._stopping.go_on()
