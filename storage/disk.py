"""The calls that make bytes durable. Nothing else in the program syncs."""

import fcntl
import os
import sys
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def sync(fd: int) -> None:
    """Flushes a file to the device. Raises OSError; after one, do not try the same file again.

    macOS: fsync leaves the data in the drive's cache, F_FULLFSYNC does not.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError:
            os.fsync(fd)  # a file system without F_FULLFSYNC
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Makes creations, removals and renames inside a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte; a short write is normal. Raises OSError with part of it written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def make_folder(folder: Path) -> None:
    """Creates a private folder where there is none and sees to it that it is private."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(FOLDER_MODE)


def replace_file(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Replaces a file atomically and durably; the version before it stays as `keep_as`."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
        sync(fd)
    finally:
        os.close(fd)
    if keep_as is not None and path.exists():
        keep_as.unlink(missing_ok=True)
        # A link, not a rename: the name `path` always leads to a whole version.
        os.link(path, keep_as)
    temporary.replace(path)
    sync_folder(path.parent)
