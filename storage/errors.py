"""What can go wrong on the disk."""

import errno

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StorageError(Exception):
    """Base class: the text says what failed and where."""


class DiskFull(StorageError):
    """There is no room (ENOSPC, EDQUOT, EFBIG): nothing was kept of the batch, try again later."""


class DiskFailed(StorageError):
    """A call failed in a way that proves nothing about what is on the disk."""


class LogStopped(DiskFailed):
    """A flush has failed: the log takes nothing until it is reopened."""


class AlreadyLocked(StorageError):
    """Another server holds the data folder."""


class MetadataUnreadable(StorageError):
    """A project's metadata, and the version before it, cannot be understood."""


class FolderRefused(StorageError):
    """A project folder that cannot be used: relative, missing, or no folder."""


class FolderOutsideRoots(StorageError):
    """A project folder that is not inside the allowed roots once links are resolved."""


def from_os_error(error: OSError, doing: str) -> StorageError:
    """The StorageError for a failed system call."""
    kind = DiskFull if error.errno in _FULL else DiskFailed
    return kind(f"{doing}: {error.strerror or error}")
