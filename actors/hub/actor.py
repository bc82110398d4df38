"""The Hub actor: creates, deletes and lists projects, knows the clients, supervises, stops."""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, assert_never

from actors import messages
from actors.directory import LocalDirectory
from actors.hub.draining import Draining
from actors.hub.health import (
    HealthChecks,
    doing_of,
    health_of,
    readings_of,
)
from actors.hub.machine import machine_checks
from actors.hub.project_actors import ProjectActors
from actors.hub.project_list import Listed, ProjectLists
from actors.hub.registry import REOPEN_S, BeingDeleted, Entry, Registry
from actors.hub.rotation import Rotation
from actors.hub.settings import HubSettings
from actors.hub.startup import Startup
from actors.hub.stopping import Stopping, close_client
from actors.hub.warm_processes import WarmProcesses
from actors.hub.watchers import Watchers
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Clock, Timers, timestamp
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from actors.watch.room import STORAGE, room_problem
from protocol import requests
from protocol.errors import Busy, ErrorCode, HubFault, WireError, not_found
from protocol.results import ProjectIdResult, ProjectResult
from protocol.updates import Health, ProjectStatus
from storage.projects import ProjectStore

logger = get_logger("claudehub.hub")

# Creates that wait for a deletion; further ones are refused.
WAITING_CREATES_MAX = 64


