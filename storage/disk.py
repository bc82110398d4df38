"""The calls that make bytes durable, and how much room there is. Nothing else syncs."""

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
# The errors of a file that is there and is not ours to read: waiting does not help.
UNREADABLE = {errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO}
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY}


def sync(fd: int, *, is_folder: bool = False) -> None:
    """Flushes a file to the device. Raises OSError; after one, do not try the same file again.

    macOS: fsync leaves the data in the drive's cache, F_FULLFSYNC does not. A folder gets a whole
    fsync: what counts there is metadata.
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
    """Makes creations, removals and renames inside a folder durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, is_folder=True)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte; a short write is normal. Raises OSError with part of it written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor for reading. Raises OSError."""
    # Non-blocking: what is no file, such as a pipe, is refused and not waited for.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise IsADirectoryError(errno.EISDIR, "is no file", str(path))
        yield fd
    finally:
        os.close(fd)


@contextmanager
def writing(path: Path) -> Iterator[int]:
    """A descriptor of a private file that is made or emptied; flushed at the end of the block.
    Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, FILE_MODE)
    try:
        yield fd
        sync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Creates a private folder where there is none, durably, and sees to it that it is private."""
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        if not folder.parent.exists():
            make_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(folder.parent)
        mode = folder.stat().st_mode
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if mode & 0o077:
        folder.chmod(FOLDER_MODE)


def replace_file(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Replaces a file atomically and durably; the version before it stays as `keep_as`."""
    temporary = path.with_name(path.name + ".new")
    with writing(temporary) as fd:
        write_all(fd, data)
    if keep_as is not None and path.exists():
        keep_as.unlink(missing_ok=True)
        # A link, not a rename: the name `path` always leads to a whole version.
        os.link(path, keep_as)
    temporary.replace(path)
    sync_folder(path.parent)


def free_bytes(folder: Path) -> int:
    """Return the space that is left for us on the folder's file system. Raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
