"""The mark of a run: the file `running` is in the data folder from a start to the orderly stop. So
the next start knows whether the last run was killed, has crashed, or has lost the power.

It is no part of the format: without it a folder is one whose last run has stopped.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import simplejson

from storage import disk
from storage.layout import DataLayout, boot_id

FILE_NAME = "running"
_FILE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class CutOff:
    """A run without an orderly stop. `pid` is None if its mark is damaged."""

    pid: int | None
    system_restarted: bool


def cut_off(root: Path) -> CutOff | None:
    """Return the last run if it did not stop in order. Raises OSError."""
    try:
        with disk.reading(root / FILE_NAME) as fd:
            content = os.read(fd, _FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        mark = simplejson.loads(content)
        return CutOff(int(mark["pid"]), system_restarted=mark["boot_id"] != boot_id())
    return CutOff(None, system_restarted=False)


def put_up(root: Path) -> None:
    """Mark that this process runs, durably: a power cut must not take the mark. Call it with the
    folder's lock. Raises OSError."""
    mark = {"pid": os.getpid(), "boot_id": boot_id()}
    disk.replace_file(root / FILE_NAME, simplejson.dumps(mark).encode("ascii"))


def take_down(layout: DataLayout) -> None:
    """Mark that this run has stopped in order, unless another server may have the folder by now.
    Raises OSError."""
    if layout.lock.is_lost:
        return
    (layout.root / FILE_NAME).unlink(missing_ok=True)
    disk.sync_folder(layout.root)
