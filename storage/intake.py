"""Projects that an import brings into a data folder: built where no server looks, and renamed to
their place when they are whole and on the disk.

A file in the project's folder says that it was imported, and how much of the older log it has.
"""

import contextlib
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from storage import disk
from storage.errors import MetadataUnreadable, from_os_error
from storage.layout import DataLayout
from storage.projects import ProjectMeta, move_folder, read_meta, write_meta

FILE_NAME = "imported.json"


class ImportMark(BaseModel):
    """`files` says how much of each log file was taken over, in bytes. `is_set_aside`: the folder
    of the project was not allowed, so only its history was kept."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    source: str
    files: dict[str, int]
    is_set_aside: bool = False


def mark_in(folder: Path) -> ImportMark | None:
    """Return the mark in a project's data, or None if no import has made it."""
    try:
        return ImportMark.model_validate_json((folder / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


class Intake:
    """Used under the lock of the data folder. Every call that changes something raises
    StorageError."""

    def __init__(self, layout: DataLayout) -> None:
        self._layout = layout

    def projects(self) -> dict[str, ProjectMeta | None]:
        """Return the projects that there are, by id; None for unreadable metadata. Raises
        OSError."""
        found: dict[str, ProjectMeta | None] = {}
        place = self._layout.projects
        for folder in sorted(place.iterdir()) if place.is_dir() else ():
            if self._layout.is_project_id(folder.name) and folder.is_dir():
                try:
                    found[folder.name] = read_meta(folder)
                except MetadataUnreadable:
                    found[folder.name] = None
        return found

    def kept(self, project_id: str) -> Path | None:
        """Return the folder of an imported history that is kept under that id, or None."""
        for place in self._layout.kept_places:
            for folder in sorted(place.glob(f"{project_id}~*")):
                if mark_in(folder) is not None:
                    return folder
        return None

    def begin(self, project_id: str) -> Path:
        """Return a new, empty folder to build a project's data in."""
        folder = self._layout.staging / project_id
        try:
            if folder.exists():  # of an import that was killed
                shutil.rmtree(folder)
            disk.make_folder(folder)
        except OSError as error:
            self.give_up(folder)
            raise from_os_error(error, f"making {folder}") from error
        return folder

    def give_up(self, folder: Path) -> None:
        """Remove what was built. What cannot be removed waits for the next start."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the place in which projects were built, if it is empty."""
        with contextlib.suppress(OSError):
            self._layout.staging.rmdir()

    def publish(self, folder: Path, meta: ProjectMeta, mark: ImportMark) -> None:
        """Write the metadata beside the log, and put the project in its place: all of it appears at
        once. With `is_set_aside`, put it where deleted projects' histories are kept."""
        log_id = meta.log.log_id if meta.log is not None else ""
        _write_mark(folder, mark)
        write_meta(folder, meta)
        if mark.is_set_aside:
            move_folder(
                self._layout, folder, self._layout.kept_places, f"{meta.project_id}~{log_id}"
            )
        else:
            move_folder(self._layout, folder, (self._layout.projects,), meta.project_id)

    def bring_back(self, folder: Path, meta: ProjectMeta) -> None:
        """Make a project of a history that was set aside."""
        move_folder(self._layout, folder, (self._layout.projects,), meta.project_id)
        folder = self._layout.project(meta.project_id)
        if (mark := mark_in(folder)) is not None:
            _write_mark(folder, mark.model_copy(update={"is_set_aside": False}))


def _write_mark(folder: Path, mark: ImportMark) -> None:
    try:
        data = mark.model_dump_json(indent=1).encode("utf-8") + b"\n"
        disk.replace_file(folder / FILE_NAME, data)
    except OSError as error:
        raise from_os_error(error, f"writing {folder / FILE_NAME}") from error
