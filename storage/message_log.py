"""The append-only log of one project: six calls, synchronous, on files.

`append_many`, `read_after`, `read_since`, `last`, `bounds`, `trim_before` are all that others see
of it. One owner appends; whoever reads elsewhere gets a `reader()` of its own.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage import disk, record
from storage.errors import DiskFailed, StorageError, from_os_error
from storage.log_reader import PAGE_BYTES, LogReader, Page
from storage.log_state import LogState, Mark, SyncPolicy, new_log_id
from storage.recovery import Recovered, TornTail, recover
from storage.segments import list_segments, removable_before, segment_path

CHECKPOINT_BYTES = 8 * 1024 * 1024
# A smaller step back of the clock is evened out; at a larger one a new segment begins.
CLOCK_STEP_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`rotate_bytes`: a segment takes no further batch from there on."""

    rotate_bytes: int
    sync: SyncPolicy
    boot_id: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """`first_seq` is 1 and `last_seq` 0 for a log that never had a record."""

    log_id: str
    first_seq: int
    last_seq: int


class MessageLog:
    """Opened with `open_log`; not for use by two threads at once."""

    def __init__(
        self,
        folder: Path,
        settings: LogSettings,
        state: LogState,
        found: Recovered,
        last_seq: int,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._fd: int | None = None
        self._path: Path | None = None
        self._size = found.size_bytes
        self._last_timestamp = found.last_timestamp
        self._last_seq = last_seq
        self._first_seq = found.segments[0].first_seq if found.segments else self._last_seq + 1
        self._created = found.segments[-1].created if found.segments else ""
        self._dirty = False
        self.state = state
        self.torn: TornTail | None = found.torn
        self.damaged_bytes = found.damaged_bytes
        self.was_clean = found.was_clean
        if found.segments and found.last_seq == self._last_seq:
            self._path = found.segments[-1].path

    # -- the six calls -----------------------------------------------------------------------

    def append_many(
        self, bodies: Sequence[bytes], timestamp: str, *, must_sync: bool = False
    ) -> list[bytes]:
        """Numbers, stores and, by policy, flushes a batch; returns the stored lines.

        `bodies` are records behind their timestamp (protocol.codec.update_body). All or nothing:
        at DiskFull and DiskFailed no number was given out and the log can be tried again.
        `must_sync` flushes under LOG_SYNC=interval too.
        """
        stamp = self._prepare(timestamp)
        encoded = stamp.encode("ascii")
        seqs = range(self._last_seq + 1, self._last_seq + 1 + len(bodies))
        lines = [record.encode(seq, encoded, body) for seq, body in zip(seqs, bodies, strict=True)]
        data = b"".join(lines)
        self._write(data)
        policy = self._settings.sync
        self._dirty = True
        if policy is SyncPolicy.ALWAYS or (must_sync and policy is SyncPolicy.INTERVAL):
            self.sync()
        self._size += len(data)
        self._last_seq += len(lines)
        self._last_timestamp = stamp
        return lines

    def read_after(self, seq: int, max_bytes: int = PAGE_BYTES) -> Page:
        """Records behind `seq`. Raises OSError."""
        return self.reader().read_after(seq, self._last_seq, max_bytes=max_bytes)

    def read_since(self, timestamp: str, max_bytes: int = PAGE_BYTES) -> Page:
        """Records from the first one at or after `timestamp`. Raises OSError."""
        reader = self.reader()
        start = reader.seq_before(timestamp, self._last_seq)
        return reader.read_after(start, self._last_seq, max_bytes=max_bytes)

    def last(self, count: int, max_bytes: int = PAGE_BYTES) -> Page:
        """The newest `count` records, oldest first. Raises OSError."""
        return self.reader().read_before(
            self._last_seq, self._first_seq, max_bytes=max_bytes, max_count=count
        )

    def bounds(self) -> Bounds:
        return Bounds(self.state.log_id, self._first_seq, self._last_seq)

    def trim_before(self, seq: int) -> Bounds:
        """Deletes whole closed segments that hold only numbers below `seq`. Raises OSError."""
        segments = list_segments(self._folder)
        removable = removable_before(segments, seq)
        for segment in removable:
            segment.path.unlink()
        if removable:
            disk.sync_folder(self._folder)
            self._first_seq = segments[len(removable)].first_seq
        return self.bounds()

    # -- for the owner -----------------------------------------------------------------------

    def reader(self) -> LogReader:
        """Reads the same files; for one other thread."""
        return LogReader(self._folder)

    @property
    def created(self) -> str:
        """When the active segment began, as in its name, such as 20261123T081433Z; or ""."""
        return self._created if self._path is not None else ""

    @property
    def wants_checkpoint(self) -> bool:
        """Whether the metadata should note how far the log is flushed: recovery reads from
        there, and from the beginning of a segment that the metadata does not know."""
        mark = self.state.checkpoint
        if self._path is None:
            return False
        if mark is None or mark.segment != self._path.name:
            return True
        return self._size - mark.size_bytes >= CHECKPOINT_BYTES

    def note_checkpoint(self) -> LogState:
        """Flushes and returns the state to be kept in the metadata. Raises DiskFailed."""
        self.sync()
        self.state = self.state.model_copy(update={"checkpoint": self._mark(), "clean": None})
        return self.state

    def sync(self) -> None:
        """Flushes what was appended. After a failure this file is given up: its pages prove
        nothing (a second fsync would lie), and the next append begins a new segment."""
        if self._fd is None or not self._dirty:
            return
        try:
            disk.sync(self._fd)
        except OSError as error:
            self._give_up()
            raise DiskFailed(f"flushing {self._folder}: {error.strerror}") from error
        self._dirty = False

    def roll(self) -> None:
        """Closes the active segment; the next append begins another. Empty ones do not roll."""
        if self._path is None or self._size == 0:
            return
        self.sync()
        self._close_file()
        self._path = None

    def close(self) -> LogState:
        """Flushes and closes; the state returned says so. Raises DiskFailed."""
        self.sync()
        mark = self._mark()
        self._close_file()
        self.state = self.state.model_copy(update={"clean": mark, "checkpoint": mark})
        return self.state

    def abandon(self) -> None:
        """Closes the file as a crash would leave it."""
        self._close_file()

    # -- inside ------------------------------------------------------------------------------

    def _mark(self) -> Mark | None:
        if self._path is None:
            return None
        return Mark(segment=self._path.name, size_bytes=self._size, last_seq=self._last_seq)

    def _prepare(self, timestamp: str) -> str:
        """The time of the next batch, in an open segment that has room."""
        if self._size >= self._settings.rotate_bytes:
            self.roll()
        if timestamp < self._last_timestamp:
            back = _moment(self._last_timestamp) - _moment(timestamp)
            if back < CLOCK_STEP_MAX:
                timestamp = self._last_timestamp
            else:
                self.roll()
        if self._fd is None:
            try:
                self._open_file(timestamp)
            except OSError as error:
                raise from_os_error(error, f"opening a segment in {self._folder}") from error
        return timestamp

    def _open_file(self, timestamp: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        if self._path is not None:
            self._fd = os.open(self._path, flags)
            return
        path = segment_path(self._folder, self._last_seq + 1, timestamp)
        self._fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, disk.FILE_MODE)
        self._path, self._size = path, 0
        self._created = path.name[21:37]
        disk.sync_folder(self._folder)

    def _write(self, data: bytes) -> None:
        assert self._fd is not None
        try:
            disk.write_all(self._fd, data)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self._size)  # needs no space
            except OSError:
                self._give_up()
            raise from_os_error(error, f"appending to {self._folder}") from error

    def _give_up(self) -> None:
        self._close_file()
        self._path, self._size, self._dirty = None, 0, False

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def open_log(folder: Path, settings: LogSettings, state: LogState | None) -> MessageLog:
    """Opens a log, new or old, and mends its tail. The returned log's `state` must be kept.

    The log gets a new id where numbers that somebody may have seen could be given out again: the
    metadata is gone, the files end before a number that is known, or, without LOG_SYNC=always, a
    tail was cut or the system went down. Raises StorageError.
    """
    try:
        disk.make_folder(folder)
        known = state or LogState(log_id=new_log_id(), boot_id=settings.boot_id)
        found = recover(folder, known)
    except OSError as error:
        raise from_os_error(error, f"opening the log {folder}") from error
    lazy = settings.sync is not SyncPolicy.ALWAYS
    rebooted = known.boot_id != settings.boot_id
    lost = found.last_seq < known.known_last_seq or (
        lazy and not found.was_clean and (found.torn is not None or rebooted)
    )
    log_id = new_log_id() if lost else known.log_id
    checkpoint = known.checkpoint if found.last_seq >= known.known_last_seq else None
    opened = LogState(log_id=log_id, boot_id=settings.boot_id, checkpoint=checkpoint)
    # A number that was given out once is not given out again, whatever became of its record.
    last_seq = max(found.last_seq, known.known_last_seq)
    return MessageLog(folder, settings, opened, found, last_seq)


def _moment(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)


__all__ = ["Bounds", "LogSettings", "MessageLog", "StorageError", "open_log"]
