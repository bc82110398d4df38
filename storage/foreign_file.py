"""Read a file that somebody else has put into a project's folder."""

import os
import stat
from pathlib import Path


def read_bytes(path: Path, size_max: int) -> bytes | None:
    """Return at most `size_max` bytes from the beginning of a regular file.

    Return None for anything else, and for a file that cannot be read. A named pipe or a device is
    not read, because it would keep its reader waiting."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(size_max)
    except OSError:
        return None
    finally:
        os.close(fd)
