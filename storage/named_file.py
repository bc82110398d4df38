"""Read a file that a setting names: whatever lies there, the reader does not wait."""

import errno
import os
import stat
from pathlib import Path


def read_bytes(path: Path, bytes_max: int) -> bytes:
    """Return a regular file, also through links. Raises OSError, for a larger file too."""
    # Non-blocking: opening a pipe would wait until somebody writes into it.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        with open(fd, "rb", closefd=False) as file:
            data = file.read(bytes_max + 1)
    finally:
        os.close(fd)
    if len(data) > bytes_max:
        raise too_large(path, bytes_max)
    return data


def too_large(path: Path, bytes_max: int) -> OSError:
    """Return the error of a file that has more bytes than it may have."""
    return OSError(errno.EFBIG, f"is larger than {bytes_max} bytes", str(path))
