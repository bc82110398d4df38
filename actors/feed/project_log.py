"""A project's log and its metadata, kept in step.

The metadata says how far the log is flushed, since when something is open, and what is damaged. The
Feed writes through this class; others read `meta`, `bounds` and `reader`, and `change` metadata.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.feed.damage import Damage
from actors.feed.open_records import OpenRecords, read_open
from actors.runtime.logger import get_logger
from storage.errors import LogDisplaced, StorageError, from_os_error
from storage.layout import DataLayout
from storage.log_reader import LogReader
from storage.message_log import Bounds, LogSettings, open_log
from storage.pages import MissingRecords
from storage.projects import MetaFile, ProjectMeta
from storage.request_keys import KeyedExecution, RequestKeyFile
from storage.retention import RetentionRules, trim_seq
from storage.segments import Compression

logger = get_logger("claudehub.project")


class ProjectLog:
    """The constructor opens and recovers it. Every call that touches the disk raises StorageError.

    `open` is what has begun and has no durable end; right after the opening it is what a crash has
    cut off. `keyed` are the prompts with a request key. `last_seq` is the newest number.
    `damage_problem` is a text for people, or None; it leaves out what retention has deleted.
    `read_problem`: why readers fail, or None.
    `was_clean` and `torn_bytes` say what the opening has found. `wants_checkpoint`: save the
    metadata soon, so that a recovery need not read far.
    """

    def __init__(self, layout: DataLayout, settings: LogSettings, meta: ProjectMeta) -> None:
        self._layout = layout
        folder = layout.project(meta.project_id)
        self._meta_file = MetaFile(folder)
        self._log = open_log(layout.log(meta.project_id), settings, meta.log)
        try:
            self._begin(folder, meta)
        except BaseException:  # nobody has this object, so nobody else gives the file back
            self._log.abandon()
            raise

    def _begin(self, folder: Path, meta: ProjectMeta) -> None:
        log = self._log
        # A clean stop leaves nothing to be saved at the start, and a hundred projects start at
        # once; but before the first record the metadata must say that this is no longer clean.
        self._must_save = meta.log is not None and meta.log.clean is not None
        known = [MissingRecords(first, last) for first, last in log.state.missing]
        self._damage = Damage(known, log.found)
        log.note_missing(self._damage.holes)
        self.damage_problem = self._damage.problem(log.state.first_seq)
        self.read_problem: str | None = None
        self.meta = meta
        self._keys = RequestKeyFile(folder)
        self.last_seq = log.bounds().last_seq
        self.wants_checkpoint = False
        self.open = OpenRecords()
        self._report_opening()
        self.was_clean = log.found.was_clean
        self.torn_bytes = 0 if log.found.torn is None else log.found.torn.size_bytes
        self.keyed = self._keys.load()
        is_known = meta.log is not None and meta.log.log_id == log.state.log_id
        if not (log.found.was_clean and is_known):
            self._recover(meta)

    def _report_opening(self) -> None:
        torn = self._log.found.torn
        if torn is not None:
            logger.warning(
                "bytes behind the last whole record were set aside",
                size_bytes=torn.size_bytes,
                segment=torn.segment,
                offset_bytes=torn.offset_bytes,
                kept_as=torn.kept_as,
            )
        if self.meta.log is None and self._log.found.segments:
            logger.warning("the metadata was lost, so the log has a new id")
        if self.damage_problem is not None:
            logger.error("the log is damaged", problem=self.damage_problem)

    def _recover(self, before: ProjectMeta) -> None:
        """Find what a crash has left open, and save the metadata.

        A full disk does not keep a project from being read: the marks that stay on disk are not
        trusted once the files have grown. But a new log_id must be kept before anybody sees it.
        """
        if not self._log.found.was_clean:
            self.open, keyed = self._read_open()
            for run in keyed:
                self.note_key(run)
            self.keyed += keyed
        try:
            # What is open stays noted until its ends are durable: this start may crash as well.
            self.save()
        except StorageError as error:
            if before.log is None or before.log.log_id != self.bounds.log_id:
                raise
            logger.error("the metadata cannot be saved", error=error)

    def _read_open(self) -> tuple[OpenRecords, list[KeyedExecution]]:
        """Read the log from the recovery point, or from the oldest record that was open then."""
        state = self.meta.log
        known = state.checkpoint.last_seq if state and state.checkpoint else None
        if known is None:  # the metadata was lost: as far back as the recovery has read
            segments = self._log.found.segments
            known = segments[-1].first_seq - 1 if segments else 0
        starts = (known, self.meta.busy_since_seq, self.last_seq)
        try:
            return read_open(self.reader(), min(n for n in starts if n is not None), self.last_seq)
        except OSError as error:
            raise from_os_error(error, f"reading the log of {self.meta.project_id}") from error

    @property
    def segment_count(self) -> int:
        """Return how many files the log has. Any thread may ask."""
        return self._log.segment_count

    def size_bytes(self) -> int:
        """Return the bytes of these files. Any thread may ask, but one at a time."""
        return self._log.size_bytes()

    # -- reading -----------------------------------------------------------------------------

    @property
    def bounds(self) -> Bounds:
        return self._log.bounds()

    def reader(self) -> LogReader:
        """Return a reader of the same files, for one other thread."""
        return self._log.reader()

    def try_reading(self, seq: int) -> None:
        """Read behind that number, where a reader has failed, and keep in `read_problem` what comes
        of it."""
        try:
            self.reader().read_after(seq, self.last_seq, max_count=1)
        except OSError as error:
            self.read_problem = f"the log cannot be read: {error}"
        else:
            self.read_problem = None

    @property
    def is_stopped(self) -> bool:
        """Return True after a failed flush, until `reopen`."""
        return self._log.is_stopped

    # -- writing -----------------------------------------------------------------------------

    def append(self, bodies: Sequence[bytes], timestamp: str, *, must_sync: bool) -> list[bytes]:
        """Store a batch, durable by LOG_SYNC; return the stored lines. All or nothing.

        `must_sync` makes it durable under LOG_SYNC=interval too.
        """
        if must_sync:
            self._layout.check_ours()
        # Without metadata the records would be of no project. It is made first, so that a batch
        # that is refused is not in the log.
        if not self._meta_file.is_in_place():
            self.look(timestamp)
        elif self._must_save:
            self.save()
        try:
            lines = self._log.append_many(bodies, timestamp, must_sync=must_sync)
        except LogDisplaced:
            self.reopen(timestamp)
            lines = self._log.append_many(bodies, timestamp, must_sync=must_sync)
        self.last_seq += len(lines)
        self.wants_checkpoint = self._log.wants_checkpoint
        if not self._meta_file.is_in_place():  # taken away meanwhile
            self._save_behind()
        return lines

    def _save_behind(self) -> None:
        """Save behind a batch that is stored: a failure must not have it stored again."""
        try:
            self.save()
        except StorageError as error:
            self._must_save = True
            logger.error("the metadata cannot be saved", error=error)

    def sync(self) -> None:
        self._log.sync()

    def look(self, timestamp: str) -> None:
        """Look whether all files are where they were, and make what is missing."""
        try:
            self._log.look()
        except LogDisplaced:
            self.reopen(timestamp)
        if not self._meta_file.is_in_place():
            self.save()

    def roll_if_older(self, created_before: str) -> None:
        """Close the active segment if it began before that time, as segments' names write it."""
        if self._log.created and self._log.created < created_before:
            self._log.roll()

    def reopen(self, timestamp: str) -> None:
        """Go on in a new file, after a failed flush, or where others have taken files away."""
        if self._log.is_stopped:
            self._layout.check_ours()
        if (loss := self._log.reopen(timestamp)) is None:
            return
        self._damage.note_loss(loss)
        self._log.note_missing(self._damage.holes)
        self.damage_problem = self._damage.problem(self._log.state.first_seq)
        logger.error("the log goes on in a new file", problem=self.damage_problem)
        self._must_save = True  # in any case: the new log_id comes before what is stored under it
        self.save()

    # -- metadata ----------------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Change the metadata in memory; the next `save` keeps it."""
        self.meta = self.meta.model_copy(update=fields)

    def note_key(self, run: KeyedExecution) -> None:
        """Remember a request key. Until the next save only the log has it."""
        self._keys.note(run)

    def save(self) -> None:
        """Make the metadata durable, with how far the log is and since when something is open."""
        self._layout.check_ours()
        if self._keys.has_news or not self._keys.is_in_place():
            self._keys.save()
        self.change(log=self._log.note_checkpoint(), busy_since_seq=self.open.since_seq)
        self._meta_file.write(self.meta)
        self._must_save = self.wants_checkpoint = False

    # -- maintenance -------------------------------------------------------------------------

    def note_damage(self, missing: Sequence[MissingRecords]) -> None:
        """Take note of records that a reader could not read; the next save keeps it."""
        if self._damage.note(missing, self.bounds.first_seq):
            self._log.note_missing(self._damage.holes)
            self.damage_problem = self._damage.problem(self._log.state.first_seq)

    def retain(self, rules: RetentionRules) -> None:
        """Delete closed segments by the rules, and nothing from the first open record on."""
        self._layout.check_ours()
        since = self.open.since_seq
        try:
            seq = trim_seq(self._log, rules, None if since is None else since + 1)
        except OSError as error:
            raise from_os_error(error, "looking for segments to delete") from error
        if seq is None:
            return
        # In this order: a file that is gone without notice is taken for a loss.
        self.change(log=self._log.note_trim(seq))
        self._meta_file.write(self.meta)
        bounds = self._log.trim_before(seq)
        self.damage_problem = self._damage.problem(self._log.state.first_seq)
        logger.info("old records were deleted", first_seq=bounds.first_seq)

    def take_compressed(self, name: str, compression: Compression) -> None:
        """Exchange a closed segment for its compressed form."""
        self._layout.check_ours()
        if self._log.take_compressed(name, compression):
            logger.debug("a segment was compressed", segment=name)

    # -- the end -----------------------------------------------------------------------------

    def close(self, timestamp: str) -> None:
        """Flush, close, and note that this stop was clean."""
        before = self.meta
        try:
            self._layout.check_ours()
            self._keys.save()
            self.change(log=self._log.close(timestamp), busy_since_seq=None)
            if self.meta != before or not self._meta_file.is_in_place():
                self._meta_file.write(self.meta)
        except StorageError as error:
            logger.error("the log cannot be closed in order", error=error)
            self._log.abandon()

    def abandon(self) -> None:
        """Give the file back as a crash would leave it: the next start looks for what is
        missing."""
        self._log.abandon()
