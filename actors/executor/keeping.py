"""A process between two turns: announced as idle, and given its time (WARM_IDLE)."""

import logging

from actors import messages
from actors.executor.reports import Reports
from actors.executor.settings import ExecutorSettings
from actors.executor.states import State
from actors.executor.worker import Worker
from actors.messages import Ref
from actors.runtime.clock import Timers

logger = logging.getLogger("claudehub.executor")


class Keeping:
    """For the Executor's thread only."""

    def __init__(
        self, *, owner: Ref, name: str, settings: ExecutorSettings, timers: Timers, reports: Reports
    ) -> None:
        self._owner = owner
        self._name = name
        self._settings = settings
        self._timers = timers
        self._reports = reports

    def keep(self, worker: Worker) -> None:
        """One with live tasks is not idle. Where none is kept (WARM_SESSIONS=0) this is about one
        whose background work has ended: its last turn may still come."""
        if worker.state is not State.IDLE or worker.has_tasks:
            return
        process, settings = worker.process, self._settings
        if settings.keeps_warm:
            size_bytes = process.memory_bytes()
            logger.info("%s: process %d kept, %d MiB", self._name, process.pid, size_bytes >> 20)
            self._reports.tell(
                messages.ProcessChanged(pid=process.pid, is_idle=True, memory_bytes=size_bytes)
            )
        idle_s = settings.warm_idle_s if settings.keeps_warm else settings.kill_grace_s
        due = messages._IdleDue(process_name=process.process_name, turns=worker.turns)
        self._timers.after(idle_s, self._owner, due)

    def has_idled(self, worker: Worker, message: messages._IdleDue) -> bool:
        """A timer of before a later turn is void."""
        is_its = worker.process.process_name == message.process_name
        return is_its and worker.turns == message.turns
