"""The data folder of the older server, version 0, which may be running: nothing is written there,
and nothing is locked.

    projects/UUID/metadata.json                                  replaced by rename
    projects/UUID/logs/messages_2026-11-23_08-14-33.jsonl        appended to; a newer one may begin
    projects/UUID/logs/current.jsonl                             a link to the newest
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejson

from storage.errors import StorageError

METADATA_BYTES_MAX = 64 * 1024
_FACTS = ("id", "path", "session_id", "created_at", "last_active")
READ_BYTES = 256 * 1024
_LOG_FILE = re.compile(r"messages_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.jsonl\Z", re.ASCII)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC
# A link leads elsewhere, and opening a pipe would wait.
_FILE_FLAGS = _FLAGS | os.O_NOFOLLOW | os.O_NONBLOCK
# Reading must not even change when a file was read; only its owner may ask for that.
_NO_ATIME = getattr(os, "O_NOATIME", 0)


class NotOldData(StorageError):
    """The folder is not a data folder of the older server."""


class OldDataUnreadable(StorageError):
    """Something of the older server's cannot be read."""


@dataclass(frozen=True, slots=True)
class OldProject:
    """A project of the older server. `metadata` has what its file says, which may be anything;
    `problem` says why there is none. `changed_s` is when the file was written."""

    name: str
    folder: Path
    metadata: Mapping[str, Any]
    changed_s: float = 0.0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class OldLine:
    """A line of a log file, without its newline. `end` is the place in the file behind it. `data`
    is None for a line that is too long. `is_torn`: no newline follows, so it may be half a
    line."""

    number: int
    end: int
    data: bytes | None
    is_torn: bool = False


def old_projects(root: Path) -> list[OldProject]:
    """Return the projects, by name. Raises NotOldData, and StorageError."""
    place = root / "projects"
    try:
        names = _names(place)
    except (FileNotFoundError, NotADirectoryError):
        raise NotOldData(
            f"{root} has no folder `projects`: give the data_dir of the older server "
            "(~/.pocket_agent, unless its configuration says otherwise)"
        ) from None
    except OSError as error:
        raise _unreadable(place, error) from error
    folders = [place / name for name in names if (place / name).is_dir()]
    if any(_is_ours(folder) for folder in folders):
        raise NotOldData(f"{root} is a data folder of claudehub, not of the older server")
    return [_project(folder) for folder in folders]


def _is_ours(folder: Path) -> bool:
    there = [os.path.exists(folder / name) for name in ("meta.json", "metadata.json")]
    return there == [True, False]


def _project(folder: Path) -> OldProject:
    name = os.fsencode(folder.name).decode("utf-8", "replace")
    try:
        with _opened(folder / "metadata.json") as fd:
            content = os.read(fd, METADATA_BYTES_MAX + 1)
            changed_s = os.fstat(fd).st_mtime
        value = simplejson.loads(content) if len(content) <= METADATA_BYTES_MAX else None
    except OSError as error:
        return OldProject(name, folder, {}, problem=f"metadata.json: {error.strerror}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return OldProject(name, folder, {}, problem="metadata.json holds no JSON object")
    facts = {fact: value[fact] for fact in _FACTS if fact in value}
    return OldProject(name, folder, facts, changed_s)


def log_files(project: OldProject) -> list[Path]:
    """Return the log files in the order in which they were written. Raises StorageError."""
    logs = project.folder / "logs"
    try:
        return [logs / name for name in _names(logs) if _LOG_FILE.match(name)]
    except FileNotFoundError:  # there was no prompt yet
        return []
    except OSError as error:
        raise _unreadable(logs, error) from error


def size_bytes(project: OldProject) -> int:
    """Return how much there is to read, or 0 if nothing can be said."""
    try:
        return sum(file.lstat().st_size for file in log_files(project))
    except (OSError, OldDataUnreadable):
        return 0


def lines_of(file: Path, max_bytes: int, start: int = 0) -> Iterator[OldLine]:
    """Yield the lines behind `start`, as far as the file reached when it was opened. Longer lines
    than `max_bytes` are not held in memory. Raises StorageError."""
    try:
        with _opened(file) as fd:
            os.lseek(fd, start, os.SEEK_SET)
            yield from _lines(fd, os.fstat(fd).st_size, max_bytes, start)
    except OSError as error:
        raise _unreadable(file, error) from error


def _lines(fd: int, size: int, max_bytes: int, start: int) -> Iterator[OldLine]:
    pieces: list[bytes] = []
    held, number, at = 0, 0, start
    while piece := os.read(fd, min(READ_BYTES, max(0, size - at))):
        at += len(piece)
        *whole, rest = piece.split(b"\n")
        end = at - len(piece)
        for part in whole:
            end += len(part) + 1
            number += 1
            is_long = held + len(part) > max_bytes
            yield OldLine(number, end, None if is_long else b"".join((*pieces, part)))
            pieces, held = [], 0
        held += len(rest)
        # Of a line that is too long, only its length is kept.
        pieces = [*pieces, rest] if held <= max_bytes else []
    if held:
        data = b"".join(pieces) if held <= max_bytes else None
        yield OldLine(number + 1, at, data, is_torn=True)


def _unreadable(path: Path, error: OSError) -> OldDataUnreadable:
    return OldDataUnreadable(f"{path} cannot be read: {error.strerror}")


def _names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted. Raises OSError."""
    fd = _open(folder, _FLAGS | os.O_DIRECTORY)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    fd = _open(file, _FILE_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "is no file", str(file))
        yield fd
    finally:
        os.close(fd)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _NO_ATIME)
    except PermissionError:
        return os.open(path, flags)
