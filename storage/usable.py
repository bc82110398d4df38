"""Could a server use a data folder now? The look changes nothing there."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from storage import disk
from storage.data_version import DATA_VERSION, FILE_NAME, read_version
from storage.layout import DataLayout

TRIED_BYTES = 4096
# What O_TMPFILE says on a file system, or a system, that has no files without a name.
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


def check_usable(root: Path) -> None:
    """Raise OSError for what a start would fail at, and DiskFailed for a damaged file.

    That is a link that leads nowhere, or something else in the place of a folder or a file. Where
    the start would make something, it is also a place that cannot be written or has no room. A
    version that is too new is not judged (data_version.py).
    """
    layout = DataLayout(root)
    missing = []
    for folder in (root, layout.projects, layout.kept, layout.trash):
        if not _is_folder(folder):
            missing.append(folder)
    if not _is_file(root / "lock"):
        missing.append(root / "lock")
    replaced = []
    if _is_file(layout.id_file):
        layout.written_id()
    else:
        replaced.append(layout.id_file)
    if read_version(root) != DATA_VERSION:
        replaced.append(root / FILE_NAME)
    for file in replaced:
        _check_new(file.with_name(file.name + ".new"))
    if missing or replaced:
        try_to_write(nearest(root))


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    for place in (folder, *folder.parents):
        if os.path.exists(place):  # False also for one that this user may not look at
            return place
    return Path("/")


def try_to_write(folder: Path) -> None:
    """Write a block into a file that has no name, or loses it at once. Raises OSError."""
    fd = _open_nameless(folder)
    try:
        disk.write_all(fd, b"." * TRIED_BYTES)
    finally:
        os.close(fd)


def _open_nameless(folder: Path) -> int:
    flags = os.O_WRONLY | os.O_CLOEXEC
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, flags | os.O_TMPFILE, disk.FILE_MODE)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
    file = folder / f".try-{secrets.token_hex(8)}"
    fd = disk.open_private(file, flags | os.O_EXCL)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    return fd


def _is_folder(folder: Path) -> bool:
    """Return False if there is none yet. Raises OSError if none can be made."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        if folder.is_symlink():
            raise FileNotFoundError(
                errno.ENOENT, "a link that leads nowhere", str(folder)
            ) from None
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    is_private = stat.S_IMODE(found.st_mode) & 0o777 == disk.FOLDER_MODE
    if not is_private and os.geteuid() not in (0, found.st_uid):  # a start makes it private
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(folder))
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        _raise_why(folder)
    return True


def _raise_why(folder: Path) -> None:
    """Raise why a folder cannot be used: EROFS if it lies on what is read-only, else EACCES."""
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    number = errno.EROFS if read_only else errno.EACCES
    raise OSError(number, os.strerror(number), str(folder))


def _is_file(file: Path) -> bool:
    """Return False if there is none yet. Raises OSError if another thing has its name."""
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no file", str(file))
    return True


def _check_new(new: Path) -> None:
    """Raise OSError if the next version of a file cannot be written beside it: a folder with
    something in it has that name (disk.replace_file removes all else)."""
    if new.is_dir() and not new.is_symlink() and any(new.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(new))
