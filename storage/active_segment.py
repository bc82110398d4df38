"""The file at the end of a log, to which records are appended, and how much of it is flushed."""

import os
from collections.abc import Callable
from pathlib import Path

from storage import disk

# What becomes of a file that others move, delete or write.
GONE = "was moved or deleted"
EXCHANGED = "was exchanged for another file"
CUT = "was cut by another program"
GROWN = "was written by another program"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class ActiveSegment:
    """Holds whole records only: a write that fails is taken back. Every call raises OSError.

    `size_bytes` and `last_seq` describe what the file holds; `synced_bytes` and `synced_seq`
    describe what is known to be on the device.
    """

    def __init__(self, fd: int, path: Path, size_bytes: int, last_seq: int) -> None:
        self._fd = fd
        self._name = os.fspath(path)
        self._identity = _identity(os.fstat(fd))
        self.path = path
        self.size_bytes = self.synced_bytes = size_bytes
        self.last_seq = self.synced_seq = last_seq

    @classmethod
    def create(cls, path: Path, last_seq: int, data: bytes = b"") -> "ActiveSegment":
        """Create a file, durable with its name and its first bytes, or nothing at all.

        `last_seq` is the number of the last record in `data`, or of the record before the file.
        Raises SyncFailed if a flush was what failed.
        """
        # The segment counts as soon as its name is durable, so its content must be durable first.
        made = path.with_name(path.name + ".new") if data else path
        fd = disk.open_private(made, _FLAGS | os.O_EXCL)
        try:
            if data:
                disk.write_all(fd, data)
                _flushed(lambda: disk.sync(fd))
                made.rename(path)
                made = path
            _flushed(lambda: disk.sync_folder(path.parent))
        except OSError:
            # The name may not be durable. Records in a file without a name would be lost, so it
            # goes.
            try:
                made.unlink()
            finally:
                os.close(fd)
            raise
        return cls(fd, path, len(data), last_seq)

    @classmethod
    def reopen(cls, path: Path, size_bytes: int, last_seq: int) -> "ActiveSegment":
        """Open a segment that recovery has read, and so flushed."""
        return cls(os.open(path, _FLAGS), path, size_bytes, last_seq)

    @property
    def is_synced(self) -> bool:
        return self.synced_bytes == self.size_bytes

    def append(self, data: bytes, last_seq: int) -> None:
        """Append whole records. After an OSError the file is as it was; after NotTakenBack it is
        not, and the caller gives it up."""
        try:
            disk.write_all(self._fd, data)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self.size_bytes)  # takes no space
            except OSError as second:
                raise NotTakenBack(second.errno, second.strerror) from error
            raise
        self.size_bytes += len(data)
        self.last_seq = last_seq

    def sync(self) -> None:
        """Flush the file. After an OSError the caller gives the file up: a second fsync would
        succeed without having written anything."""
        if not self.is_synced:
            disk.sync(self._fd)
            self.synced_bytes, self.synced_seq = self.size_bytes, self.last_seq

    def displacement(self) -> str | None:
        """Return what has become of the file's name, or None if it still leads to this file with
        all that was written. One lstat: 2 µs."""
        try:
            seen = os.lstat(self._name)
        except FileNotFoundError:
            return GONE
        except OSError as error:
            return f"cannot be reached any more ({error.strerror})"
        if _identity(seen) != self._identity:
            return EXCHANGED
        if seen.st_size < self.size_bytes:
            return CUT
        return None if seen.st_size == self.size_bytes else GROWN

    def unsynced(self, size_bytes: int) -> bytes:
        """Return the last `size_bytes` that were appended since the last flush; the system still
        has them in memory. Return less if they cannot be read."""
        data = b""
        while len(data) < size_bytes:
            piece = os.pread(self._fd, size_bytes - len(data), self.synced_bytes + len(data))
            if not piece:
                break
            data += piece
        return data

    def cut(self, size_bytes: int) -> None:
        """Take back what was not acknowledged, unless another program has changed the file."""
        if os.fstat(self._fd).st_size >= size_bytes:
            os.ftruncate(self._fd, size_bytes)

    def close(self) -> None:
        os.close(self._fd)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _flushed(flush: Callable[[], None]) -> None:
    try:
        flush()
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror) from error


class SyncFailed(OSError):
    """A new segment, or its name, could not be flushed."""


class NotTakenBack(OSError):
    """A write failed and left something in the file."""
