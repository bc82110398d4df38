"""The calls that make bytes durable, and the free space. No other module flushes files."""

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
# The errors of a file that exists and that we may not read: waiting does not help.
UNREADABLE = {errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO}
# What a link says on a file system that has none (exFAT, some of FUSE).
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY}


def sync(fd: int, *, is_folder: bool = False) -> None:
    """Flush a file to the device. Raises OSError; after one, do not try the same file again.

    On macOS fsync leaves the data in the drive's cache, and F_FULLFSYNC does not. A folder gets a
    whole fsync, because what counts there is metadata.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            os.fsync(fd)
    elif is_folder:
        os.fsync(fd)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Make creations, removals and renames inside a folder durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, is_folder=True)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; a short write is normal. Raises OSError with part of it written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_private(path: Path, flags: int) -> int:
    """Open a file, which is created if `flags` do not forbid it, and give it its mode: what a
    creation asks for is only what the umask leaves of it. Raises OSError."""
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) != FILE_MODE:
            os.fchmod(fd, FILE_MODE)
    except OSError as error:
        if error.errno not in NO_LINKS:  # such file systems have no modes either
            os.close(fd)
            raise
    return fd


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Open a file for reading, as a context; yield its descriptor. Raises OSError."""
    # Non-blocking, so that a pipe of that name is refused at once: opening it would wait.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise IsADirectoryError(errno.EISDIR, "is no file", str(path))
        yield fd
    finally:
        os.close(fd)


@contextmanager
def writing(path: Path) -> Iterator[int]:
    """Open a private file that is created or emptied, as a context; flush it at the end. Raises
    OSError."""
    fd = open_private(path, os.O_WRONLY | os.O_TRUNC)
    try:
        yield fd
        sync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Create a private folder if there is none, durably, and make an existing one private."""
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        if not folder.parent.exists():
            make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        folder.chmod(FOLDER_MODE)  # whatever the umask has left of it
        sync_folder(folder.parent)
        mode = folder.stat().st_mode
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if stat.S_IMODE(mode) & 0o777 != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)


def replace_file(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Replace a file atomically and durably; the version before it stays as `keep_as`."""
    temporary = _new_beside(path)
    with writing(temporary) as fd:
        write_all(fd, data)
    if keep_as is not None and path.exists():
        _keep_version(path, keep_as)
    temporary.replace(path)
    sync_folder(path.parent)


def _new_beside(path: Path) -> Path:
    """Return the path at which the next version of a file is written. Take out of its way what lies
    there and cannot be written over. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    try:
        mode = temporary.lstat().st_mode
    except FileNotFoundError:
        return temporary
    if stat.S_ISDIR(mode):
        temporary.rmdir()
    elif not stat.S_ISREG(mode) or mode & 0o200 == 0:
        temporary.unlink()
    return temporary


def _keep_version(path: Path, keep_as: Path) -> None:
    """Give the present version of a file a second name. `path` names a whole version at every
    moment, so this is a link, or a copy where the file system has no links. Raises OSError."""
    keep_as.unlink(missing_ok=True)
    try:
        os.link(path, keep_as)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        copy = _new_beside(keep_as)
        with writing(copy) as fd:
            write_all(fd, path.read_bytes())
        copy.replace(keep_as)


def free_bytes(folder: Path) -> int:
    """Return the space that is left for us on the folder's file system. Raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
