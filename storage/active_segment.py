"""The file at the end of a log, which is appended to, and how much of it is flushed."""

import os
from collections.abc import Callable
from pathlib import Path

from storage import disk

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class ActiveSegment:
    """Whole records only: a write that fails is taken back. Every call raises OSError.

    `size_bytes` and `last_seq` are what stands in it, `synced_bytes` and `synced_seq` what is known
    to be on the device.
    """

    def __init__(self, fd: int, path: Path, size_bytes: int, last_seq: int) -> None:
        self._fd = fd
        self.path = path
        self.size_bytes = self.synced_bytes = size_bytes
        self.last_seq = self.synced_seq = last_seq

    @classmethod
    def create(cls, path: Path, last_seq: int, data: bytes = b"") -> "ActiveSegment":
        """A new file, durable with its name and what it begins with; or none at all. SyncFailed:
        a flush was what failed.

        `last_seq` is the number of the last record in `data`, or of the one before the file.
        """
        # With its name a segment takes the place of what counted before: so first its content.
        made = path.with_name(path.name + ".new") if data else path
        fd = os.open(made, _FLAGS | os.O_CREAT | os.O_EXCL, disk.FILE_MODE)
        try:
            if data:
                disk.write_all(fd, data)
                _flushed(lambda: disk.sync(fd))
                made.rename(path)
                made = path
            _flushed(lambda: disk.sync_folder(path.parent))
        except OSError:
            # A file whose name may not last must not be appended to later.
            try:
                made.unlink()
            finally:
                os.close(fd)
            raise
        return cls(fd, path, len(data), last_seq)

    @classmethod
    def reopen(cls, path: Path, size_bytes: int, last_seq: int) -> "ActiveSegment":
        """One that was recovered, and so flushed."""
        return cls(os.open(path, _FLAGS), path, size_bytes, last_seq)

    @property
    def is_synced(self) -> bool:
        return self.synced_bytes == self.size_bytes

    def append(self, data: bytes, last_seq: int) -> None:
        """After an OSError the file is as it was; NotTakenBack: it is not, give it up."""
        try:
            disk.write_all(self._fd, data)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self.size_bytes)  # needs no space
            except OSError as second:
                raise NotTakenBack(second.errno, second.strerror) from error
            raise
        self.size_bytes += len(data)
        self.last_seq = last_seq

    def sync(self) -> None:
        """After an OSError the file proves nothing (a second fsync would lie): give it up."""
        if not self.is_synced:
            disk.sync(self._fd)
            self.synced_bytes, self.synced_seq = self.size_bytes, self.last_seq

    def unsynced(self, size_bytes: int) -> bytes:
        """So much of what was appended since the last flush: the system still has it in memory.
        Less where it cannot be had."""
        data = b""
        while len(data) < size_bytes:
            piece = os.pread(self._fd, size_bytes - len(data), self.synced_bytes + len(data))
            if not piece:
                break
            data += piece
        return data

    def cut(self, size_bytes: int) -> None:
        """Takes back what nobody was told of."""
        os.ftruncate(self._fd, size_bytes)

    def close(self) -> None:
        os.close(self._fd)


def _flushed(flush: Callable[[], None]) -> None:
    try:
        flush()
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror) from error


class SyncFailed(OSError):
    """A new segment, or its name, could not be flushed."""


class NotTakenBack(OSError):
    """A failed write has left something in the file."""
