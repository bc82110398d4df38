"""What an import would make of each project of the older server. It decides and changes nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from protocol.claude import is_session_id
from protocol.fields import parse_time
from storage.errors import FolderOutsideRoots, FolderRefused
from storage.intake import ImportMark, Intake, mark_in
from storage.layout import DataLayout, is_same_folder, overlaps, resolve_folder
from storage.old_data import OldProject
from storage.projects import ProjectMeta


class Fate(StrEnum):
    """What becomes of a project; the text is for people."""

    IMPORT = "imported"
    SET_ASIDE = "history kept"
    BRING_BACK = "made a project"
    DONE = "imported before"
    STILL_ASIDE = "history kept before"
    CONFLICT = "conflict"
    UNUSABLE = "not imported"


@dataclass(slots=True)
class Planned:
    """A project of the older server. `meta` is its metadata here, without a log; `place` is the
    folder of its data here, if it was imported before, and `mark` what is there."""

    old: OldProject
    fate: Fate
    path: str = ""
    meta: ProjectMeta | None = None
    place: Path | None = None
    mark: ImportMark | None = None
    notes: list[str] = field(default_factory=list)


class _Unusable(Exception):
    """Why a project cannot be taken over."""


class Planner:
    """`roots` is PROJECT_ROOTS. Projects are looked at in the order of the report: of two in one
    folder the first is imported."""

    def __init__(self, layout: DataLayout, roots: Sequence[Path]) -> None:
        self._layout = layout
        self._roots = roots
        self._intake = Intake(layout)
        self._present = self._intake.projects()
        self._folders = {i: Path(m.path) for i, m in self._present.items() if m is not None}

    @property
    def count(self) -> int:
        """Return how many projects there are, with those that are planned."""
        return len(self._present)

    def plan(self, old: OldProject) -> Planned:
        """Say what becomes of a project. Raises OSError."""
        try:
            meta = self._meta(old)
        except _Unusable as error:
            return Planned(old, Fate.UNUSABLE, notes=[str(error)])
        planned = Planned(old, Fate.IMPORT, meta.path, meta)
        try:
            resolve_folder(meta.path, self._roots, self._layout.root)
        except FolderOutsideRoots as error:
            planned.fate = Fate.SET_ASIDE
            planned.notes.append(_outside(error, meta.path))
        except FolderRefused as error:
            planned.notes.append(f"{meta.path}: {error}")
        self._compare(planned, meta)
        if planned.fate in (Fate.IMPORT, Fate.BRING_BACK):
            self._present[meta.project_id] = meta
            self._folders[meta.project_id] = Path(meta.path)
            self._note_conversation(planned, meta)
        return planned

    def _compare(self, planned: Planned, meta: ProjectMeta) -> None:
        """Look at what is there already."""
        project_id = meta.project_id
        if project_id in self._present:
            planned.place = self._layout.project(project_id)
            planned.mark = mark_in(planned.place)
            planned.fate = Fate.CONFLICT if planned.mark is None else Fate.DONE
            planned.notes.clear()
            if planned.mark is None:
                planned.notes.append("another project has this id, and was not imported")
            return
        if (kept := self._intake.kept(project_id)) is not None:
            planned.place, planned.mark = kept, mark_in(kept)
            is_free = planned.mark is not None and planned.mark.is_set_aside
            if not is_free:
                planned.fate = Fate.DONE
                planned.notes[:] = ["it was deleted here since, and its history kept"]
                return
            if planned.fate is Fate.SET_ASIDE:
                planned.fate = Fate.STILL_ASIDE
                return
            planned.fate = Fate.BRING_BACK
        if planned.fate is not Fate.SET_ASIDE and (clash := self._clash(Path(meta.path))):
            planned.fate = Fate.CONFLICT
            planned.notes.append(clash)

    def _clash(self, path: Path) -> str | None:
        for project_id, other in self._folders.items():
            if is_same_folder(path, other):
                return f"{path} is the folder of project {project_id}"
            if overlaps(path, other):
                return f"{path} lies inside or around {other}, the folder of project {project_id}"
        return None

    def _meta(self, old: OldProject) -> ProjectMeta:
        if not self._layout.is_project_id(old.name):
            raise _Unusable("the folder's name cannot be the id of a project")
        if old.problem is not None:
            raise _Unusable(old.problem)
        named = old.metadata.get("id", old.name)
        if named != old.name:
            raise _Unusable(f"metadata.json names another project, {str(named)[:80]!r}")
        path = _clean(old.metadata.get("path"))
        session = old.metadata.get("session_id")
        return ProjectMeta(
            project_id=old.name,
            name=os.path.basename(path) or old.name,
            path=path,
            created_at=_time(old.metadata.get("created_at"), old),
            last_active=_time(old.metadata.get("last_active"), old),
            session_id=session if is_session_id(session) else None,
        )

    def _note_conversation(self, planned: Planned, meta: ProjectMeta) -> None:
        """Say if this account has not the CLI's file of the conversation."""
        session = meta.session_id
        place = Path(os.environ.get("CLAUDE_CONFIG_DIR") or "~/.claude").expanduser() / "projects"
        if session is not None and not any(place.glob(f"*/{session}.jsonl")):
            planned.notes.append(
                f"Claude's conversation {session} is not in {place}: "
                "without it, the next prompt begins a new one"
            )


def _outside(error: FolderOutsideRoots, path: str) -> str:
    return f"{path}: {error}. Its history is kept; allow its folder and import again"


def _clean(path: Any) -> str:
    """Return the path as the hub would keep it: without a slash at its end, links resolved."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise _Unusable("metadata.json names no absolute path")
    try:
        path.encode("utf-8")
        # POSIX lets two slashes at the beginning stand for something else.
        return os.path.realpath("/" + path.lstrip("/"))
    except (OSError, ValueError):
        raise _Unusable("metadata.json names a path that cannot be one") from None


def _time(value: Any, old: OldProject) -> str:
    """Return a time as the log writes it; for what is none, the time of the file."""
    try:
        found = parse_time(value)
    except ValueError:
        found = ""
    if "1000-" <= found < "9999-":
        return found
    return f"{datetime.fromtimestamp(int(old.changed_s), UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
