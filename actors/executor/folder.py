"""Folders at the moment when something is started in them: a name may lead elsewhere by then."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_OWN_DESCRIPTORS = "/proc/self/fd"


@contextmanager
def held(folder: str) -> Iterator[str]:
    """A path to start a process in, which leads to that folder whatever happens to its name.

    Raises OSError, also where a link has come into the way since the project was made: it would
    lead out of PROJECT_ROOTS, or into another project.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(folder, flags)
    try:
        by_descriptor = f"{_OWN_DESCRIPTORS}/{fd}"
        has_proc = os.path.isdir(_OWN_DESCRIPTORS)
        found = os.readlink(by_descriptor) if has_proc else os.path.realpath(folder)
        if found != folder:
            raise OSError(errno.ELOOP, f"the project's folder leads to {found} by now", folder)
        yield by_descriptor if has_proc else folder
    finally:
        os.close(fd)


def identity(folder: str) -> tuple[int, int]:
    """Which folder that is. Raises OSError where a link has come into the way."""
    found = os.lstat(folder)
    if os.path.realpath(folder) != folder or not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ELOOP, "the folder has become another since it was allowed", folder)
    return identity_of(found)


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Of a folder that was looked at."""
    return status.st_dev, status.st_ino


def is_in_place(folder: str, known: tuple[int, int]) -> bool:
    """Whether the name still leads to that folder."""
    try:
        return identity(folder) == known
    except OSError:
        return False
