"""Answer project_list, which needs every project."""

from dataclasses import dataclass

from actors import messages
from actors.hub.metadata import error_info
from actors.hub.registry import Registry
from actors.messages.replies import ReplyTo
from actors.runtime.base import tell_if_alive
from protocol.rights import Rights
from protocol.shown_projects import fitting
from protocol.updates import ProjectInfo, ProjectStatus


@dataclass(slots=True)
class _Listing:
    reply_to: ReplyTo
    missing: set[str]
    found: dict[str, ProjectInfo]


class ProjectLists:
    """Answer when all projects have described themselves, or when their time is over."""

    def __init__(self, max_reply_bytes: int) -> None:
        self._max_reply_bytes = max_reply_bytes
        self._open: dict[int, _Listing] = {}
        self._next = 1

    def begin(self, reply_to: ReplyTo, rights: Rights, registry: Registry) -> int:
        """Ask every project that the client may see; return the number of the list."""
        number = self._next
        self._next += 1
        listed = [
            entry
            for entry in registry.values()
            if not entry.is_deleting and rights.sees(entry.meta.project_id)
        ]
        known = {e.meta.project_id: error_info(e.meta) for e in listed if e.ref is None}
        asked = {e.meta.project_id: e.ref for e in listed if e.ref is not None}
        self._open[number] = _Listing(reply_to, set(asked), known)
        self._finish_if_complete(number)
        for project_id, ref in asked.items():
            if not tell_if_alive(ref, messages.Describe(list_number=number)):
                self.gone(project_id)
        return number

    def described(self, number: int, info: ProjectInfo) -> None:
        if (listing := self._open.get(number)) is not None:
            listing.found[info.project_id] = info
            listing.missing.discard(info.project_id)
            self._finish_if_complete(number)

    def gone(self, project_id: str) -> None:
        """Stop waiting for a project: it will not answer any more."""
        for number, listing in list(self._open.items()):
            listing.missing.discard(project_id)
            self._finish_if_complete(number)

    def expire(self, number: int, registry: Registry) -> None:
        """Answer now; use what was last known of projects that have not answered."""
        if (listing := self._open.get(number)) is None:
            return
        for project_id in listing.missing:
            if (entry := registry.get(project_id)) is not None:
                status = entry.status or ProjectStatus.IDLE
                known = entry.info or error_info(entry.meta)
                listing.found[project_id] = known.model_copy(update={"status": status})
        listing.missing.clear()
        self._finish_if_complete(number)

    def _finish_if_complete(self, number: int) -> None:
        listing = self._open[number]
        if not listing.missing:
            del self._open[number]
            infos = sorted(listing.found.values(), key=lambda info: info.project_id)
            listing.reply_to.result(fitting(infos, self._max_reply_bytes))
