"""How long a flush takes in a folder."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from storage import disk

ROUNDS_MAX = 20
WRITTEN_BYTES = 4096


def sync_times(folder: Path, monotonic: Callable[[], float], limit_s: float) -> list[float]:
    """Write a block into a new file and flush it, several times, until `limit_s` has passed. Return
    the seconds of each flush, at least one. The file is deleted at once. Raises OSError."""
    file = folder / f".sync-{secrets.token_hex(8)}"
    fd = disk.open_private(file, os.O_WRONLY | os.O_EXCL)
    try:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()  # the file stays until it is closed, whatever happens meanwhile
        times: list[float] = []
        begun_s = monotonic()
        while not times or (len(times) < ROUNDS_MAX and monotonic() - begun_s < limit_s):
            disk.write_all(fd, b"." * WRITTEN_BYTES)
            before_s = monotonic()
            disk.sync(fd)
            times.append(monotonic() - before_s)
        return times
    finally:
        os.close(fd)