class Hub(Actor):
    """The root; its parent is main."""

    rule = Rule.EXIT

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
        self._clients: dict[str, Ref] = {}
        self._waiting_creates: deque[messages.HubRequest] = deque()
        self._started_s = 0.0
        self._stopping: Stopping | None = None
        self._make_parts()
        if settings.meter is not None:
            settings.meter.tally(
                partial(readings_of, self._registry, self._clients, self._warm_processes)
            )

    def _make_parts(self) -> None:
        settings, clock, timers = self._settings, self._clock, self._timers
        self._registry = Registry(settings.max_projects)
        self._project_lists = ProjectLists(
            hub=self.actor_ref,
            registry=self._registry,
            timers=timers,
            max_bytes=settings.max_reply_bytes,
        )
        self._draining = Draining(self._registry)
        self._watchers = Watchers(
            hub=self.actor_ref,
            registry=self._registry,
            lists=self._project_lists,
            standing=settings.project.standing,
            clock=clock,
            timers=timers,
        )
        self._make_children()
        self._startup = Startup(self._project_actors, self._registry, settings.progress)
        self._warm_processes = WarmProcesses(self._registry, settings.warm_sessions)
        self._health_checks = HealthChecks(
            hub=self.actor_ref,
            timers=timers,
            is_cli_known=settings.project.executor.cli.is_known,
            health=self._health,
            details=self._machine,
        )

    def _make_children(self) -> None:
        settings, clock, timers = self._settings, self._clock, self._timers
        self._rotation = Rotation(
            hub=self.actor_ref,
            directory=self._directory,
            settings=lambda: self._settings.rotation,
            clock=clock,
            timers=timers,
            problems=settings.problems,
            died=settings.died,
        )
        self._project_actors = ProjectActors(
            hub=self.actor_ref,
            registry=self._registry,
            directory=self._directory,
            store=self._store,
            settings=settings.project,
            clock=clock,
            timers=timers,
            problems=settings.problems,
            is_set_aside=self._watchers.set_aside,
        )

    # -- life --------------------------------------------------------------------------------

    def started(self) -> None:
        self._started_s = self._clock.monotonic()
        self._startup.begin(self._store.load_all(), timestamp(self._clock.now()))
        self._rotation.start()

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return (self._rotation.stop,)

    def failed(self, reason: str) -> None:
        """Report it: the Hub holds everything, and the server cannot go on without it."""
        self._settings.died(f"the hub failed: {reason}")

    def left_over(self, message: messages.HubMessage) -> None:
        """Answer a request that came before the end."""
        fault = HubFault(ErrorCode.SHUTTING_DOWN, "the server ends")
        if isinstance(message, messages.HubRequest):
            message.reply_to.error(fault)
        elif isinstance(message, messages.ReviveProject):
            message.request.reply_to.error(fault)

    def on_receive(self, message: messages.HubMessage) -> None:  # noqa: C901 - one case a message
        match message:
            case messages.HubRequest():
                self._on_request(message)
            case messages.ClientConnected():
                self._clients[message.client_id] = message.client
                if self._stopping is not None:
                    close_client(message.client)
            case messages.ClientGone():
                self._clients.pop(message.client_id, None)
                self._watchers.stop(message.client_id)
                self._go_on_stopping()
            case messages.ChangeSettings():
                self._on_change(message)
            case messages.KeysChanged():
                self._on_keys_changed()
            case messages.ProjectOpened():
                self._on_project_opened(message)
            case messages.ProjectStatusChanged():
                self._on_project_status(message)
            case messages.WarmProcess():
                self._warm_processes.on_changed(message)
            case messages.ProjectDescribed():
                self._on_project_described(message)
            case messages.ProjectChanged():
                self._watchers.changed(message.project_id)
            case messages.ProjectClosed():
                self._on_project_closed(message)
            case messages.ActorDied():
                self._on_child_died(message)
            case messages.AreYouAlive():
                self._answer_alive(message)
            case messages.CliKnown() | messages._HealthDue():
                self._health_checks.answer()
            case messages._ChangeDue():
                self._watchers.on_due(message.project_id)
            case messages._RotatorDue():
                self._rotation.start()
            case messages._ReopenDue():
                if not self._is_ending:
                    self._project_actors.reopen_due(message.project_id)
            case messages.ReviveProject() if self._is_ending:
                self.left_over(message)
            case messages.ReviveProject():
                self._project_actors.revive(message)
            case messages._ProjectListDue():
                self._project_lists.expire(message.list_number)
            case (
                messages.DrainHub()
                | messages.ProjectDrained()
                | messages.ProjectDraining()
                | messages.StopHub()
                | messages._StopStepDue()
            ):
                self._on_end_message(message)
            case _:
                assert_never(message)

    # -- requests ----------------------------------------------------------------------------

    def _on_request(self, message: messages.HubRequest) -> None:
        try:
            match message.body:
                case requests.ProjectCreate() | requests.ProjectDelete() if self._is_ending:
                    raise HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")
                case requests.ProjectCreate():
                    self._create(message, message.body)
                case requests.ProjectDelete():
                    self._delete(message, message.body)
                case requests.ProjectList():
                    self._list(message)
                case requests.Watch():
                    assert message.watcher is not None
                    self._watchers.watch(message.reply_to, message.caller, message.watcher)
                case requests.Unwatch():
                    self._watchers.stop(message.caller.client_id)
                    message.reply_to.result({})
                case requests.HealthCheck():
                    self._health_checks.ask(message.reply_to, message.body)
                case _:
                    assert_never(message.body)
        except WireError as error:
            message.reply_to.error(error)
        except Exception:
            # A bug in one request must not end the Hub, and with it the server.
            logger.exception("a request has failed", request=type(message.body).__name__)
            message.reply_to.error(HubFault(ErrorCode.INTERNAL, "the request failed; see the log"))

    def _create(self, message: messages.HubRequest, request: requests.ProjectCreate) -> None:
        # It may have waited for a deletion, and its key may be gone.
        self._settings.project.standing.check(message.caller, request, self._clock.now())
        try:
            meta = self._project_actors.create(request, message.reply_to)
        except BeingDeleted:
            if len(self._waiting_creates) >= WAITING_CREATES_MAX:
                fault = "too many requests wait for a deletion"
                raise HubFault(ErrorCode.INTERNAL, fault) from None
            self._waiting_creates.append(message)
        else:
            by = message.caller
            ids = {"project": meta.project_id, "client": by.client_id, "user": by.user}
            logger.info("project created", **ids, path=meta.path)

    def _delete(self, message: messages.HubRequest, request: requests.ProjectDelete) -> None:
        reply_to, by, terms = message.reply_to, message.caller.named, message.terms
        entry = self._registry.get(request.project_id)
        if entry is None or entry.is_deleting:
            raise not_found(request.project_id)
        # A project tells its status before it acknowledges a prompt.
        if terms.only_if_idle and entry.status is ProjectStatus.EXECUTING:
            raise Busy()
        entry.is_deleting, entry.keep_history = True, request.keep_history
        entry.deleted_for, entry.deleted_by = reply_to, by
        self._directory.remove(request.project_id)
        order = messages.DeleteProject(
            reply_to=reply_to,
            by=by,
            keep_history=request.keep_history,
            behind_updates=terms.behind_updates,
        )
        if entry.ref is None:
            reply_to.result(ProjectIdResult(project_id=request.project_id))
            self._finish_deletion(entry)
        else:
            # One that does not take it is dying. It still has its files, and the CLI may still run:
            # the notice of its death comes when it has let go of both, and ends the deletion.
            tell_if_alive(entry.ref, order)

    def _list(self, message: messages.HubRequest) -> None:
        def answer(listed: Listed) -> None:
            message.reply_to.result(listed.payload)

        self._project_lists.begin(message.caller.rights, answer)

    def _health(self) -> Health:
        project, problems = self._settings.project, self._settings.problems
        problems.note(STORAGE, room_problem(project.layout.root, project.min_free_bytes))
        return health_of(
            self._registry,
            [*self._draining.problems, *problems.now()],
            version=self._settings.version,
            uptime_s=self._clock.monotonic() - self._started_s,
            connections=len(self._clients),
            claude=project.executor.cli.version,
            warm_sessions=self._warm_processes.sessions,
        )

    def _machine(self) -> dict[str, Any]:
        settings, project = self._settings, self._settings.project
        limits = {"connections": settings.max_connections, "projects": settings.max_projects}
        machine = machine_checks(project.layout.root, project.min_free_bytes)
        return {"limits": limits, "machine": machine}

    def _on_change(self, change: messages.ChangeSettings) -> None:
        settings = self._settings = self._settings.changed(change)
        self._registry.max_projects = settings.max_projects
        self._warm_processes.change(settings.warm_sessions)
        self._project_actors.change(settings.project)
        self._rotation.change(change)
        for entry in self._registry.values():
            if entry.ref is not None:
                tell_if_alive(entry.ref, change)

    def _on_keys_changed(self) -> None:
        """Have connections closed, and prompts cancelled that wait by a key that is gone: their
        connection may have ended long ago."""
        for client in self._clients.values():
            tell_if_alive(client, messages.LookAtKey())
        self._watchers.look_at_keys()
        for entry in self._registry.values():
            if entry.ref is not None:
                tell_if_alive(entry.ref, messages.LookAtKeys())

    # -- projects ----------------------------------------------------------------------------

    def _on_project_status(self, message: messages.ProjectStatusChanged) -> None:
        if (entry := self._registry.get(message.project_id)) is not None:
            entry.status, entry.problem = message.status, message.problem

    def _on_project_described(self, message: messages.ProjectDescribed) -> None:
        number, project_id = message.list_number, message.info.project_id
        if (entry := self._registry.get(project_id)) is not None:
            entry.info = message.info
            self._watchers.described(entry, was_asked=number is None)
        if number is not None:
            self._project_lists.described(number, project_id)

    def _on_project_opened(self, message: messages.ProjectOpened) -> None:
        """Answer the client that created the project: the directory has it now, for the next
        requests."""
        if (entry := self._registry.get(message.info.project_id)) is None:
            return
        entry.info, entry.status = message.info, message.info.status
        entry.reopen_s = REOPEN_S
        if entry.created_for is not None:
            entry.created_for.result(ProjectResult(project=message.info))
            entry.created_for = None
        self._watchers.opened(entry)
        self._startup.settled(message.info.project_id)

    def _on_project_closed(self, message: messages.ProjectClosed) -> None:
        entry = self._registry.get(message.project_id)
        self._project_lists.gone(message.project_id)
        self._warm_processes.forget(message.project_id)
        if entry is None:
            return
        if message.deletion is not None:
            entry.meta = message.meta or entry.meta
            self._finish_deletion(entry)
        else:
            self._project_actors.close(entry)
        self._draining.settled(message.project_id)
        self._go_on_stopping()

    def _finish_deletion(self, entry: Entry) -> None:
        self._project_actors.delete(entry)
        if entry.is_deleting:  # not one that could not be created
            by, kept = entry.deleted_by, entry.keep_history
            self._watchers.deleted(entry, by)
            name = entry.meta.project_id
            logger.info("project deleted", project=name, by=by, keep_history=kept)
        waiting, self._waiting_creates = self._waiting_creates, deque()
        for request in waiting:
            self._on_request(request)

    def _on_child_died(self, message: messages.ActorDied) -> None:
        if self._rotation.on_died(message):
            return
        if (entry := self._registry.by_ref(message.child)) is not None:
            self._on_project_died(entry, message)

    def _on_project_died(self, entry: Entry, message: messages.ActorDied) -> None:
        """Rebuild the project from disk. Set it aside if it cannot start, or fails again and
        again."""
        project_id = entry.meta.project_id
        entry.ref = None
        self._project_lists.gone(project_id)
        self._warm_processes.forget(project_id)
        for client in self._clients.values():
            tell_if_alive(client, messages.ProjectFailed(project_id=project_id))
        if entry.created_for is not None:
            entry.created_for.error(HubFault(ErrorCode.STORAGE_FAILED, message.reason))
        if entry.deleted_for is not None:  # a second answer does nothing
            entry.deleted_for.result(ProjectIdResult(project_id=project_id))
        if entry.is_deleting or entry.created_for is not None:
            self._finish_deletion(entry)
        elif message.started and self._may_restart(entry):
            self._project_actors.rebuild(entry)
            self._draining.tell(entry)
        else:
            self._project_actors.set_aside(entry, message.reason)
            self._startup.settled(project_id)
        if entry.ref is None:
            self._draining.settled(project_id)
        self._go_on_stopping()

    def _may_restart(self, entry: Entry) -> bool:
        return self._stopping is None and entry.restarts.may_restart(self._clock.monotonic())

    # -- the end -----------------------------------------------------------------------------

    def _on_end_message(self, message: messages.HubEndMessage) -> None:
        match message:
            case messages.DrainHub():
                if not self._is_ending:
                    self._draining.begin(message)
            case messages.ProjectDrained() | messages.ProjectDraining():
                self._draining.on_answer(message)
            case messages.StopHub():
                self._on_stop_hub(message)
            case messages._StopStepDue():
                if self._stopping is not None:
                    self._stopping.on_step_due(message.step)
            case _:
                assert_never(message)

    @property
    def _is_ending(self) -> bool:
        """Return True if nothing new may begin."""
        return self._draining.is_on or self._stopping is not None

    def _answer_alive(self, message: messages.AreYouAlive) -> None:
        doing = doing_of(self._registry, len(self._clients), is_ending=self._is_ending)
        answer = messages.HubIsAlive(question=message.question, doing=doing)
        tell_if_alive(message.asker, answer)

    def _on_stop_hub(self, message: messages.StopHub) -> None:
        self._startup.cancel()
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
