"""The Hub's projects as actors: started, rebuilt, set aside, closed, deleted."""

from collections.abc import Callable
from pathlib import Path

from actors import messages
from actors.directory import LocalDirectory, LocalProject, UnavailableProject
from actors.hub.metadata import new_meta
from actors.hub.registry import REOPEN_MAX_S, REVIVE_PAUSE_S, Entry, Registry
from actors.messages.replies import ReplyTo
from actors.project import Project, ProjectSettings
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, Timers, timestamp
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from protocol import requests
from protocol.error_details import ErrorDetails
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.updates import ProjectStatus
from storage.errors import FolderOutsideRoots, FolderRefused, StorageError
from storage.layout import resolve_folder
from storage.projects import ProjectMeta, ProjectStore


class ProjectActors:
    """Keep registry, directory and disk in step. For the Hub's thread only. `is_set_aside` is
    called for a project that cannot work."""

    def __init__(
        self,
        *,
        hub: Ref,
        registry: Registry,
        directory: LocalDirectory,
        store: ProjectStore,
        settings: ProjectSettings,
        clock: Clock,
        timers: Timers,
        problems: Problems,
        is_set_aside: Callable[[Entry], None],
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._directory = directory
        self._store = store
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._problems = problems
        self._is_set_aside = is_set_aside

    def change(self, settings: ProjectSettings) -> None:
        """Use these settings for the projects that start from now on."""
        self._settings = settings

    def create(self, request: requests.ProjectCreate, reply_to: ReplyTo) -> ProjectMeta:
        """Make a project and return it; answer once it is open. Raises WireError, and
        BeingDeleted if the answer depends on a deletion that is under way."""
        path = self._resolved(request.path)
        project_id = self._registry.admit(path, request.project_id)
        now = timestamp(self._clock.now())
        try:
            self._store.clear_way(project_id)
            kept = self._store.take_kept(project_id, str(path))
            meta = new_meta(request, project_id, path, now, kept)
            self._store.save(meta)
            self._problems.note(f"deletion of {project_id}", None)
        except StorageError as error:
            raise HubFault(ErrorCode.STORAGE_FAILED, str(error)) from None
        self.open(Entry(meta, created_for=reply_to, keep_history=kept is not None))
        return meta

    def _resolved(self, path: str) -> Path:
        try:
            return resolve_folder(path, self._settings.roots, self._settings.layout.root)
        except FolderOutsideRoots as error:
            # Only a key with all rights may create projects, so the roots may be told.
            roots = ErrorDetails(roots=[str(root) for root in self._settings.roots])
            raise RequestRefused(ErrorCode.PATH_NOT_ALLOWED, str(error), roots) from None
        except FolderRefused as error:
            details = ErrorDetails(field="payload.path")
            raise RequestRefused(ErrorCode.INVALID_PATH, str(error), details) from None

    def open(self, entry: Entry) -> None:
        """Start the project's actor, which opens the log and answers with ProjectOpened.

        If there is no thread for it, it is tried again later, and whoever waits for it waits.
        """
        entry.status = None
        try:
            entry.ref = Project.start(
                hub=self._hub,
                meta=entry.meta,
                settings=self._settings,
                clock=self._clock,
                timers=self._timers,
            )
        except OSError as error:
            self.set_aside(entry, error.strerror or str(error))
            return
        self._registry.add(entry)
        self._directory.put(entry.meta.project_id, LocalProject(entry.ref))

    def rebuild(self, entry: Entry) -> None:
        """Start the project again from disk, after the death of its actor."""
        entry.meta = self._store.load(entry.meta.project_id) or entry.meta
        self.open(entry)

    def set_aside(self, entry: Entry, problem: str) -> None:
        """Keep a project that cannot work: it is listed, can be deleted, and is tried again, since
        the reason may pass."""
        entry.ref, entry.status, entry.problem = None, ProjectStatus.ERROR, problem
        self._registry.add(entry)
        fault = HubFault(ErrorCode.STORAGE_FAILED, f"the project cannot work: {problem}")
        self._directory.put(entry.meta.project_id, UnavailableProject(fault, self._hub))
        if not entry.is_reopen_due:
            entry.is_reopen_due = True
            due = messages._ReopenDue(project_id=entry.meta.project_id)
            self._timers.after(entry.reopen_s, self._hub, due)
            entry.reopen_s = min(2 * entry.reopen_s, REOPEN_MAX_S)
        self._is_set_aside(entry)

    def reopen(self, project_id: str) -> None:
        """Open a project again that was set aside, if it is still there and still is."""
        entry = self._registry.get(project_id)
        if entry is None or entry.ref is not None or entry.is_deleting:
            return
        meta = self._store.load(project_id)
        if meta is None:
            self.set_aside(entry, entry.problem or "its metadata cannot be read")
        elif not self._registry.has_room_for(entry, Path(meta.path)):
            self.set_aside(entry, "another project has its folder")
        else:
            entry.meta = meta
            self.open(entry)

    def reopen_due(self, project_id: str) -> None:
        """Open a project again by itself: its time has come."""
        if (entry := self._registry.get(project_id)) is not None:
            entry.is_reopen_due = False
        self.reopen(project_id)

    def revive(self, order: messages.ReviveProject) -> None:
        """Open a project that was set aside, because a client wants to execute there, and hand the
        request over. If it does not open, it answers `otherwise`."""
        project_id = order.request.body.project_id
        entry, now_s = self._registry.get(project_id), self._clock.monotonic()
        if entry is not None and entry.ref is None and now_s - entry.revived_s >= REVIVE_PAUSE_S:
            entry.revived_s = now_s
            self.reopen(project_id)
        ref = None if entry is None else entry.ref
        if ref is None or not tell_if_alive(ref, order.request):
            order.request.reply_to.error(order.otherwise)

    def close(self, entry: Entry) -> None:
        """Note that the project's actor is gone: the server stops."""
        entry.ref, entry.status = None, ProjectStatus.IDLE
        fault = HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")
        self._directory.put(entry.meta.project_id, UnavailableProject(fault))

    def delete(self, entry: Entry) -> None:
        """Delete the data of a project whose actor is gone, or put it aside."""
        entry.ref = None
        project_id = entry.meta.project_id
        try:
            if entry.keep_history:
                self._store.keep(entry.meta)
            else:
                self._store.remove(project_id)
            self._problems.note(f"deletion of {project_id}", None)
        except StorageError as error:
            if self._store.folder(project_id).exists():
                left = f"{error}; it is back after the next start"
                self._problems.note(f"deletion of {project_id}", left)
        self._directory.remove(project_id)
        self._registry.pop(project_id, None)
