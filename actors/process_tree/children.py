"""The server's own children, and those that the kernel hands it.

On Linux the server is a child subreaper (prctl(2)): what loses its parent below it becomes its
child, and leaves the tree in no way. Such children must be reaped, and the others must not: their
exit status belongs to the Popen that waits for it. So everything that the server starts is started
here.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import psutil

from actors.process_tree import kernel_mark, prctl

# Held while a child starts, until it is noted, and while others are reaped: a child that ends at
# once must be known by then. It also guards the limit that marks a child.
_lock = threading.Lock()
_own: list["subprocess.Popen[bytes]"] = []
_adopts = False
# What had this process as its parent before it was a server: a sidecar that a shell has started
# before its `exec`. Nothing below them is an agent's.
_inherits = False


def start(argv: Sequence[str], *, mark: str = "", **options: Any) -> "subprocess.Popen[bytes]":
    """Start a child as subprocess.Popen does. `mark`: it and its descendants carry that number
    (kernel_mark.py). Raises OSError."""
    with _lock, kernel_mark.given(mark):
        child = subprocess.Popen(argv, **options)  # noqa: S603 - the callers say what it is
        _own[:] = [known for known in _own if known.returncode is None]
        _own.append(child)
    return child


def adopt_orphans() -> str | None:
    """Have the kernel hand us what loses its parent below us. Return the problem, else None."""
    global _adopts, _inherits  # noqa: PLW0603 - facts of this process, as the flag in the kernel is
    if sys.platform != "linux":
        return "this system hands no orphans over: a process without its mark may stay"
    if (reason := prctl.set_option(prctl.CHILD_SUBREAPER, 1)) is not None:
        return f"orphans are not handed over ({reason}): a process without its mark may stay"
    _adopts = True
    _inherits = any(child.pid not in own() for child in psutil.Process().children())
    return None


def keeps_strangers() -> bool:
    """Return True if a child that we have not started, and that carries no mark, can only be an
    agent's that has taken it off. It can be somebody else's for process 1 of a container, which
    gets the orphans of `docker exec` too, where we had children before we began, and where
    processes cannot be numbered."""
    return _adopts and not _inherits and os.getpid() != 1 and kernel_mark.works()


def own() -> set[int]:
    """Return the pids of what was started here and is not waited for yet."""
    with _lock:
        return _own_pids()


def reap() -> int:
    """Reap the dead among the children that were not started here; return how many."""
    if not hasattr(os, "waitid") or not (_adopts or os.getpid() == 1):
        return 0
    reaped = 0
    with _lock:
        while (found := _next_dead()) is not None and found not in _own_pids():
            reaped += _wait_for(found)
        if found is not None:  # one of ours, which waits for its owner, hides those behind it
            others = {pid for pid in _dead_children() if pid not in _own_pids()}
            reaped += sum(map(_wait_for, others))
    return reaped


def _own_pids() -> set[int]:
    return {child.pid for child in _own if child.returncode is None}


def _next_dead() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def _wait_for(pid: int) -> int:
    """Reap one process; return how many that were."""
    try:
        return int(os.waitpid(pid, os.WNOHANG)[0] == pid)
    except ChildProcessError:
        return 0


def _dead_children() -> list[int]:
    found = []
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # no descriptors are left: the next time, then
        return []
    for pid in pids:
        try:
            state, parent = _state_of(pid)
        except (OSError, ValueError):
            continue
        if state == b"Z" and parent == os.getpid():
            found.append(pid)
    return found


def _state_of(pid: int) -> tuple[bytes, int]:
    """Return the state and the parent of a process (proc(5), `stat`). Raises OSError."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    return words[0], int(words[1])
