"""One answer that needs every project: project_list."""

from dataclasses import dataclass

from actors import messages
from actors.hub.opening import error_info
from actors.hub.registry import Registry
from actors.mailbox import tell_if_alive
from actors.slot import Slot
from protocol.rights import Rights
from protocol.updates import ProjectInfo, ProjectStatus


@dataclass(slots=True)
class _Gathering:
    slot: Slot
    missing: set[str]
    found: dict[str, ProjectInfo]


class Gatherings:
    """Answers when all have said what they are, or when their time is over."""

    def __init__(self) -> None:
        self._open: dict[int, _Gathering] = {}
        self._next = 1

    def begin(self, slot: Slot, rights: Rights, registry: Registry) -> int:
        """Asks every project that can answer and may be seen; returns the gathering's number."""
        number = self._next
        self._next += 1
        listed = [
            entry
            for entry in registry.entries()
            if not entry.is_deleting and rights.sees(entry.meta.project_id)
        ]
        known = {e.meta.project_id: error_info(e.meta) for e in listed if e.ref is None}
        asked = {e.meta.project_id: e.ref for e in listed if e.ref is not None}
        self._open[number] = _Gathering(slot, set(asked), known)
        self._finish_if_complete(number)
        for project_id, ref in asked.items():
            if not tell_if_alive(ref, messages.Describe(gathering=number)):
                self.gone(project_id)
        return number

    def described(self, number: int, info: ProjectInfo) -> None:
        if (gathering := self._open.get(number)) is not None:
            gathering.found[info.project_id] = info
            gathering.missing.discard(info.project_id)
            self._finish_if_complete(number)

    def gone(self, project_id: str) -> None:
        """A project that will not answer any more."""
        for number, gathering in list(self._open.items()):
            gathering.missing.discard(project_id)
            self._finish_if_complete(number)

    def expire(self, number: int, registry: Registry) -> None:
        """For a project that has not answered in time, what was last known of it."""
        if (gathering := self._open.get(number)) is None:
            return
        for project_id in gathering.missing:
            if (entry := registry.get(project_id)) is not None:
                status = entry.status or ProjectStatus.IDLE
                known = error_info(entry.meta).model_copy(update={"status": status})
                gathering.found[project_id] = known
        gathering.missing.clear()
        self._finish_if_complete(number)

    def _finish_if_complete(self, number: int) -> None:
        gathering = self._open[number]
        if not gathering.missing:
            del self._open[number]
            infos = sorted(gathering.found.values(), key=lambda info: info.project_id)
            gathering.slot.result({"projects": [info.model_dump(mode="json") for info in infos]})
