"""The audit log: `audit.jsonl` in the data folder, one JSON object a line, and older files beside
it.

Lines are written at once, so they survive a killed server. `sync` makes them survive a power cut.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from storage import disk

NAME = "audit.jsonl"
_OLDER = "audit-*.jsonl"
_STAMP = "%Y%m%dT%H%M%S"


class AuditLog:
    """The constructor opens the file for appending, and raises OSError. For one thread.

    `problem` says why lines go on into a file that should have been closed, or None.
    """

    def __init__(self, folder: Path, rotate_bytes: int) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._rotate_bytes = rotate_bytes
        self._fd = -1
        self._must_roll = False
        self.problem: str | None = None
        self._take(self._opened(self._path))

    def append(self, lines: bytes, now: datetime) -> None:
        """Write whole lines. Raises OSError, and then nothing of them stays.

        If others have moved or deleted the file, the lines begin a new one. If a new file cannot be
        begun, they go on into the old one, and the next call tries again.
        """
        self._look()
        is_full = self._size_bytes and self._size_bytes + len(lines) > self._rotate_bytes
        if is_full or self._must_roll:
            with contextlib.suppress(OSError):
                self.roll(now)
        if not self._size_bytes:
            self._begun_at = now
        try:
            disk.write_all(self._fd, lines)
        except OSError:
            self._must_roll = True  # if what was written cannot be taken back
            os.ftruncate(self._fd, self._size_bytes)
            self._must_roll = False
            raise
        self._size_bytes += len(lines)

    def sync(self) -> None:
        """Flush the file. After an OSError nobody knows what was flushed, so the next call of
        `append` begins a new file."""
        try:
            disk.sync(self._fd)
        except OSError:
            self._must_roll = True
            raise

    def roll(self, now: datetime) -> None:
        """Close the file and begin another. Raises OSError, and then the file stays open."""
        fresh = self._path.with_name(NAME + ".new")
        older = self._older(now)
        try:
            fd = self._opened(fresh)
            try:
                os.rename(self._path, older)
                os.rename(fresh, self._path)  # in between, `_look` would make the name again
                disk.sync_folder(self._folder)
            except OSError:
                os.close(fd)
                raise
        except OSError as error:
            self.problem = f"a new file cannot be begun: {error.strerror}"
            raise
        self._take(fd)

    def _older(self, now: datetime) -> Path:
        """Return a name for the closed file that no file has."""
        while True:
            name = f"audit-{now.astimezone(UTC):{_STAMP}}{now.microsecond:06d}Z.jsonl"
            if not os.path.lexists(self._folder / name):
                return self._folder / name
            now += timedelta(microseconds=1)

    def _look(self) -> None:
        """Begin a file where others have taken it away; raise OSError only if the old one is
        deleted."""
        ours = os.fstat(self._fd)
        try:
            seen = os.lstat(self._path)
        except OSError:
            seen = None
        if seen is not None and (seen.st_dev, seen.st_ino) == (ours.st_dev, ours.st_ino):
            self._size_bytes = ours.st_size  # others may have cut it
            return
        try:
            fd = self._opened(self._path)
        except OSError as error:
            if not ours.st_nlink:
                raise
            self.problem = f"{self._path} was moved and cannot be made again: {error.strerror}"
            return
        with contextlib.suppress(OSError):
            disk.sync(self._fd)
        self._take(fd)

    def roll_if_older(self, than: datetime, now: datetime) -> None:
        """Roll if the first line of the file is older than a time. Raises OSError."""
        if self._size_bytes and self._begun_at < than:
            self.roll(now)

    def retain(self, older_than: datetime | None, total_bytes: int) -> None:
        """Delete the oldest closed files: those last written before a time, and those beyond a
        total. None and 0 keep all. Raises OSError."""
        closed = [(path, os.stat(path)) for path in older_files(self._folder)]
        total = sum(status.st_size for _, status in closed) + self._size_bytes
        for path, status in closed:
            is_old = older_than is not None and status.st_mtime < older_than.timestamp()
            if not is_old and not (total_bytes and total > total_bytes):
                break
            path.unlink()
            total -= status.st_size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _opened(path: Path) -> int:
        return disk.open_private(path, os.O_RDWR | os.O_APPEND)

    def _take(self, fd: int) -> None:
        """Write into a file from now on. Raises OSError."""
        self.close()
        self._fd = fd
        self._must_roll, self.problem = False, None
        self._size_bytes = os.fstat(fd).st_size
        self._begun_at = _first_stamp(fd)
        if self._size_bytes and os.pread(fd, 1, self._size_bytes - 1) != b"\n":
            # A power cut may have torn the last line; the next line must not continue it.
            disk.write_all(fd, b"\n")
            self._size_bytes += 1


def older_files(folder: Path) -> list[Path]:
    """Return the closed files, oldest first."""
    return sorted(folder.glob(_OLDER))


def read_lines(folder: Path) -> Iterator[bytes]:
    """Yield every line, oldest first, with its newline; a torn line too. Raises OSError.

    The newest file is opened first: if it is rolled meanwhile, it is found among the older files,
    and everything behind it there came later.
    """
    with contextlib.ExitStack() as stack:
        newest = None
        with contextlib.suppress(FileNotFoundError):
            newest = stack.enter_context(open(folder / NAME, "rb"))
        for path in older_files(folder):
            with (
                contextlib.suppress(FileNotFoundError),
                open(path, "rb") as file,
            ):  # deleted meanwhile, so it was old
                if newest is not None and _identity(file) == _identity(newest):
                    break
                yield from file
        if newest is not None:
            yield from newest


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _first_stamp(fd: int) -> datetime:
    """Return the time of the first line; a time far ahead if there is none."""
    stamp = os.pread(fd, 1024, 0).partition(b'"timestamp":"')[2][:27]
    try:
        return datetime.fromisoformat(stamp.decode("ascii"))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
