"""Looking at processes from outside, and waiting for what cannot be waited for otherwise."""

import threading
from collections.abc import Callable
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
