"""What an agent's process has started: its descendants, and whatever carries its mark.

Each alone misses some: a double fork leaves the family, a child that was started between the look
and the signal is not noted, a process may wipe its environment or begin a session of its own.
"""

import logging
import os
from collections.abc import Iterable

import psutil

logger = logging.getLogger("claudehub.executor")

MARK = "CLAUDEHUB_PROCESS_ID"


def mark_of(data_id: str, process_id: str) -> str:
    """The value of MARK for one process of one data folder."""
    return f"{data_id}:{process_id}"


def descendants(leader: psutil.Process) -> list[psutil.Process]:
    """Every process below `leader` now; none once it is gone."""
    try:
        return leader.children(recursive=True)
    except psutil.Error:
        return []


def marked(prefix: str) -> list[psutil.Process]:
    """Every process whose MARK begins with `prefix`, as far as it can be seen."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(prefix):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


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


def end_strays(data_id: str, timeout_s: float) -> int:
    """Ends what an earlier server of this data folder left behind; how many there were.

    Called before the port opens, so it may wait.
    """
    strays = marked(f"{data_id}:")
    kill(strays)
    _, left = psutil.wait_procs(strays, timeout=timeout_s)
    if still := alive(left):
        logger.error("processes that do not end: %s", [process.pid for process in still])
    return len(strays)
