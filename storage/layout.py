"""Where things lie: ids to paths inside the data folder, and the guard for project folders."""

import contextlib
import os
import re
import secrets
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from storage import disk
from storage.errors import DataFolderLost, DiskFailed, FolderOutsideRoots, FolderRefused
from storage.lock import DataLock

_PROJECT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z", re.ASCII)
_DATA_ID = re.compile(rb"[0-9a-f]{16}\Z")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class DataLayout:
    """The folders of one DATA_DIR.

    `kept` and `trash` have a second place each inside `projects`, for a `projects` that is a mount
    of its own: a folder can only be renamed within a file system. Their names are no project ids.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.projects = root / "projects"
        self.kept = root / "kept"
        self.trash = root / "trash"
        self.kept_places = (self.kept, self.projects / ".kept")
        self.trash_places = (self.trash, self.projects / ".trash")
        # Where an import builds a project; what a killed one leaves there is removed.
        self.staging = self.projects / ".import"
        self.lock = DataLock(root / "lock")
        self.id_file = root / "id"
        self._place_file = root / "place"

    def create(self) -> None:
        """Create the folders, all private. Raises OSError."""
        for folder in (self.root, self.projects, self.kept, self.trash):
            disk.make_folder(folder)

    def check_ours(self) -> None:
        """Check that no other server may use the data folder by now: before something is made
        there. Raises DataFolderLost."""
        if self.lock.is_lost:
            raise DataFolderLost(f"{self.root}: its lock was taken away, so nothing is written")

    def data_id(self) -> str:
        """Return a random name of this data folder. It stays the same, wherever the folder is moved
        to, but a copy beside its original gets one of its own. Raises OSError and DiskFailed."""
        if not self.id_file.exists() or self.copied_from() is not None:
            disk.replace_file(self.id_file, secrets.token_hex(8).encode("ascii"))
        data_id = self.written_id()
        self._note_place()
        return data_id

    def written_id(self) -> str:
        """Return the id that is in the file, and change nothing. Raises OSError and DiskFailed."""
        data_id = self.id_file.read_bytes().strip()
        if not _DATA_ID.match(data_id):
            # A new id would leave the agents of an earlier server unfound, so none is made up.
            raise DiskFailed(f"{self.id_file} is damaged: it should hold 16 hex digits")
        return data_id.decode("ascii")

    def copied_from(self) -> Path | None:
        """Return the folder of which this one is a copy, if that is still in its place, under the
        same id. Two servers with one id would end each other's agents. Otherwise return None: a
        folder that was moved, or restored from a backup, must find what its last server has left
        running. Raises OSError."""
        try:
            noted, _, name = self._place_file.read_bytes().partition(b" ")
            original = Path(os.fsdecode(name))
            if noted == _identity(self.root) or noted != _identity(original):
                return None
            has_same_id = (original / "id").read_bytes() == self.id_file.read_bytes()
        except (OSError, ValueError):  # not noted, or no folder is there
            return None
        return original if has_same_id else None

    def _note_place(self) -> None:
        """Note which folder has the id, and where it is."""
        place = _identity(self.root) + b" " + os.fsencode(self.root.resolve())
        # Only a copy that somebody makes later needs it: a full disk must not hold up a start.
        with contextlib.suppress(OSError):
            if not self._place_file.exists() or self._place_file.read_bytes() != place:
                disk.replace_file(self._place_file, place)

    def keep_id(self, data_id: str) -> bool:
        """Write the data folder's name again if it is gone or another; return True if it was. The
        next server finds by it what this one has left running. Raises OSError."""
        with contextlib.suppress(OSError):
            if self.id_file.read_bytes().strip() == data_id.encode("ascii"):
                return False
        disk.replace_file(self.id_file, data_id.encode("ascii"))
        return True

    def note_configuration(self, digest: str) -> bool:
        """Store the digest; return True if it differs from the last one. Raises OSError."""
        file = self.root / "configuration"
        before = file.read_text("ascii", errors="replace") if file.exists() else None
        if before == digest:
            return False
        disk.replace_file(file, digest.encode("ascii"))
        return True

    @staticmethod
    def is_project_id(name: str) -> bool:
        return _PROJECT_ID.match(name) is not None

    def project(self, project_id: str) -> Path:
        """Return a project's folder inside the data folder.

        Ids are lower case without separators, so they are safe names on every file system.
        """
        if not self.is_project_id(project_id):
            raise ValueError(f"not a project id: {project_id!r}")
        return self.projects / project_id

    def log(self, project_id: str) -> Path:
        """Return the folder of a project's log."""
        return self.project(project_id) / "log"


def boot_id() -> str:
    """Return a name for the present run of the system; "" if the system has none (macOS).

    Without it, LOG_SYNC=interval and never cannot tell a power cut from a kill
    (docs/message-log.md).
    """
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def _identity(folder: Path) -> bytes:
    """Return which folder that is, whatever its name. Raises OSError."""
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}".encode("ascii")


def is_inside(path: Path, folder: Path) -> bool:
    """Return True if a resolved path is that folder or below it."""
    return path == folder or folder in path.parents


def resolve_folder(path: str, roots: Sequence[Path], kept_from: Path) -> Path:
    """Return a folder as the file system knows it, with links resolved.

    The roots are checked first: a path outside raises FolderOutsideRoots, whether it exists or not.
    So does the data folder, `kept_from`, with everything in it and around it. Otherwise
    FolderRefused says what is wrong.
    """
    if not path.startswith("/"):
        raise FolderRefused("the path must be absolute")
    try:
        resolved = Path(os.path.realpath(path))
        if not any(is_inside(resolved, root) for root in roots):
            raise FolderOutsideRoots("the path is outside PROJECT_ROOTS")
        data = Path(os.path.realpath(kept_from))
        if resolved == data or nests(resolved, data):
            raise FolderOutsideRoots(
                "the hub's own data (DATA_DIR) lies there; an agent must not reach it"
            )
        if not resolved.exists():
            raise FolderRefused("there is no such folder")
        if not resolved.is_dir():
            raise FolderRefused("the path is not a folder")
        if not os.access(resolved, os.R_OK | os.X_OK):
            raise FolderRefused("the folder cannot be read")
        str(resolved).encode("utf-8")
    except (OSError, ValueError) as error:  # too long, with a NUL, or not encodable
        raise FolderRefused(f"the path cannot be used: {error}") from None
    return resolved


def nests(path: Path, other: Path) -> bool:
    """Return True if one of two different folders lies inside the other."""
    return path != other and (is_inside(path, other) or is_inside(other, path))


def is_same_folder(path: Path, other: Path) -> bool:
    """Return True for one folder, also with two names, as on file systems that ignore case."""
    try:
        return path == other or path.samefile(other)
    except OSError:
        return False


def overlaps(path: Path, other: Path) -> bool:
    """Return True if one of two different folders lies inside the other, whatever the case of
    their names on file systems that ignore it."""
    return nests(path, other) or _lies_inside(path, other) or _lies_inside(other, path)


def _lies_inside(path: Path, folder: Path) -> bool:
    """Return True if a path lies inside a folder whose name differs in case, or in its Unicode
    form. Names are compared first: asking the system about every parent of every project would take
    long."""
    above = len(path.parts) - len(folder.parts)
    if above <= 0:
        return False
    parent = path.parents[above - 1]
    return _folded(parent) == _folded(folder) and is_same_folder(parent, folder)


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
