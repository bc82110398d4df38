"""The metadata of projects: one versioned JSON file each, replaced atomically."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from storage import disk
from storage.errors import DiskFailed, MetadataUnreadable, from_os_error
from storage.layout import DataLayout
from storage.log_state import LogState

META_VERSION = 1
# What a rename says where it leads to another file system, or moves a mount.
_OTHER_FILE_SYSTEM = {errno.EXDEV, errno.EBUSY, errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
# A file of that name in a project's folder: the project is deleted.
_DELETED = ".deleted"


class ProjectMeta(BaseModel):
    """What a project is, beside its log.

    `fresh`: the next prompt begins a new conversation. `model_named`: a prompt of the session has
    named a model, which --resume may bring back. `busy_since_seq`: while executions are open, a
    number before the first of their records; after a crash they are found from there. `trusted` is
    what somebody has said of the folder's own settings, None if nobody has.
    """

    model_config = ConfigDict(frozen=True)

    version: int = META_VERSION
    project_id: str
    name: str
    path: str
    created_at: str
    last_active: str
    session_id: str | None = None
    fresh: bool = False
    model_named: bool = False
    trusted: bool | None = None
    busy_since_seq: int | None = None
    log: LogState | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A project whose metadata is lost: it is listed with status `error`, and its log is left
    alone."""

    project_id: str
    problem: str


