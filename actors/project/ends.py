"""Ends of executions in the log. Until one is durable the metadata counts its execution as open,
so that a crash in between finds it."""

import logging
from typing import Any

from actors.project.ledger import Ledger
from actors.project.publisher import Publisher
from actors.project.run_queue import Execution, RunQueue
from protocol.updates import ExecutionFinished, Outcome, PermissionResolved, UpdateType
from storage.errors import StorageError

logger = logging.getLogger("claudehub.project")


class Ends:
    """For the Project's thread only."""

    def __init__(self, ledger: Ledger, publisher: Publisher, name: str, queue: RunQueue) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._name = name
        self._queue = queue
        self._since: dict[str, int] = {}  # by execution, a number before its first record

    def log(self, execution: Execution, outcome: Outcome, **facts: Any) -> None:
        data = ExecutionFinished(
            execution_id=execution.execution_id,
            outcome=outcome,
            session_id=execution.session_id,
            **facts,
        )
        self._log(data, execution.prompt_seq_before)

    def log_lost(self, execution_id: str) -> None:
        """One of before a crash of the server."""
        meta = self._ledger.meta
        data = ExecutionFinished(
            execution_id=execution_id, outcome=Outcome.LOST, session_id=meta.session_id
        )
        self._log(data, meta.busy_since_seq or 0)

    def log_unanswered(self, permission_id: str, execution_id: str | None) -> None:
        """A question of before a crash of the server."""
        data = PermissionResolved(
            permission_id=permission_id, decision="deny", by="execution_finished"
        )
        self._ledger.journal.log(UpdateType.PERMISSION_RESOLVED, data, execution_id=execution_id)

    def _log(self, data: ExecutionFinished, seq_before: int) -> None:
        execution_id = data.execution_id
        self._since[execution_id] = seq_before

        def stored() -> None:
            self.forget(execution_id)
            # Four flushes, which nobody who waits for the end must wait for.
            self._publisher.afterwards(self.save)

        self._ledger.journal.log(
            UpdateType.EXECUTION_FINISHED, data, on_stored=stored, about=execution_id
        )

    def forget(self, execution_id: str) -> None:
        self._since.pop(execution_id, None)

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of every execution without a durable end, those of
        the queue included; None where there is none."""
        queued = self._queue.open_since_seq
        opened = [] if queued is None else [queued]
        return min([*self._since.values(), *opened], default=None)

    def save(self) -> None:
        """A failure is no reason to lose an end: it is said, and the next save has it all."""
        try:
            self._ledger.save_with(busy_since_seq=self.open_since_seq)
        except StorageError as error:
            logger.error("%s: %s", self._name, error)
