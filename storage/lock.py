"""One server for each data folder."""

import fcntl
import os
from pathlib import Path

from storage import disk
from storage.errors import AlreadyLocked


class DataLock:
    """Held from `acquire` until `release` or the end of the process, however it ends.

    It uses flock, because lockf drops the lock when any descriptor of the file closes. The file is
    never deleted: otherwise two servers could hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises OSError, and AlreadyLocked with the pid of the holder."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, disk.FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", errors="replace").strip()
            os.close(fd)
            raise AlreadyLocked(
                f"another server (pid {holder or 'unknown'}) uses {self._path.parent}; "
                "stop it, or choose another DATA_DIR"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; without a lock do nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