class ProjectStore:
    """Loads, saves and removes metadata. Every call raises StorageError if the disk fails."""

    def __init__(self, layout: DataLayout) -> None:
        self._layout = layout

    def folder(self, project_id: str) -> Path:
        """Return the folder of a project's data."""
        return self._layout.project(project_id)

    def load_all(self) -> list[ProjectMeta | Unreadable]:
        """Return every project, by id. First finish what a crash has cut short: deletions, imports,
        and creations that had no metadata yet."""
        for place in (*self._layout.trash_places, self._layout.staging):
            for leftover in place.iterdir() if place.is_dir() else ():
                shutil.rmtree(leftover, ignore_errors=True)
        found: list[ProjectMeta | Unreadable] = []
        for folder in sorted(self._layout.projects.iterdir()):
            if not self._layout.is_project_id(folder.name) or not folder.is_dir():
                continue  # not one of ours
            try:
                if _is_deleted(folder):
                    _empty(folder)
                    continue
                if _never_began(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
            except OSError as error:
                found.append(Unreadable(folder.name, f"{folder}: {error.strerror}"))
                continue
            found.append(self._load(folder))
        return found

    def load(self, project_id: str) -> ProjectMeta | None:
        """Return one project's metadata, or None if it cannot be read."""
        found = self._load(self._layout.project(project_id))
        return found if isinstance(found, ProjectMeta) else None

    def _load(self, folder: Path) -> ProjectMeta | Unreadable:
        try:
            meta = read_meta(folder)
            if meta.project_id != folder.name:
                raise MetadataUnreadable(f"it names another project, {meta.project_id!r}")
        except MetadataUnreadable as error:
            return Unreadable(folder.name, f"{folder / 'meta.json'}: {error}")
        return meta

    def save(self, meta: ProjectMeta) -> None:
        """Save the metadata, durably; the version before it stays beside it."""
        self._layout.check_ours()
        write_meta(self._layout.project(meta.project_id), meta)

    def remove(self, project_id: str) -> None:
        """Delete a project's data: a crash in the middle leaves all of it or nothing."""
        folder = self._layout.project(project_id)
        try:
            name = f"{project_id}.{secrets.token_hex(4)}"
            grave = move_folder(self._layout, folder, self._layout.trash_places, name)
        except Immovable:  # it is a mount, say
            _mark_deleted(folder)
            _empty(folder)
        else:
            shutil.rmtree(grave, ignore_errors=True)

    def keep(self, meta: ProjectMeta) -> None:
        """Put a deleted project's history aside for a later project with the same id and folder."""
        log_id = meta.log.log_id if meta.log else secrets.token_hex(8)
        folder = self._layout.project(meta.project_id)
        name = f"{meta.project_id}~{log_id}"
        move_folder(self._layout, folder, self._layout.kept_places, name)

    def clear_way(self, project_id: str) -> None:
        """Put aside what a failed deletion or creation has left under an id, before a project is
        made: a new project never takes it over."""
        folder = self._layout.project(project_id)
        try:
            if folder.exists() and _is_deleted(folder):
                _empty(folder)
            if not folder.exists() or _never_began(folder):
                return
        except OSError as error:
            raise from_os_error(error, f"looking into {folder}") from error
        try:
            self.keep(read_meta(folder))
        except MetadataUnreadable:
            problem = f"{folder} has data of another project; move it away, or restart the server"
            raise DiskFailed(problem) from None

    def take_kept(self, project_id: str, path: str) -> ProjectMeta | None:
        """Bring a kept history back and return its metadata; None if there is none."""
        places = self._layout.kept_places
        found = [folder for place in places for folder in sorted(place.glob(f"{project_id}~*"))]
        for folder in found:
            try:
                meta = read_meta(folder)
            except MetadataUnreadable:
                continue
            if (meta.project_id, meta.path) == (project_id, path):
                self._bring_back(folder, project_id)
                return meta
        return None

    def _bring_back(self, folder: Path, project_id: str) -> None:
        try:
            move_folder(self._layout, folder, (self._layout.projects,), project_id)
        except Immovable as error:
            # Copying gigabytes would hold up everybody.
            beside = self._layout.kept_places[-1]
            disk.make_folder(beside)
            raise DiskFailed(f"{error}; move it by hand first: mv {folder} {beside}") from error


class Immovable(DiskFailed):
    """The file system does not rename this folder to another one."""


def move_folder(layout: DataLayout, source: Path, places: Sequence[Path], name: str) -> Path:
    """Move a folder durably to the first of these places that is on its file system; return where
    it is now. Raises Immovable if there is none, and StorageError."""
    layout.check_ours()
    failure: OSError | None = None
    for place in places:
        target = place / name
        try:
            if not place.is_dir():
                disk.make_folder(place)
            source.rename(target)
            disk.sync_folder(source.parent)
            disk.sync_folder(place)
        except OSError as error:
            if error.errno not in _OTHER_FILE_SYSTEM:
                raise from_os_error(error, f"moving {source} to {target}") from error
            failure = failure or error
        else:
            return target
    reason = failure.strerror if failure is not None else "no place"
    raise Immovable(f"{source} cannot be moved to {places[0]}: {reason}")


def _is_deleted(folder: Path) -> bool:
    return (folder / _DELETED).exists()


def _mark_deleted(folder: Path) -> None:
    """Note durably that what is in a folder counts no more. Raises StorageError."""
    try:
        with disk.writing(folder / _DELETED):
            pass
        disk.sync_folder(folder)
    except OSError as error:
        raise from_os_error(error, f"deleting {folder}") from error


def _empty(folder: Path) -> None:
    """Remove a folder that is marked as deleted; the mark goes last. What cannot be removed waits
    for the next start."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _DELETED:
            with contextlib.suppress(OSError):
                path.unlink()
    if {path.name for path in folder.iterdir()} == {_DELETED}:
        with contextlib.suppress(OSError):
            disk.sync_folder(folder)
            (folder / _DELETED).unlink()
            folder.rmdir()  # a mount stays, empty


def _never_began(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {"meta.json.new"}


def write_meta(folder: Path, meta: ProjectMeta) -> None:
    """Save the metadata, durably; the version before it stays beside it. Raises StorageError."""
    try:
        disk.make_folder(folder)
        data = meta.model_dump_json(indent=1).encode("utf-8") + b"\n"
        disk.replace_file(folder / "meta.json", data, keep_as=folder / "meta.json.old")
    except OSError as error:
        raise from_os_error(error, f"saving the metadata of {meta.project_id}") from error


class MetaFile:
    """The metadata of one project as its log's owner writes it, who notices if others take the file
    away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = os.fspath(folder / "meta.json")
        self._written = self._now()

    def write(self, meta: ProjectMeta) -> None:
        """Save the metadata, as `write_meta`."""
        write_meta(self._folder, meta)
        self._written = self._now()

    def is_in_place(self) -> bool:
        """Return True if the file is the one that was written last. One stat: 2 µs."""
        return self._written is not None and self._now() == self._written

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._name)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns


def read_meta(folder: Path) -> ProjectMeta:
    """Return a project's metadata. If it is damaged, return the version before it, without the
    log's state, which would be too old. Raises MetadataUnreadable."""
    problems = []
    for name in ("meta.json", "meta.json.old"):
        try:
            meta = ProjectMeta.model_validate_json((folder / name).read_bytes())
        except FileNotFoundError:
            problems.append(f"{name}: there is no such file")
        except OSError as error:  # it may be sound, so an older version must not replace it
            raise MetadataUnreadable(f"{name}: {error.strerror}") from None
        except ValidationError as error:
            problems.append(f"{name}: {error.errors(include_url=False)[0]['msg']}")
        else:
            if meta.version > META_VERSION:
                raise MetadataUnreadable(f"written by a newer version ({meta.version})")
            return meta if name == "meta.json" else meta.model_copy(update={"log": None})
    raise MetadataUnreadable("; ".join(problems))
