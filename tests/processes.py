"""Looking at processes from outside, and waiting for what cannot be waited for otherwise."""

import contextlib
import itertools
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

WAIT_S = 15.0
LOOK_S = 0.02


def wait_until(holds: Callable[[], bool]) -> None:
    """Looks again and again, for a bounded time."""
    pause = threading.Event()
    for _ in range(round(WAIT_S / LOOK_S)):
        if holds():
            return
        pause.wait(LOOK_S)
    assert holds()


def marked(data: Path) -> list[int]:
    """The pids of all that carry the mark of a data folder."""
    data_id = (data / "id").read_text().strip()
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("CLAUDEHUB_PROCESS_ID", "")
            if mark.startswith(f"{data_id}:") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def is_cli(process: psutil.Process) -> bool:
    """Return True for a CLI that takes prompts."""
    return any("--input-format" in word for word in process.cmdline())


@contextlib.contextmanager
def no_descriptors(pid: int = 0) -> Iterator[None]:
    """Take a process all descriptors that it has not opened yet (0: this one)."""
    names = os.listdir(f"/proc/{pid or 'self'}/fd")  # for this one, that of the listing is among it
    opened = {fd for fd in map(int, names) if pid or _is_open(fd)}
    first_free = next(number for number in itertools.count() if number not in opened)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
