"""What an agent's process has started: its descendants, and whatever carries its mark.

Each alone misses some: a double fork leaves the family, a child that was started between the look
and the signal is not noted, a process may wipe its environment or begin a session of its own.
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
# A machine where something is always being started must not keep a look from its end.
LISTINGS_MAX = 16
_HAS_PROC = os.path.exists("/proc/self/stat")


def mark_of(data_id: str, process_name: str) -> str:
    """The value of MARK for one process of one data folder."""
    return f"{data_id}:{process_name}"


def descendants(leader: psutil.Process) -> list[psutil.Process]:
    """Every process below `leader` now; none once it is gone."""
    try:
        return leader.children(recursive=True)
    except psutil.Error:
        return []


def rounds(listing: Callable[[], Iterable[int]]) -> Iterator[list[int]]:
    """What a listing names, and then, again and again, what it names beside that, until it is
    nothing: one may fork while the others are read, and be gone before its turn comes."""
    looked_at: set[int] = set()
    for _ in range(LISTINGS_MAX):
        new = [pid for pid in listing() if pid not in looked_at]
        if not new:
            return
        looked_at.update(new)
        yield new


@dataclass(slots=True)
class Look:
    """What one look has found, and still runs. `unreadable`: those whose environment read as empty:
    a process in the middle of an exec, and one that has wiped it. The first carries the mark a
    moment later. `fleeting`: one was found and is gone, who knows whether without a child."""

    found: list[psutil.Process] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    fleeting: bool = False

    def mark_of(self, process: psutil.Process) -> str:
        """Read once: what is readable now may be in an exec a moment later."""
        try:
            seen = process.environ()
            if not seen and process.status() != psutil.STATUS_ZOMBIE:
                self.unreadable.add(process.pid)
        except (psutil.Error, OSError):
            return ""
        return str(seen.get(MARK, ""))

    def close(self) -> "Look":
        """Nothing more is looked at."""
        running = alive(self.found)
        self.fleeting = len(running) < len(self.found)
        self.found = running
        return self


def look_for(prefix: str) -> Look:
    """Every process whose MARK begins with `prefix`, as far as it can be seen."""
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
    """Of those that are new, what a turn has left behind: its own, and not part of the CLI. `own`
    is what `own_of` has found.

    The CLI's helpers (MCP servers, and what those have started) hang on a child that shares its
    session; each Bash command has a session of its own (seen with both versions), and an orphan
    hangs on nothing.
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
    """The agent itself: the leader and, where that is a sandbox with a PID namespace, the first
    process in there, to which orphans are given, and the CLI."""
    first = next((pid for pid in _children(leader_pid) if _begins_namespace(pid)), None)
    inside = [] if first is None else [first, *_children(first)[:1]]
    return [leader_pid, *inside]


def _children(pid: int) -> list[int]:
    """The oldest first; none where the system does not tell (proc(5), `children`)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _begins_namespace(pid: int) -> bool:
    """Whether it is number 1 to itself, and another to us (proc(5), `NSpid`)."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            named = next((line for line in file if line.startswith(b"NSpid:")), b"")
    except OSError:
        return False
    numbers = named.split()[1:]
    return len(numbers) > 1 and numbers[-1] == b"1"


def _branch(pid: int, own: list[int]) -> int | None:
    """The child of the CLI that a process is, or descends from; None where it is neither."""
    parent = _parent(pid)
    for _ in range(GENERATIONS_MAX):
        if parent == own[-1]:
            return pid
        if parent <= 1 or parent in own:
            return None
        pid = parent
        try:
            parent = _parent(pid)
        except (OSError, psutil.Error):  # it has gone meanwhile: an orphan, which its mark tells
            return None
    return None


def _parent(pid: int) -> int:
    """Read here: psutil's parents() looks ten times at each ancestor, and this is in the way of
    every turn's end (bench/agent.py). Raises OSError, psutil.Error."""
    if not _HAS_PROC:
        return psutil.Process(pid).ppid()
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


class Census:
    """Which processes are new since the last look, without reading every one of them: a look costs
    a fraction of a millisecond, where reading all environments takes many."""

    def __init__(self) -> None:
        self._look()
        self.settle()

    def _look(self) -> None:
        # In this order: a number that is given in between counts as new.
        self._newest_seen = _newest_pid()
        self._seen = psutil.pids()

    def settle(self) -> None:
        """What the last look saw is known, and no more than that."""
        self._newest_pid = self._newest_seen
        self._known = frozenset(self._seen)

    def newcomers(self) -> list[int]:
        """All, where numbers may have been given again since the last look."""
        self._look()
        newest, before = self._newest_seen, self._newest_pid
        if newest is None or before is None or newest < before:
            return self._seen
        return [pid for pid in self._seen if pid not in self._known]


def _newest_pid() -> int | None:
    """The number that was given last; None where the system does not tell (not Linux)."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def in_session(session_id: int) -> list[psutil.Process]:
    """Every process of a session (POSIX): an agent's is led by its own pid."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session_id:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return found


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie is gone: only its parent has not looked yet.

    psutil compares the start time, so a pid that was given again is not taken for the old one.
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
    """SIGKILL to each; one that is gone already is a success."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        except psutil.Error as error:
            logger.error("cannot end process %d: %s", process.pid, error)


def end_strays(prefix: str, timeout_s: float) -> int:
    """Ends every process whose mark begins so; how many there were. It looks again until nothing is
    found: one may have started another meanwhile, which shows no mark in the middle of its exec.
    Waits a bounded time."""
    ended: set[int] = set()
    without_mark: set[int] = set()
    for _ in range(STRAY_LOOKS_MAX):
        look = look_for(prefix)
        strays = look.found
        if not strays:
            if look.unreadable <= without_mark and not look.fleeting:
                return len(ended)
            without_mark = look.unreadable  # what stays so has none, or has wiped it
            time.sleep(EXEC_PAUSE_S)
            continue
        kill(strays)
        ended |= {process.pid for process in strays}
        psutil.wait_procs(strays, timeout=timeout_s / STRAY_LOOKS_MAX)
    if still := look_for(prefix).found:
        logger.error("processes that do not end: %s", [process.pid for process in still])
    return len(ended)
