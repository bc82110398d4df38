"""Ending one process and all that it started: ladder, sweep, drain. A plain class; its timers tell
the Executor, which hands them back."""

import logging
from typing import Any, Protocol

import psutil

from actors import messages
from actors.clock import Timers
from actors.executor import ending, family
from actors.executor.ending import EndReason, Ladder
from actors.messages import Ref

logger = logging.getLogger("claudehub.executor")

# What a process left behind is killed and looked at again, so often and so far apart.
SWEEPS_MAX = 40
SWEEP_PAUSE_S = 0.05
# After the process's end its pipe gets this long to end as well.
DRAIN_S = 1.0


class Endable(Protocol):
    """As much of an AgentProcess as is needed here."""

    @property
    def process_id(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def signal(self, number: int) -> None: ...

    def leftovers(self) -> list[psutil.Process]: ...

    def stop_output(self) -> None: ...


class Reaper:
    """`is_over` once the process, its descendants and its output are gone."""

    def __init__(
        self, process: Endable, *, owner: Ref, timers: Timers, kill_grace_s: float
    ) -> None:
        self._process = process
        self._owner = owner
        self._timers = timers
        self._kill_grace_s = kill_grace_s
        self._ladder: Ladder | None = None
        self._sweeps = 0
        self._swept = False
        self._output_ended = False
        self.return_code: int | None = None

    @property
    def reason(self) -> EndReason | None:
        """Why the process was ended, if it was."""
        return self._ladder.reason if self._ladder is not None else None

    @property
    def is_over(self) -> bool:
        return self._swept and self._output_ended

    def begin(self, reason: EndReason) -> None:
        """Sends the first signal; asking again, or for less, changes nothing."""
        ladder = ending.begin(self._ladder, reason)
        if ladder is None:
            return
        self._ladder = ladder  # noted also when the process is gone: nothing more shall run
        if self.return_code is None:
            self._climb(ladder)

    def expect_exit(self) -> None:
        """The turn is over and the process was asked to end: should it stay, the ladder follows."""
        if self._ladder is None:
            self._ladder = Ladder(EndReason.LINGERS, ending.FIRST_RUNG)
            self._grace(self._ladder)

    def on_rung_due(self, rung: int) -> None:
        """A timer of an earlier rung is void: a kill may have climbed meanwhile."""
        if self.return_code is None and self._ladder and self._ladder.next_rung == rung:
            self._climb(self._ladder)

    def on_exited(self, return_code: int) -> None:
        self.return_code = return_code
        self.sweep()

    def sweep(self) -> None:
        """Ends what the process left behind, before anything waits for the pipe: a grandchild may
        hold it open."""
        left = self._process.leftovers()
        if left and self._sweeps < SWEEPS_MAX:
            self._sweeps += 1
            family.kill(left)
            self._later(SWEEP_PAUSE_S, messages._SweepDue(process_id=self._process.process_id))
            return
        if left:
            logger.error("processes that do not end: %s", [p.pid for p in left])
        self._swept = True
        if not self._output_ended:
            self._later(DRAIN_S, messages._DrainDue(process_id=self._process.process_id))

    def on_drain_due(self) -> None:
        self._process.stop_output()

    def on_output_ended(self) -> None:
        self._output_ended = True

    def _climb(self, ladder: Ladder) -> None:
        number = ladder.signal_now()
        logger.info("%s to pid %d", number.name, self._process.pid)
        self._process.signal(number)
        self._ladder = ladder.climbed()
        self._grace(self._ladder)

    def _grace(self, ladder: Ladder) -> None:
        due = messages._RungDue(process_id=self._process.process_id, rung=ladder.next_rung)
        self._later(self._kill_grace_s, due)

    def _later(self, delay_s: float, message: Any) -> None:
        self._timers.after(delay_s, self._owner, message)
