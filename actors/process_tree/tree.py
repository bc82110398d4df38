"""What an agent's process has started: its descendants, and whatever carries its mark.

Each way alone misses some: a double fork leaves the tree, a child that starts between the look and
the signal is not noted, a process may clear its environment or begin a session of its own.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import psutil

logger = logging.getLogger("claudehub.executor")

MARK = "CLAUDEHUB_PROCESS_ID"
STRAY_LOOKS_MAX = 8
# A process in the middle of an exec is through by then.
EXEC_PAUSE_S = 0.05
GENERATIONS_MAX = 64
# A machine where processes start all the time must not keep a look from ending.
LISTINGS_MAX = 16
_HAS_PROC = os.path.exists("/proc/self/stat")


def mark_of(data_id: str, process_name: str) -> str:
    """Return the value of MARK for one process of one data folder."""
    return f"{data_id}:{process_name}"


def descendants(leader: psutil.Process) -> list[psutil.Process]:
    """Return every process below `leader`; none once it is gone."""
    try:
        return leader.children(recursive=True)
    except psutil.Error:
        return []


def rounds(listing: Callable[[], Iterable[int]]) -> Iterator[list[int]]:
    """Yield what a listing names, and then what it names in addition, until that is nothing: a
    process may fork while others are read, and be gone before its turn comes."""
    looked_at: set[int] = set()
    for _ in range(LISTINGS_MAX):
        new = [pid for pid in listing() if pid not in looked_at]
        if not new:
            return
        looked_at.update(new)
        yield new


@dataclass(slots=True)
class Look:
    """What one look has found that still runs. `unreadable` are processes whose environment read as
    empty: in the middle of an exec (they carry the mark a moment later), or cleared. `fleeting`: a
    process was found and is gone, perhaps leaving a child."""

    found: list[psutil.Process] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    fleeting: bool = False

    def mark_of(self, process: psutil.Process) -> str:
        """Read a mark, once: a process that is readable now may be in an exec a moment later."""
        try:
            seen = process.environ()
            if not seen and process.status() != psutil.STATUS_ZOMBIE:
                self.unreadable.add(process.pid)
        except (psutil.Error, OSError):
            return ""
        return str(seen.get(MARK, ""))

    def close(self) -> "Look":
        """End the look."""
        running = alive(self.found)
        self.fleeting = len(running) < len(self.found)
        self.found = running
        return self


def look_for(prefix: str) -> Look:
    """Return every visible process whose MARK begins with `prefix`."""
    look = Look()
    for pids in rounds(psutil.pids):
        for pid in pids:
            try:
                process = psutil.Process(pid)
            except psutil.Error:
                continue
            if look.mark_of(process).startswith(prefix):
                look.found.append(process)
    return look.close()


def left_by_turn(newcomers: Callable[[], Iterable[int]], own: list[int], mark: str) -> Look:
    """Return what a turn has left behind: new processes that carry its mark or descend from the
    CLI, and are not part of the CLI. `own` comes from `own_of`.

    The CLI's helpers (MCP servers, and what those have started) are below a child that shares its
    session. Each Bash command has a session of its own (observed with both versions), and an orphan
    has no parent here.
    """
    look = Look()
    for pids in rounds(newcomers):
        for pid in pids:
            try:
                branch = pid if pid in own else _branch(pid, own)
                if branch is not None and os.getsid(branch) == own[0]:
                    continue
                process = psutil.Process(pid)
            except (psutil.Error, OSError):
                continue
            if branch is not None or look.mark_of(process) == mark:
                look.found.append(process)
    return look.close()


def own_of(leader_pid: int) -> list[int]:
    """Return the agent itself: the leader and, if that is a sandbox with a PID namespace, the first
    process in it, which inherits orphans, and the CLI."""
    first = next((pid for pid in _children(leader_pid) if _begins_namespace(pid)), None)
    inside = [] if first is None else [first, *_children(first)[:1]]
    return [leader_pid, *inside]


def _children(pid: int) -> list[int]:
    """Return the children, the oldest first; none if the system does not tell (proc(5),
    `children`)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _begins_namespace(pid: int) -> bool:
    """Return True if the process is number 1 to itself and another number to us (proc(5),
    `NSpid`)."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            named = next((line for line in file if line.startswith(b"NSpid:")), b"")
    except OSError:
        return False
    numbers = named.split()[1:]
    return len(numbers) > 1 and numbers[-1] == b"1"


def _branch(pid: int, own: list[int]) -> int | None:
    """Return the child of the CLI that a process is or descends from; None if there is none."""
    parent = _parent(pid)
    for _ in range(GENERATIONS_MAX):
        if parent == own[-1]:
            return pid
        if parent <= 1 or parent in own:
            return None
        pid = parent
        try:
            parent = _parent(pid)
        except (OSError, psutil.Error):  # it is gone, so this is an orphan, which its mark tells
            return None
    return None


def _parent(pid: int) -> int:
    """Return the parent's pid. psutil's parents() reads each ancestor ten times, and every turn's
    end waits for this (bench/agent.py). Raises OSError and psutil.Error."""
    if not _HAS_PROC:
        return psutil.Process(pid).ppid()
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


class Census:
    """Which processes are new since the last look, without reading each of them: a look costs a
    fraction of a millisecond, reading all environments costs many."""

    def __init__(self) -> None:
        self._look()
        self.settle()

    def _look(self) -> None:
        # In this order: a pid that is assigned in between counts as new.
        self._newest_seen = _newest_pid()
        self._seen = psutil.pids()

    def settle(self) -> None:
        """Count what the last look saw as known, and nothing more."""
        self._newest_pid = self._newest_seen
        self._known = frozenset(self._seen)

    def newcomers(self) -> list[int]:
        """Return the new processes; all, if pids may have been reused since the last look."""
        self._look()
        newest, before = self._newest_seen, self._newest_pid
        if newest is None or before is None or newest < before:
            return self._seen
        return [pid for pid in self._seen if pid not in self._known]


def _newest_pid() -> int | None:
    """Return the pid that was assigned last; None if the system does not tell (not Linux)."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def in_session(session_id: int) -> list[psutil.Process]:
    """Return every process of a POSIX session; an agent's session has the pid of its leader."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session_id:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return found


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run. A zombie is gone: only its parent has not looked yet.

    psutil compares the start time, so a reused pid is not taken for the old process.
    """
    running = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
        except psutil.Error:
            continue
    return running


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to each; a process that is gone already is a success."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        except psutil.Error as error:
            logger.error("cannot end process %d: %s", process.pid, error)


def end_strays(prefix: str, timeout_s: float) -> int:
    """End every process whose mark begins so; return how many there were. Look again until nothing
    is found: a process may have started another one, which shows no mark during its exec. Wait a
    bounded time."""
    ended: set[int] = set()
    without_mark: set[int] = set()
    for _ in range(STRAY_LOOKS_MAX):
        look = look_for(prefix)
        strays = look.found
        if not strays:
            if look.unreadable <= without_mark and not look.fleeting:
                return len(ended)
            without_mark = (
                look.unreadable
            )  # a process that stays unreadable has no mark, or has cleared it
            time.sleep(EXEC_PAUSE_S)
            continue
        kill(strays)
        ended |= {process.pid for process in strays}
        psutil.wait_procs(strays, timeout=timeout_s / STRAY_LOOKS_MAX)
    if still := look_for(prefix).found:
        logger.error("processes that do not end: %s", [process.pid for process in still])
    return len(ended)
