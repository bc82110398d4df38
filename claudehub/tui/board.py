"""All projects of a hub, in the order in which they matter: what waits for the user comes first."""

from dataclasses import dataclass
from enum import IntEnum

from claudehub.client.updates import ProjectChanged, ProjectDeleted, ProjectInfo, Update


class Group(IntEnum):
    """In which part of the board a project is."""

    WAITING = 0
    EXECUTING = 1
    ERROR = 2
    IDLE = 3


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A project on the board."""

    group: Group
    project: ProjectInfo


class Board:
    """The newest state of each project."""

    def __init__(self) -> None:
        self._projects: dict[str, ProjectInfo] = {}

    def apply(self, update: Update) -> None:
        if isinstance(update, ProjectChanged):
            self._projects[update.project_id] = update.project
        elif isinstance(update, ProjectDeleted):
            self._projects.pop(update.project_id, None)

    @property
    def rows(self) -> list[BoardRow]:
        """Return the projects: those that wait, by name, those that execute, those in error, and
        the idle ones, the last used first."""
        rows = [BoardRow(group_of(p), p) for p in self._projects.values()]
        rows.sort(key=lambda row: row.project.project_id)
        rows.sort(key=lambda row: row.project.last_active, reverse=True)
        rows.sort(key=lambda row: "" if row.group is Group.IDLE else row.project.project_id)
        return sorted(rows, key=lambda row: row.group)

    def get(self, project_id: str | None) -> ProjectInfo | None:
        return self._projects.get(project_id or "")


def group_of(project: ProjectInfo) -> Group:
    if project.pending_permissions:
        return Group.WAITING
    if project.status == "error":
        return Group.ERROR
    return Group.EXECUTING if project.status == "executing" else Group.IDLE
