"""Append, make durable, acknowledge, broadcast: in that order, one batch at a time.

The Project's, in its thread. It holds the subscribers and knows whether the log can be written.
"""

import logging
from collections.abc import Callable

from actors import messages
from actors.feed.project_log import ProjectLog
from actors.messages import Ref
from actors.ports import Subscriber
from actors.runtime.clock import Clock, Timers, timestamp
from protocol.updates import Data, UpdateType
from storage.errors import LogStopped, StorageError
from storage.layout import DataLayout, free_bytes
from storage.log_state import SyncPolicy

logger = logging.getLogger("claudehub.project")

STORAGE_RETRY_S = 1.0
SYNC_INTERVAL_S = 1.0
# A full disk counts as mended when so much is free again and nothing waits to be written.
ROOM_AGAIN_BYTES = 1024 * 1024


class Feed:
    """`problem` says why the log cannot be written; `changed` is called when that changes, and
    `stored` when all that was pending is durable."""

    def __init__(
        self,
        *,
        project: Ref,
        ledger: ProjectLog,
        layout: DataLayout,
        sync: SyncPolicy,
        clock: Clock,
        timers: Timers,
        changed: Callable[[], None],
        stored: Callable[[], None],
    ) -> None:
        self.subscribers: dict[str, Subscriber] = {}
        self.problem: str | None = None
        self._project = project
        self._ledger = ledger
        self._layout = layout
        self._sync = sync
        self._clock = clock
        self._timers = timers
        self._changed = changed
        self._stored = stored
        self._afterwards: list[Callable[[], None]] = []
        self._flush_told = False
        self._sync_due = False
        self._retry_due = False

    def stamp(self) -> str:
        return timestamp(self._clock.now())

    def flush_soon(self) -> None:
        """One flush for all that is gathered before its turn comes: group commit, without a
        delay when idle."""
        if not self._flush_told:
            self._flush_told = True
            self._project.tell(messages._FlushJournal())

    def on_flush_due(self) -> None:
        self._flush_told = False
        self.flush()

    def flush(self) -> None:
        """Writes what is pending; where that fails, what was not accepted yet is refused and the
        rest waits, and the agent's pipe with it."""
        if not self._ledger.journal.has_pending:
            return
        proves_the_log = self._ledger.journal.has_pending_records
        try:
            last_seq = self._ledger.write(self.stamp())
        except StorageError as error:
            self._failed(error)
            return
        if proves_the_log:
            self._set_problem(None)
        # Same turn: on one machine what the log has flushed may be acknowledged and shown.
        log_id = self._ledger.bounds.log_id
        self.on_durable(messages.Durable(log_id=log_id, last_seq=last_seq))
        self._stored()
        if self._sync is SyncPolicy.INTERVAL and not self._sync_due:
            self._sync_due = True
            self._timers.after(SYNC_INTERVAL_S, self._project, messages._SyncDue())

    def on_durable(self, message: messages.Durable) -> None:
        """Nobody is told of, or shown, what lies behind that number."""
        self._deliver(message)
        afterwards, self._afterwards = self._afterwards, []
        for act in afterwards:
            act()

    def afterwards(self, act: Callable[[], None]) -> None:
        """For a callback of what is stored: once that has been shown, in the same turn."""
        self._afterwards.append(act)

    def _deliver(self, message: messages.Durable) -> None:
        released = self._ledger.journal.release(
            message.log_id, message.last_seq, framed=bool(self.subscribers)
        )
        for batch, stored in released:
            for acknowledge in stored:
                acknowledge()
            if batch is not None:
                for subscriber in self.subscribers.values():
                    subscriber.offer(batch)

    def announce(self, update_type: UpdateType, data: Data) -> None:
        """An update that is not stored and not dropped. While the log cannot be written it goes
        out at once: behind what waits for the log it would come when all is well again."""
        journal = self._ledger.journal
        if self.problem is None:
            journal.announce(update_type, data, is_kept=True)
            self.flush_soon()
        else:
            self.send_at_once(update_type, data)

    def send_at_once(self, update_type: UpdateType, data: Data, *, is_final: bool = False) -> None:
        """An update that waits for nothing."""
        batch = self._ledger.journal.at_once(
            update_type,
            data,
            timestamp=self.stamp(),
            log_id=self._ledger.bounds.log_id,
            is_final=is_final,
        )
        for subscriber in self.subscribers.values():
            subscriber.offer(batch)

    def on_retry_due(self) -> None:
        self._retry_due = False
        try:
            self._ledger.reopen(self.stamp())
        except StorageError as error:
            self._failed(error)
            return
        if self._ledger.journal.has_pending_records:
            self.flush()
        elif self.problem is not None:
            if self._has_room():
                self._set_problem(None)
            else:
                self._retry_later()

    def on_sync_due(self) -> None:
        """LOG_SYNC=interval."""
        self._sync_due = False
        try:
            self._ledger.sync()
        except StorageError as error:
            self._failed(error)

    def notice_stop(self) -> None:
        """A flush may have failed where nothing was being written: a checkpoint, metadata."""
        if self._ledger.is_stopped and self.problem is None:
            self._failed(LogStopped("the log has stopped after a failed flush"))

    def roll_if_older(self, created_before: str) -> None:
        """By age, from the Rotator."""
        try:
            self._ledger.roll_if_older(created_before)
        except StorageError as error:
            self._failed(error)

    def _failed(self, error: StorageError) -> None:
        logger.error("%s: %s", self._ledger.meta.project_id, error)
        self._ledger.journal.refuse_pending()
        self._set_problem(str(error))
        self._retry_later()

    def _retry_later(self) -> None:
        if not self._retry_due:
            self._retry_due = True
            self._timers.after(STORAGE_RETRY_S, self._project, messages._RetryStorage())

    def _set_problem(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self._changed()

    def _has_room(self) -> bool:
        try:
            return free_bytes(self._layout.root) >= ROOM_AGAIN_BYTES
        except OSError:
            return False
