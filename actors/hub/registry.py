"""Which projects exist, and which may be added. This module decides and starts nothing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from actors.messages.replies import ReplyTo
from actors.runtime.refs import Ref
from actors.runtime.restarts import RestartIntensity
from protocol.errors import ErrorCode, RequestRefused
from protocol.updates import ProjectInfo, ProjectStatus
from storage.layout import is_same_folder, overlaps
from storage.projects import ProjectMeta

_ID_LENGTH_MAX = 64
_FALLBACK_ID = "project"
# A project that cannot work is opened again after this time, which doubles each time.
REOPEN_S = 5.0
REOPEN_MAX_S = 300.0
# An execute opens it at once, but not more often than so.
REVIVE_PAUSE_S = 1.0


@dataclass(slots=True)
class Entry:
    """A project. `ref` is None if it cannot work; `meta` may be outdated, except for the path.
    `info` is what it has last said of itself; `reopen_s`: after so long it is tried again;
    `deleted_by`: who has asked for its deletion."""

    meta: ProjectMeta
    ref: Ref | None = None
    info: ProjectInfo | None = None
    status: ProjectStatus | None = None
    problem: str | None = None
    is_deleting: bool = False
    keep_history: bool = False
    created_for: ReplyTo | None = None
    deleted_for: ReplyTo | None = None
    deleted_by: str | None = None
    restarts: RestartIntensity = field(default_factory=lambda: RestartIntensity("Project"))
    reopen_s: float = REOPEN_S
    is_reopen_due: bool = False
    revived_s: float = float("-inf")


class BeingDeleted(Exception):
    """A project whose deletion is under way still holds the folder or the id: wait for it."""


class Registry(dict[str, Entry]):
    """The projects by id. `max_projects` is MAX_PROJECTS."""

    def __init__(self, max_projects: int) -> None:
        super().__init__()
        self.max_projects = max_projects

    def add(self, entry: Entry) -> None:
        self[entry.meta.project_id] = entry

    def by_ref(self, ref: Ref) -> Entry | None:
        for entry in self.values():
            if entry.ref is not None and entry.ref.actor_urn == ref.actor_urn:
                return entry
        return None

    def admit(self, path: Path, project_id: str | None) -> str:
        """Return the id for a project in a resolved folder.

        Raises RequestRefused, and BeingDeleted if the answer depends on a deletion.
        """
        for entry in self.values():
            self._check_against(entry, path)
        if project_id is not None:
            if (taken := self.get(project_id)) is not None:
                raise _conflict(taken, ErrorCode.PROJECT_EXISTS, "that project_id is taken")
        else:
            project_id = free_id(path.name, self)
        if len(self) >= self.max_projects:
            raise RequestRefused(
                ErrorCode.TOO_MANY_PROJECTS,
                f"there are {len(self)} projects (MAX_PROJECTS); delete one first",
            )
        return project_id

    def has_room_for(self, entry: Entry, path: Path) -> bool:
        """Return True if no other project has taken that folder, or one inside or around it."""
        try:
            for other in self.values():
                if other is not entry:
                    self._check_against(other, path)
        except (RequestRefused, BeingDeleted):
            return False
        return True

    @staticmethod
    def _check_against(entry: Entry, path: Path) -> None:
        other = Path(entry.meta.path)
        if not entry.meta.path:
            return
        if is_same_folder(path, other):
            raise _conflict(entry, ErrorCode.PROJECT_EXISTS, "that folder is a project already")
        if overlaps(path, other):
            raise _conflict(
                entry, ErrorCode.PROJECT_NESTING, "a project lies inside or around that folder"
            )


def _conflict(entry: Entry, code: ErrorCode, message: str) -> Exception:
    if entry.is_deleting:
        return BeingDeleted()
    return RequestRefused(code, message, {"project_id": entry.meta.project_id})


def free_id(folder_name: str, taken: Iterable[str]) -> str:
    """Return an id made from a folder's name, with `-2`, `-3` … if it is taken."""
    base = re.sub(r"[^a-z0-9_-]+", "-", folder_name.lower()).strip("-_") or _FALLBACK_ID
    base = base[:_ID_LENGTH_MAX]
    used = set(taken)
    candidate, number = base, 1
    while candidate in used:
        number += 1
        suffix = f"-{number}"
        candidate = base[: _ID_LENGTH_MAX - len(suffix)] + suffix
    return candidate
