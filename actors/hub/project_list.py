"""Answer project_list, and begin a `watch`: both need every project."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors import messages
from actors.hub.metadata import error_info
from actors.hub.registry import Entry, Registry
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Timers
from actors.runtime.refs import Ref
from protocol.rights import Rights
from protocol.shown_projects import fitting
from protocol.updates import ProjectInfo, ProjectStatus

PROJECT_LIST_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A list as it is when it is complete. `unanswered` are shown as they were last known."""

    infos: list[ProjectInfo]
    unanswered: frozenset[str]
    payload: dict[str, Any]


@dataclass(slots=True)
class _Listing:
    rights: Rights
    missing: set[str]
    done: Callable[[Listed], None]


class ProjectLists:
    """Lists that wait until all projects have described themselves, or until their time is over.

    What is listed is what the registry has at the end: also a project that was opened meanwhile,
    and none that is deleted by then. For the Hub's thread only.
    """

    def __init__(self, *, hub: Ref, registry: Registry, timers: Timers, max_bytes: int) -> None:
        self._hub = hub
        self._registry = registry
        self._timers = timers
        self._max_bytes = max_bytes
        self._open: dict[int, _Listing] = {}
        self._next = 1

    def begin(
        self, rights: Rights, done: Callable[[Listed], None], *, is_watched: bool = False
    ) -> None:
        """Ask every project that the client may see, and call `done` with the list, perhaps at
        once. `is_watched`: the projects tell when they change next."""
        number = self._next
        self._next += 1
        asked = {e.meta.project_id: e.ref for e in self._seen(rights) if e.ref is not None}
        self._open[number] = _Listing(rights, set(asked), done)
        order = messages.Describe(list_number=number, is_watched=is_watched)
        for project_id, ref in asked.items():
            if not tell_if_alive(ref, order):
                self._open[number].missing.discard(project_id)
        self._finish_if_complete(number)
        if number in self._open:
            due = messages._ProjectListDue(list_number=number)
            self._timers.after(PROJECT_LIST_TIMEOUT_S, self._hub, due)

    def described(self, number: int, project_id: str) -> None:
        """Note that the registry has what a project has said for that list."""
        if (listing := self._open.get(number)) is not None:
            listing.missing.discard(project_id)
            self._finish_if_complete(number)

    def gone(self, project_id: str) -> None:
        """Stop waiting for a project: it will not answer any more."""
        for number, listing in list(self._open.items()):
            listing.missing.discard(project_id)
            self._finish_if_complete(number)

    def expire(self, number: int) -> None:
        """Answer now; use what was last known of projects that have not answered."""
        if (listing := self._open.pop(number, None)) is not None:
            self._finish(listing)

    def _finish_if_complete(self, number: int) -> None:
        if not self._open[number].missing:
            self._finish(self._open.pop(number))

    def _finish(self, listing: _Listing) -> None:
        unanswered = frozenset(listing.missing)
        known = [
            _last_known(entry) if entry.meta.project_id in unanswered else described(entry)
            for entry in self._seen(listing.rights)
        ]
        infos = sorted((info for info in known if info), key=lambda info: info.project_id)
        listing.done(Listed(infos, unanswered, fitting(infos, self._max_bytes)))

    def _seen(self, rights: Rights) -> list[Entry]:
        return [
            entry
            for entry in self._registry.values()
            if not entry.is_deleting and rights.sees(entry.meta.project_id)
        ]


def described(entry: Entry) -> ProjectInfo | None:
    """Return what a project has last said of itself, or that it cannot work; None if it is not open
    yet."""
    return error_info(entry.meta) if entry.ref is None else entry.info


def _last_known(entry: Entry) -> ProjectInfo:
    status = entry.status or ProjectStatus.IDLE
    return (entry.info or error_info(entry.meta)).model_copy(update={"status": status})
