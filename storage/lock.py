"""One server a data folder."""

import fcntl
import os
from pathlib import Path

from storage import disk
from storage.errors import AlreadyLocked


class DataLock:
    """Held from `acquire` until `release` or the process's end, however that comes.

    flock, not lockf: the latter is dropped when any descriptor of the file closes. The file is
    never deleted, or two servers could hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises AlreadyLocked, naming the holder's pid, and OSError."""
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
        """Harmless when nothing is held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
