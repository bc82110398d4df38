"""One project's stream of updates: gather, append, make durable, acknowledge, broadcast.

Only the Project's thread uses the feed. The feed schedules its own flush, so a caller that logs
something need not ask for one. It knows the subscribers, the log's failures, and what is open.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from actors import messages
from actors.feed.audiences import Audiences
from actors.feed.batches import Callback, Entry, give_up
from actors.feed.open_records import Opens
from actors.feed.project_log import ProjectLog
from actors.metrics.project_counts import ProjectCounts
from actors.ports import Subscriber
from actors.runtime.clock import Clock, Timers, timestamp
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol import codec
from protocol.claude import AgentLine
from protocol.dialect import Update
from protocol.updates import Data, Prompt, UpdateType
from storage.disk import free_bytes
from storage.errors import LogStopped, StorageError
from storage.log_state import SyncPolicy

logger = get_logger("claudehub.project")

STORAGE_RETRY_S = 1.0
SYNC_INTERVAL_S = 1.0
# A full disk counts as mended when so much is free again and nothing waits to be written.
ROOM_AGAIN_BYTES = 1024 * 1024


class Feed:
    """`problem` says why the log cannot be written, or is None. `stored` is called after each batch
    that is durable and shown."""

    def __init__(
        self,
        *,
        project: Ref,
        log: ProjectLog,
        data_folder: Path,
        sync: SyncPolicy,
        clock: Clock,
        timers: Timers,
        stored: Callable[[], None],
        counts: ProjectCounts | None = None,
    ) -> None:
        self.problem: str | None = None
        self._project = project
        self._log = log
        self._data_folder = data_folder
        self._sync = sync
        self._clock = clock
        self._timers = timers
        self._stored = stored
        self._counts = counts
        self._audiences = Audiences()
        self._pending: list[Entry] = []
        self._behind: list[Callable[[], object]] = []
        self._is_between = False  # what was gathered is durable, and not all of it is shown
        self._flush_told = self._save_due = self._sync_due = self._retry_due = False

    # -- logging and announcing ----------------------------------------------------------------

    def log(
        self,
        update_type: UpdateType,
        data: Data | Prompt,
        *,
        execution_id: str | None = None,
        opens: Opens | None = None,
        closes: str | None = None,
        on_stored: Callback | None = None,
        on_refused: Callback | None = None,
    ) -> None:
        """Log an update; it gets a number. One of the callbacks comes with a later message.

        `opens` and `closes` say what the record begins and ends; see Entry.
        """
        if opens is not None:
            self._log.open.opened(opens, self._log.last_seq)
        self._gather(
            Entry(
                update_type,
                data,
                execution_id,
                is_logged=True,
                on_stored=on_stored,
                on_refused=on_refused,
                opens=opens,
                closes=closes,
            )
        )

    def log_lines(self, lines: Sequence[AgentLine], execution_id: str | None) -> None:
        """Log lines of the agent, in order. Partial output is shown and not stored."""
        for line in lines:
            assert line.update_type is not None
            stays = line.update_type is not UpdateType.CLAUDE_DELTA
            self._pending.append(Entry(line.update_type, line.data, execution_id, stays, stays))
        self._flush_soon()

    def announce(self, update_type: UpdateType, data: Data, *, is_kept: bool = True) -> None:
        """Show an update without storing it; without `is_kept` a slow client may lose it.

        While the log cannot be written it goes out at once: it would otherwise wait behind records
        that the log does not take.
        """
        entry = Entry(update_type, data, None, is_logged=False, is_kept=is_kept)
        if self.problem is None:
            self._gather(entry)
        else:
            self._send_at_once(entry, is_final=False)

    def announce_last(self, update_type: UpdateType, data: Data) -> None:
        """Show the last update of the project. Nothing that could be written waits any more."""
        entry = Entry(update_type, data, None, is_logged=False)
        self._send_at_once(entry, is_final=True)

    def save_soon(self) -> None:
        """Save the metadata behind the next batch: nobody who waits for an answer must wait for the
        four flushes that this takes."""
        self._save_due = True

    def save(self) -> bool:
        """Save the metadata now; return True if it is durable. A failure is logged; the next save
        has it all."""
        self._save_due = False
        try:
            self._log.save()
        except StorageError as error:
            logger.error("the metadata cannot be saved", error=error)
            self.notice_stop()
            return False
        return True

    def stamp(self) -> str:
        """Return the time as updates write it."""
        return timestamp(self._clock.now())

    def _gather(self, entry: Entry) -> None:
        self._pending.append(entry)
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Tell the project to flush. All that is gathered before that message's turn is one batch:
        group commit, without a delay when idle."""
        if not self._flush_told:
            self._flush_told = True
            self._project.tell(messages._FlushFeed())

    # -- subscribers -------------------------------------------------------------------------

    @property
    def subscriber_count(self) -> int:
        return self._audiences.subscriber_count

    @property
    def takes_questions(self) -> bool:
        """Return True if a subscriber can answer a question of the agent."""
        return self._audiences.takes_questions

    def subscribe(self, subscriber: Subscriber, position: int, project: Mapping[str, Any]) -> None:
        """Offer every batch from now on; the subscriber reads what lies behind `position`, up to
        now, by itself. `project` is the `project` object of now."""
        if (earlier := self._audiences.take_out(subscriber.id)) is not None:
            earlier.replaced()
        subscriber.register(position, self._log.last_seq)
        self._audiences.add(subscriber, project)

    def unsubscribe(self, subscriber_id: str) -> None:
        """Offer nothing more; asking again changes nothing."""
        if (subscriber := self._audiences.take_out(subscriber_id)) is not None:
            subscriber.left()

    def close_subscribers(self) -> None:
        """Tell all subscribers that the project failed."""
        for subscriber in self._audiences:
            subscriber.closed("the project failed; join again")

    # -- writing -----------------------------------------------------------------------------

    def on_flush_due(self) -> None:
        self._flush_told = False
        self._flush()

    def when_shown(self, callback: Callable[[], object]) -> None:
        """Call back once all that is gathered by now is shown: at once if nothing is."""
        if self._is_between or not self.is_written:
            self._behind.append(callback)
        else:
            callback()

    def _go_behind(self) -> None:
        self._is_between = False
        behind, self._behind = self._behind, []
        for callback in behind:
            callback()

    @property
    def is_written(self) -> bool:
        """Return True if nothing waits that could be written."""
        return not self._pending or self.problem is not None

    def _flush(self) -> None:
        """Write what waits, acknowledge it, show it.

        If the log does not take it, refuse what was not accepted yet; the rest waits, and
        the agent's pipe with it.
        """
        entries = self._pending
        if not entries:
            return
        are_logged = [entry.is_logged for entry in entries]
        # A prompt is durable before it is acknowledged, under LOG_SYNC=interval too.
        must_sync = any([entry.on_refused is not None for entry in entries])
        stamp = self.stamp()
        encoded = self._encoded(entries)
        lines: list[bytes] = []
        if any(are_logged):
            records = list(compress(encoded, are_logged))
            try:
                lines = self._log.append(records, stamp, must_sync=must_sync)
            except StorageError as error:
                self._failed(error)
                return
            self.problem = None
            if self._counts is not None:
                self._counts.appended(lines)
        self._pending, self._is_between = [], True
        self._acknowledge(entries)
        if self._audiences:
            shown = _updates(entries, encoded, lines, stamp)
            self._show(entries, shown, self._log.last_seq if lines else None)
        self._go_behind()
        self._stored()
        if self._save_due or self._log.wants_checkpoint:
            self.save()
        if self._sync is SyncPolicy.INTERVAL:
            self._sync_later()

    def _acknowledge(self, entries: Sequence[Entry]) -> None:
        """Call what waits for the batch, before it is shown: an answer never waits for a thousand
        sockets. What a callback logs is of the next batch."""
        for entry in entries:
            if entry.closes is not None:
                self._log.open.closed(entry.closes)
            if entry.on_stored is not None:
                entry.on_stored()

    def _sync_later(self) -> None:
        if not self._sync_due:
            self._sync_due = True
            self._timers.after(SYNC_INTERVAL_S, self._project, messages._SyncDue())

    def _show(
        self,
        entries: Sequence[Entry],
        shown: Sequence[Update],
        last_seq: int | None,
        *,
        is_final: bool = False,
    ) -> None:
        self._audiences.show(shown, last_seq, is_final=is_final)
        if self._counts is not None:
            self._audiences.count(entries, self._counts)

    def _send_at_once(self, entry: Entry, *, is_final: bool) -> None:
        (body,) = self._encoded([entry])
        payload = codec.ephemeral_payload(self.stamp(), body)
        self._show([entry], [(payload, False, entry.is_kept)], None, is_final=is_final)

    def _encoded(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return each update without its number and time. It is encoded once: the bytes that the
        log stores are the bytes of every frame."""
        updates = [(entry.update_type, entry.data, entry.execution_id) for entry in entries]
        return codec.update_bodies(self._log.meta.project_id, updates)

    # -- failures ----------------------------------------------------------------------------

    def on_sync_due(self) -> None:
        """Flush the log to the device: LOG_SYNC=interval."""
        self._sync_due = False
        try:
            self._log.sync()
        except StorageError as error:
            self._failed(error)

    def on_retry_due(self) -> None:
        self._retry_due = False
        try:
            self._log.reopen(self.stamp())
        except StorageError as error:
            self._failed(error)
            return
        if any(entry.is_logged for entry in self._pending):
            self._flush()
        elif self.problem is not None:
            if self._has_room():
                self.problem = None
            else:
                self._retry_later()

    def roll_if_older(self, created_before: str) -> None:
        """Close the active segment if it began before that time."""
        try:
            self._log.roll_if_older(created_before)
        except StorageError as error:
            self._failed(error)

    def look(self) -> None:
        """Look whether the log's files are where they were, also where nothing is written."""
        if self.problem is not None:
            return  # the next try to go on finds it
        try:
            self._log.look(self.stamp())
        except StorageError as error:
            self._failed(error)

    def notice_stop(self) -> None:
        """Look at the log after a failure while no batch was being written: a flush for the
        metadata may have stopped it."""
        if self.problem is None and self._log.is_stopped:
            self._failed(LogStopped("the log has stopped after a failed flush"))

    def _failed(self, error: StorageError) -> None:
        logger.error("the log cannot be written", error=error)
        self.count_failure()
        refused, self._pending = give_up(self._pending)
        for entry in refused:
            if entry.opens is not None:
                self._log.open.closed(entry.opens.id)
        self.problem = str(error)
        for entry in refused:
            assert entry.on_refused is not None
            entry.on_refused()
        self._go_behind()
        self._retry_later()

    def count_failure(self) -> None:
        """Count a write, a flush or a read that has failed."""
        if self._counts is not None:
            self._counts.failed()

    def _retry_later(self) -> None:
        if not self._retry_due:
            self._retry_due = True
            self._timers.after(STORAGE_RETRY_S, self._project, messages._RetryStorage())

    def _has_room(self) -> bool:
        try:
            return free_bytes(self._data_folder) >= ROOM_AGAIN_BYTES
        except OSError:
            return False

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """Flush and close the log, and note that this stop was clean.

        With unwritten records it is not clean: the next start looks for what is missing.
        """
        if any(entry.is_logged for entry in self._pending):
            self._log.abandon()
        else:
            self._log.close(self.stamp())


def _updates(
    entries: Sequence[Entry], encoded: Sequence[bytes], lines: Sequence[bytes], stamp: str
) -> list[Update]:
    """Return a batch for its subscribers, in the order in which it was gathered.

    `encoded` has one item for each entry, `lines` a stored record for each entry that is logged.
    """
    stored = iter(lines)
    return [
        (next(stored), True, True)
        if entry.is_logged
        else (codec.ephemeral_payload(stamp, body), False, entry.is_kept)
        for entry, body in zip(entries, encoded, strict=True)
    ]
