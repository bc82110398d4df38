"""Ending processes: SIGTERM to whole groups, a moment to clean up, then SIGKILL.

A signal needs no descriptor: the processes come from a look of a moment ago, so their pids are not
looked at again.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable

import psutil

from actors.process_tree import tree
from actors.process_tree.tree import Look
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.executor")

# What a process gets between SIGTERM and SIGKILL: to remove a lock, to finish a file.
TERM_S = 1.0
# After SIGKILL one looks that long for what is new.
KILL_S = 1.0
# The pause between two looks; a process in the middle of an exec is through by then.
LOOK_PAUSE_S = 0.05
UNSURE_LOOKS_MAX = 4
# Where a look fails, for example without free descriptors, one tries again for that long.
FAILED_S = 10.0
TERM_LOOKS, KILL_LOOKS, FAILED_LOOKS_MAX = (
    round(seconds / LOOK_PAUSE_S) for seconds in (TERM_S, KILL_S, FAILED_S)
)


class Ending:
    """One end of what is left, look after look, LOOK_PAUSE_S apart.

    `patience_s`: the CLI ends its own children itself, so what is below it is left alone for that
    long. Then it gets the same as the others.
    """

    def __init__(self, patience_s: float = 0.0) -> None:
        self._patience_looks = round(patience_s / LOOK_PAUSE_S)
        self._kill_from = self._patience_looks + TERM_LOOKS
        self.looks_max = self._kill_from + KILL_LOOKS
        self._looks = self._failed = 0
        self._unsure = 0
        self._unreadable: set[int] = set()
        self._told: dict[int, int] = {}
        self._told_groups: dict[int, int] = {}

    def go_on(self, look: Look) -> bool:
        """Signal what is due; return True if one must look once more.

        That is so if something was found, if the look failed, or if a process could not be read: it
        may be one that is just starting. (One that has cleared its environment stays unreadable.)
        """
        self._looks += 1
        if look.failed and self._failed < FAILED_LOOKS_MAX:
            self._failed += 1
        if self._spent() >= self.looks_max:
            if look.found or look.failed:
                kill(look.found)  # whatever came since must not be the one that stays
                pids = [process.pid for process in look.found]
                logger.error("processes do not end, or cannot be listed", pids=pids)
            return False
        if look.found or look.failed:
            self._signal(look)
            return True
        is_unsure = bool(look.unreadable - self._unreadable) or look.fleeting
        self._unreadable |= look.unreadable
        self._unsure += is_unsure
        return is_unsure and self._unsure <= UNSURE_LOOKS_MAX

    def _spent(self) -> int:
        """Return how many looks count: one that failed takes nothing of a process's time."""
        return self._looks - self._failed

    def _signal(self, look: Look) -> None:
        new, late = [], []
        for process in look.found:
            told_at = self._told_at(process.pid)
            if told_at is not None or self._spent() > self._kill_from:
                if told_at is None or self._looks - told_at >= TERM_LOOKS:
                    late.append(process)
            elif self._spent() > self._patience_looks or process.pid not in look.below:
                new.append(process)
        if late:
            logger.info("SIGKILL to what is left", pids=[process.pid for process in late])
            kill(late)
        if new:
            self._told |= {process.pid: self._looks for process in new}
            self._told_groups |= dict.fromkeys(send(new, signal.SIGTERM), self._looks)

    def _told_at(self, pid: int) -> int | None:
        """Return in which look a process got SIGTERM. What a group has started since is how it
        cleans up: it gets no signal of its own, and not more time."""
        told_at = self._told.get(pid)
        if told_at is None and (group := _group_of(pid)) is not None:
            return self._told_groups.get(group)
        return told_at


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> set[int]:
    """Send a signal to each, and to a process group at once if it has no other members; return
    these groups. A process that is gone already is a success."""
    pids = {process.pid for process in processes} - {0, 1, os.getpid()}
    groups = {group for group in _whole_groups(pids) if _sent(os.killpg, group, number)}
    for pid in pids:
        if _group_of(pid) not in groups:
            _sent(os.kill, pid, number)
    return groups


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to each."""
    send(processes, signal.SIGKILL)


def _whole_groups(pids: set[int]) -> set[int]:
    """Return the groups that consist of these processes only."""
    wanted = {group for pid in pids if (group := _group_of(pid)) is not None}
    try:
        others = {_group_of(pid) for pid in psutil.pids() if pid not in pids}
    except OSError:  # no descriptors are left
        return set()
    return wanted - others - {0, 1, os.getpgrp()}


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _sent(send_to: Callable[[int, int], None], target: int, number: int) -> bool:
    try:
        send_to(target, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        logger.error("a process cannot be ended", pid=target, error=error)
        return False
    return True


def end_strays(prefix: str, *, strangers: bool = False) -> int:
    """End every process whose mark begins so; return how many there were. Wait a bounded time.
    `strangers`: see tree.look_for."""
    ended: set[int] = set()
    ending = Ending()
    while ending.go_on(look := tree.look_for(prefix, strangers=strangers)):
        ended |= {process.pid for process in look.found}
        time.sleep(LOOK_PAUSE_S)
    return len(ended)
