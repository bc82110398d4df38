"""What an agent's process has started: its descendants, what carries its number or its mark, and
orphans that carry nothing.

The number (kernel_mark.py) is the first net. Each other way alone misses some: a double fork leaves
the agent's tree, a child that starts between the look and the signal is not noted, a process may
clear its environment or begin a session of its own. A look raises nothing: where the system lacks
descriptors or memory it has `failed`, and is repeated.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import psutil

from actors.process_tree import children, kernel_mark

MARK = "CLAUDEHUB_PROCESS_ID"
GENERATIONS_MAX = 64
# A machine where processes start all the time must not keep a look from ending.
LISTINGS_MAX = 16
_LACK = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
_HAS_PROC = os.path.exists("/proc/self/stat")


def mark_of(data_id: str, process_name: str) -> str:
    """Return the value of MARK for one process of one data folder."""
    return f"{data_id}:{process_name}"


def descendants(leader: psutil.Process) -> list[psutil.Process]:
    """Return every process below `leader`; none once it is gone."""
    try:
        return leader.children(recursive=True)
    except (psutil.Error, OSError):
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
    """What one look has found that still runs. `below`: the pids of those that the CLI is still an
    ancestor of. `unreadable` are processes whose environment read as empty: in the middle of an
    exec (they carry the mark a moment later), or cleared. `fleeting`: a process was found and is
    gone, perhaps leaving a child. `failed`: the system lacked what the look needs."""

    found: list[psutil.Process] = field(default_factory=list)
    below: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    fleeting: bool = False
    failed: bool = False

    def listed(self, listing: Callable[[], Iterable[int]]) -> Iterator[list[int]]:
        """Yield the rounds of a listing."""
        try:
            yield from rounds(listing)
        except OSError:
            self.failed = True

    def add(self, pid: int) -> None:
        """Note a process. A zombie keeps its number until it is reaped, and has lost its children:
        the next round lists them."""
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                self.found.append(process)
        except (psutil.Error, OSError) as error:
            self._note(error)

    def mark_of(self, pid: int) -> str:
        """Read a mark, once: a process that is readable now may be in an exec a moment later."""
        try:
            process = psutil.Process(pid)
            seen = process.environ()
            # A number shows during an exec, too.
            if not (seen or kernel_mark.works()) and process.status() != psutil.STATUS_ZOMBIE:
                self.unreadable.add(pid)
        except (psutil.Error, OSError) as error:
            self._note(error)
            return ""
        return str(seen.get(MARK, ""))

    def still(self, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """Return the processes that still run. A zombie is gone: only its parent has not looked
        yet. psutil compares the start time, so a reused pid is not taken for the old process."""
        running = []
        for process in processes:
            try:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    running.append(process)
            except (psutil.Error, OSError) as error:
                self._note(error)
        return running

    def close(self) -> "Look":
        """End the look."""
        running = self.still(self.found)
        self.fleeting = len(running) < len(self.found)
        self.found = running
        return self

    def _note(self, error: Exception) -> None:
        self.failed = self.failed or (isinstance(error, OSError) and error.errno in _LACK)


def look_for(prefix: str, *, strangers: bool = False) -> Look:
    """Return every visible process whose number or MARK begins with `prefix`, but for this one.
    With `strangers` also children of this process that nobody has started here and nothing marks
    (children.keeps_strangers)."""
    look = Look()
    for pids in look.listed(psutil.pids):
        for pid in pids:
            if pid != os.getpid() and _belongs(look, pid, prefix, strangers=strangers):
                look.add(pid)
    return look.close()


def left_by_turn(newcomers: Callable[[], Iterable[int]], own: list[int], mark: str) -> Look:
    """Return what a turn has left behind: new processes that carry its number or mark or descend
    from the CLI, and are not part of the CLI. `own` comes from `own_of`.

    The CLI's helpers (MCP servers, and what those have started) are below a child that shares its
    session. Each Bash command has a session of its own (observed with both versions), and an orphan
    has no parent here.
    """
    look = Look()
    for pids in look.listed(newcomers):
        for pid in pids:
            try:
                branch = pid if pid in own else _branch(pid, own)
                if branch is not None and os.getsid(branch) == own[0]:
                    continue
            except (psutil.Error, OSError) as error:
                look._note(error)
                continue
            if branch is not None:
                look.below.add(pid)
                look.add(pid)
            elif _belongs(look, pid, mark, strangers=True):
                look.add(pid)
    return look.close()


def left_by_process(
    newcomers: Callable[[], Iterable[int]],
    noted: Iterable[psutil.Process],
    leader_pid: int,
    mark: str,
) -> Look:
    """Return what a process that has ended has left behind: what carries its number or mark, what
    was noted below it, and what is in its session."""
    look = look_for(mark, strangers=True)
    known = {process.pid: process for process in look.still([*noted, *in_session(leader_pid)])}
    # The look's findings are not checked again: a process that is gone since may have left a child.
    look.found = list((known | {process.pid: process for process in look.found}).values())
    try:
        look.unreadable &= set(newcomers())
    except OSError:
        look.failed = True
    return look


def _belongs(look: Look, pid: int, prefix: str, *, strangers: bool) -> bool:
    """Return True if a process carries the number or mark, or is a stranger: an orphan that came to
    this process with nothing that says whose it is. What another agent of this data folder has
    started is no stranger."""
    number = kernel_mark.read(pid)
    if number is not None and number in kernel_mark.numbers_of(prefix):
        return True
    mark = look.mark_of(pid) if number is None else ""
    if number is None and mark.startswith(prefix):
        return True
    if not (strangers and children.keeps_strangers()):
        return False
    data = prefix.partition(":")[0] + ":"
    if mark.startswith(data) or (number is not None and number in kernel_mark.numbers_of(data)):
        return False
    try:
        return _parent(pid) == os.getpid() and pid not in children.own()
    except (OSError, psutil.Error):
        return False


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


def in_session(session_id: int) -> list[psutil.Process]:
    """Return every process of a POSIX session; an agent's session has the pid of its leader."""
    found: list[psutil.Process] = []
    try:
        pids = psutil.pids()
    except OSError:
        return found
    for pid in pids:
        try:
            if os.getsid(pid) == session_id:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue
    return found
