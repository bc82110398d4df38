"""One server for each data folder."""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from storage import disk
from storage.errors import AlreadyLocked, DataFolderLost

# Between opening the file and locking it, its name may lead to another one.
_TRIES_MAX = 10
_LOCKS = Path("/proc/locks")


class DataLock:
    """Held from `acquire` until `release` or the end of the process, however it ends.

    It uses flock, because lockf drops the lock when any descriptor of the file closes. No server
    deletes the file. If somebody else does, two servers could hold locks on two files of one name.
    So whoever holds the lock looks now and then whether the name still leads to its file (`look`).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._fd: int | None = None
        self._file = self._folder = (0, 0)

    def acquire(self) -> None:
        """Take the lock. Raises OSError, and AlreadyLocked with the pid of the holder."""
        for _ in range(_TRIES_MAX):
            fd = disk.open_private(self._path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _identity(os.fstat(fd)) == self._at_name():
                    self._hold(fd)
                    return
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", errors="replace").strip()
                os.close(fd)
                raise AlreadyLocked(
                    f"another server (pid {holder or 'unknown'}) uses {self._path.parent}; "
                    "stop it, or choose another DATA_DIR"
                ) from None
            except OSError:
                os.close(fd)
                raise
            os.close(fd)  # its holder has put another file there meanwhile
        raise AlreadyLocked(f"{self._path} is exchanged all the time; look who does that")

    @property
    def is_lost(self) -> bool:
        """Return True if the lock was taken and its name does not lead to it any more. One stat."""
        return self._fd is not None and self._at_name() != self._file

    def look(self) -> str | None:
        """Make a lock file again that somebody has deleted. Return None if all is well, or a
        sentence if that cannot be done at present. Raises DataFolderLost if another server may use
        the data folder: this one must stop.

        The new file is locked before it gets its name, and only a free name is taken. So if two
        servers do this at once, one of them gets the name. The other finds a file that is not its
        own, and stops. In a data folder that is another one now nothing is made.
        """
        if not self.is_lost:
            return None
        if self._at_name() is not None:
            raise DataFolderLost(f"{self._path} is another file now: another server may have it")
        try:
            if _identity(os.stat(self._path.parent)) != self._folder:
                raise DataFolderLost(f"{self._path.parent} is another folder now")
            self._make_again()
        except OSError as error:
            problem = f"{self._path} is gone and cannot be made again: {error.strerror}"
            if isinstance(error, FileNotFoundError | FileExistsError):
                raise DataFolderLost(problem) from None
            if error.errno in disk.NO_LINKS:
                raise DataFolderLost(problem) from None
            return problem
        return None

    def release(self) -> None:
        """Give the lock back; without a lock do nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _make_again(self) -> None:
        made = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}.new")
        fd = disk.open_private(made, os.O_RDWR | os.O_EXCL)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.link(made, self._path)  # a rename would take a name that is not free
        except OSError:
            os.close(fd)
            raise
        finally:
            with contextlib.suppress(OSError):
                made.unlink()
        before = self._fd
        self._hold(fd)
        if before is not None:
            os.close(before)

    def _hold(self, fd: int) -> None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
        self._fd = fd
        self._file = _identity(os.fstat(fd))
        self._folder = _identity(os.stat(self._path.parent))

    def _at_name(self) -> tuple[int, int] | None:
        try:
            return _identity(os.lstat(self._name))
        except OSError:
            return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def holder(path: str) -> int | None:
    """Return the pid of the server that holds the lock, without touching the lock: a server that
    starts at this moment must get it. None if nobody does, or if the file cannot be read."""
    try:
        with disk.reading(Path(path)) as fd:
            pid = int(os.read(fd, 32))
            inode = os.fstat(fd).st_ino
    except (OSError, ValueError):
        return None
    try:
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:  # not Linux
        return pid if _is_alive(pid) else None
    # `1: FLOCK  ADVISORY  WRITE 4711 08:01:12345 0 EOF`
    held = ((words[4], words[5].rpartition(":")[2]) for line in lines if (words := line.split()))
    return pid if (str(pid), str(inode)) in held else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
