"""A project's log and its metadata, kept in step."""

import logging
from collections.abc import Sequence
from typing import Any

from actors.feed.batches import Journal
from actors.feed.damage import Damage
from actors.feed.open_records import LeftOpen, find_open
from storage.errors import StorageError, from_os_error
from storage.layout import DataLayout
from storage.log_reader import LogReader
from storage.message_log import Bounds, LogSettings, MessageLog, open_log
from storage.pages import MissingRecords
from storage.projects import ProjectMeta, ProjectStore
from storage.request_keys import KeyedExecution, RequestKeyFile
from storage.retention import RetentionRules, trim_seq
from storage.segments import Compression

logger = logging.getLogger("claudehub.project")


class ProjectLog:
    """Opened by `open`; every call that touches the disk raises StorageError."""

    def __init__(self, store: ProjectStore, meta: ProjectMeta, log: MessageLog) -> None:
        self._store = store
        self._log = log
        # A clean stop leaves nothing to be saved at the start, and a hundred projects start at
        # once; but before the first record the metadata must say that this is no longer clean.
        self._says_clean = meta.log is not None and meta.log.clean is not None
        known = [MissingRecords(first, last) for first, last in log.state.missing]
        self.damage = Damage(known, log.found)
        log.note_missing(self.damage.holes)
        self.meta = meta
        self.journal = Journal(meta.project_id)
        self._keys = RequestKeyFile(store.folder(meta.project_id))
        self.keyed: list[KeyedExecution] = []

    @classmethod
    def open(
        cls, layout: DataLayout, settings: LogSettings, meta: ProjectMeta
    ) -> tuple["ProjectLog", LeftOpen]:
        """Recovers the log, and finds what a crash has left open."""
        log = open_log(layout.log(meta.project_id), settings, meta.log)
        ledger = cls(ProjectStore(layout), meta, log)
        ledger._report_opening()
        ledger.keyed = ledger._keys.load()
        if log.found.was_clean and meta.log is not None and meta.log.log_id == log.state.log_id:
            return ledger, LeftOpen()
        start, left_open = (0, LeftOpen()) if log.found.was_clean else ledger._find_open()
        for run in left_open.keyed:
            ledger.note_key(run)
        ledger.keyed += left_open.keyed
        # Kept until their ends are durable: this start may crash as well.
        ledger.change(busy_since_seq=start if left_open.executions or left_open.questions else None)
        ledger._save_opened(meta)
        return ledger, left_open

    def _report_opening(self) -> None:
        torn = self._log.found.torn
        if torn is not None:
            logger.warning(
                "project %s: %d bytes behind the last whole record of %s (at %d) were set aside "
                "as %s",
                self.meta.project_id,
                torn.size_bytes,
                torn.segment,
                torn.offset_bytes,
                torn.kept_as,
            )
        if self.meta.log is None and self._log.found.segments:
            logger.warning(
                "project %s: its metadata was lost, so its log has a new id", self.meta.project_id
            )
        if (problem := self.damage_problem) is not None:
            logger.error("project %s: %s", self.meta.project_id, problem)

    def _save_opened(self, before: ProjectMeta) -> None:
        """A full disk does not keep a project from being read: the marks that stay are not
        trusted once the files have grown. But a new log_id must be kept before it is told."""
        try:
            self.save()
        except StorageError as error:
            if before.log is None or before.log.log_id != self.bounds.log_id:
                raise
            logger.error("project %s: %s", before.project_id, error)

    @property
    def bounds(self) -> Bounds:
        return self._log.bounds()

    @property
    def damage_problem(self) -> str | None:
        """For people; what retention has taken counts no more."""
        return self.damage.problem(self._log.state.first_seq)

    def note_damage(self, missing: Sequence[MissingRecords]) -> bool:
        """Whether something new is among it; kept with the next metadata."""
        if not self.damage.note(missing, self.bounds.first_seq):
            return False
        self._log.note_missing(self.damage.holes)
        return True

    @property
    def is_stopped(self) -> bool:
        """After a failed flush."""
        return self._log.is_stopped

    def reader(self) -> LogReader:
        return self._log.reader()

    def write(self, timestamp: str) -> int:
        """Appends the journal; up to which number the log is durable."""
        if self._says_clean:
            self.save()
        return self.journal.write(self._log, timestamp)

    def note_progress(self, open_since_seq: int | None) -> None:
        """Keeps the recovery point near the end of the log. A failure costs only time, at the
        next start."""
        if not self._log.wants_checkpoint:
            return
        try:
            self.save_with(busy_since_seq=open_since_seq)
        except StorageError as error:
            logger.error("project %s: %s", self.meta.project_id, error)

    def change(self, **fields: Any) -> None:
        """New metadata, in memory."""
        self.meta = self.meta.model_copy(update=fields)

    def note_key(self, run: KeyedExecution) -> None:
        """Kept with the next save: until then the log behind the recovery point has it."""
        self._keys.note(run)

    def save(self) -> None:
        """The metadata, durable, with how far the log is."""
        self._keys.save()
        self.change(log=self._log.note_checkpoint())
        self._store.save(self.meta)
        self._says_clean = False

    def save_with(self, **fields: Any) -> None:
        self.change(**fields)
        self.save()

    def sync(self) -> None:
        self._log.sync()

    def roll_if_older(self, created_before: str) -> None:
        """By age: `created_before` as in a segment's name."""
        if self._log.created and self._log.created < created_before:
            self._log.roll()

    def reopen(self, timestamp: str) -> None:
        """Where a failed flush has stopped the log."""
        self._log.reopen(timestamp)

    def retain(self, rules: RetentionRules, keep_from_seq: int | None) -> None:
        """Deletes closed segments; nothing from `keep_from_seq` on."""
        try:
            seq = trim_seq(self._log, rules, keep_from_seq)
        except OSError as error:
            raise from_os_error(error, "looking for segments to delete") from error
        if seq is None:
            return
        # In this order: a file that is gone and was not announced is taken for a loss.
        self.change(log=self._log.note_trim(seq))
        self._store.save(self.meta)
        bounds = self._log.trim_before(seq)
        logger.info("project %s: its log begins at %d now", self.meta.project_id, bounds.first_seq)

    def take_compressed(self, name: str, compression: Compression) -> None:
        """Exchanges a closed segment for its compressed form."""
        if self._log.take_compressed(name, compression):
            logger.info("project %s: %s is compressed", self.meta.project_id, name)

    def close(self, timestamp: str) -> None:
        """Flushes, closes, and notes that this stop was clean; but where something could not be
        written it was not, and the next start looks for what is missing."""
        if self.journal.has_pending_records:
            self.abandon()
            return
        before = self.meta
        try:
            self._keys.save()
            self.change(log=self._log.close(timestamp), busy_since_seq=None)
            if self.meta != before:
                self._store.save(self.meta)
        except StorageError as error:
            logger.error("project %s: closing: %s", self.meta.project_id, error)

    def abandon(self) -> None:
        """Gives the file back without a word, after a failure."""
        self._log.abandon()

    def _find_open(self) -> tuple[int, LeftOpen]:
        """From the recovery point, or from the oldest prompt that was open then: from where, and
        what is open."""
        last_seq = self.bounds.last_seq
        state = self.meta.log
        known = state.checkpoint.last_seq if state and state.checkpoint else None
        if known is None:  # the metadata was lost: as far back as the recovery has read
            segments = self._log.found.segments
            known = segments[-1].first_seq - 1 if segments else 0
        start = min(n for n in (known, self.meta.busy_since_seq, last_seq) if n is not None)
        try:
            return start, find_open(self.reader(), start, last_seq)
        except OSError as error:
            raise from_os_error(error, f"reading the log of {self.meta.project_id}") from error
