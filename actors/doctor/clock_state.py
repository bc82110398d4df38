"""The clock: keys and certificates expire by it, and the log is ordered by it."""

import ctypes
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from actors.doctor.finding import Finding, Setup, fault, ok, warning

# A file may have been written a moment ago by a machine whose clock is a bit ahead.
AHEAD_MAX_S = 60.0
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES = 256  # sizeof(struct timex) is 208
_PROGRAM = Path(__file__)


def clock(setup: Setup) -> Iterator[Finding]:
    now = setup.clock.now()
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    newest = _newest([_PROGRAM, Path(setup.config.data_dir) / "audit.jsonl"])
    if newest is not None and (newest[0] - now).total_seconds() > AHEAD_MAX_S:
        written = f"{newest[1]} was written on {newest[0]:%Y-%m-%d %H:%M:%S} UTC"
        yield fault(f"it is {said}, and {written}", "timedatectl; set the clock right")
        return
    synchronised = is_synchronised()
    if synchronised is False:
        yield warning(f"{said}; nothing keeps the clock right", "timedatectl set-ntp true")
    else:
        yield ok(f"{said}, {'kept right' if synchronised else 'and nobody says if it is right'}")


def _newest(files: list[Path]) -> tuple[datetime, Path] | None:
    times = [(os.stat(file).st_mtime, file) for file in files if os.path.exists(file)]
    if not times:
        return None
    at_s, file = max(times)
    return datetime.fromtimestamp(at_s, UTC), file


def is_synchronised() -> bool | None:
    """Return True if the kernel's clock is kept right (adjtimex(2)); None if the system does not
    say. Nothing is set."""
    if sys.platform != "linux":
        return None
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _UNSYNCHRONISED
