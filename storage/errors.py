"""What can go wrong on the disk."""

import errno

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StorageError(Exception):
    """Base class. The text says what failed and where."""


class DiskFull(StorageError):
    """There is no room (ENOSPC, EDQUOT, EFBIG). Nothing of the batch was kept; try again later."""


class DiskFailed(StorageError):
    """A call failed, and nothing is known about what is on the disk."""


class LogStopped(DiskFailed):
    """A flush has failed: the log takes nothing until it is reopened."""


class LogDisplaced(LogStopped):
    """A file of the log is not where it was, or not what it was. Nothing of the batch was
    acknowledged; `reopen` makes what is missing."""


class DataFolderLost(DiskFailed):
    """The data folder may be another server's by now: nothing is written there."""


class AlreadyLocked(StorageError):
    """Another server uses the data folder."""


class NewerData(StorageError):
    """The data folder is of a newer version than this program knows: nothing is touched there."""


class MetadataUnreadable(StorageError):
    """Neither a project's metadata nor the version before it can be read."""


class FolderRefused(StorageError):
    """The folder cannot be a project: the path is relative, missing, or no folder."""


class FolderOutsideRoots(StorageError):
    """The folder is not inside the allowed roots once links are resolved."""


def from_os_error(error: OSError, doing: str) -> StorageError:
    """Return the StorageError for a failed system call."""
    kind = DiskFull if error.errno in NO_ROOM else DiskFailed
    return kind(f"{doing}: {error.strerror or error}")
