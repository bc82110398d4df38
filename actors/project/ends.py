"""Ends of executions in the log. Until one is durable the metadata counts its execution as open,
so that a crash in between finds it."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.project.run_queue import Execution
from protocol.updates import ExecutionFinished, Outcome, PermissionResolved, UpdateType
from storage.errors import StorageError

logger = logging.getLogger("claudehub.project")


class Ends:
    """For the Project's thread only. `open_elsewhere`: numbers before what else is open."""

    def __init__(
        self,
        ledger: ProjectLog,
        feed: Feed,
        name: str,
        open_elsewhere: Callable[[], Iterable[int | None]],
    ) -> None:
        self._ledger = ledger
        self._feed = feed
        self._name = name
        self._open_elsewhere = open_elsewhere
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
            self.save_soon()

        self._ledger.journal.log(
            UpdateType.EXECUTION_FINISHED, data, on_stored=stored, about=execution_id
        )

    def forget(self, execution_id: str) -> None:
        self._since.pop(execution_id, None)

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of everything without a durable end: executions, those
        of the queue included, and questions; None where there is none."""
        opened = [since for since in self._open_elsewhere() if since is not None]
        return min([*self._since.values(), *opened], default=None)

    def save_soon(self) -> None:
        """Once what waits to be written is: four flushes, which nobody who waits for that must
        wait for."""
        self._feed.afterwards(self.save)

    def save(self) -> None:
        """A failure is no reason to lose an end: it is said, and the next save has it all."""
        try:
            self._ledger.save_with(busy_since_seq=self.open_since_seq)
        except StorageError as error:
            logger.error("%s: %s", self._name, error)
