"""The end of a log: where records get their numbers, reach the disk, and are flushed.

A part of MessageLog. A batch is written whole or not at all. A failed flush stops the log until it
is reopened, in a new segment.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage import disk, record
from storage.active_segment import (
    CUT,
    EXCHANGED,
    GONE,
    GROWN,
    ActiveSegment,
    NotTakenBack,
    SyncFailed,
)
from storage.errors import DiskFailed, LogDisplaced, LogStopped, from_os_error
from storage.log_state import Mark, SyncPolicy
from storage.recovery import Recovered
from storage.segments import Compression, Segment, list_segments, segment_path

# The log evens out a smaller step back of the clock; a larger one begins a new segment.
CLOCK_STEP_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class FlushTimer:
    """`now_s` is called before a flush; `flushed` gets its value when the flush has ended."""

    now_s: Callable[[], float]
    flushed: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`rotate_bytes`: a segment of that size takes no further batch. `flush_timer`
    measures the time of each flush."""

    rotate_bytes: int
    sync: SyncPolicy
    boot_id: str
    flush_timer: FlushTimer | None = None


@dataclass(frozen=True, slots=True)
class Displacement:
    """What became of a file of the log. `is_lost`: acknowledged records may be gone with it."""

    segment: str
    reason: str
    is_lost: bool


class LogTail:
    """`segments` are all segments of the log; records are appended to the last one. `last_seq` is
    the newest number given out. `displaced`: why it has stopped, if it was not for a failed
    flush."""

    def __init__(
        self, folder: Path, settings: LogSettings, found: Recovered, last_seq: int
    ) -> None:
        self.segments = list(found.segments)
        self.last_seq = last_seq
        self._folder = folder
        self._settings = settings
        self._last_timestamp = found.last_timestamp
        self._active: ActiveSegment | None = None
        self._resumable: Segment | None = None  # the last segment, before the first append
        self._closed: Mark | None = None  # where the last segment ends, once it is closed
        self._size_found = found.size_bytes
        # Acknowledged records whose flush failed; the next segment begins with them.
        self._carried: bytes | None = None
        self._carried_from = 0
        self.displaced: Displacement | None = None
        if found.segments and found.last_seq == last_seq:
            newest = found.segments[-1]
            self._resumable = newest if newest.compression is Compression.OFF else None

    @property
    def is_stopped(self) -> bool:
        return self._carried is not None

    @property
    def created(self) -> str:
        """Return when the open segment began, as its name writes it; "" if none is open."""
        is_open = self._active is not None or self._resumable is not None
        return self.segments[-1].created if is_open else ""

    def append(
        self, bodies: Sequence[bytes], timestamp: str, *, must_sync: bool = False
    ) -> list[bytes]:
        """See MessageLog."""
        self._check_running()
        stamp = self._prepare(timestamp)
        encoded = stamp.encode("ascii")
        seqs = range(self.last_seq + 1, self.last_seq + 1 + len(bodies))
        lines = [record.encode(seq, encoded, body) for seq, body in zip(seqs, bodies, strict=True)]
        active = self._opened(stamp)
        before = active.size_bytes
        try:
            active.append(b"".join(lines), seqs.stop - 1)
        except NotTakenBack as error:
            self._stop(before)
            raise from_os_error(error, f"taking back a write to {self._folder}") from error
        except OSError as error:
            raise from_os_error(error, f"appending to {self._folder}") from error
        policy = self._settings.sync
        if policy is SyncPolicy.ALWAYS or (must_sync and policy is SyncPolicy.INTERVAL):
            self._sync(before)
        # Behind the flush: what is acknowledged was where a restart looks for it.
        if (reason := active.displacement()) is not None:
            raise self._displace(active.path, reason, before)
        self.last_seq = seqs.stop - 1
        self._last_timestamp = stamp
        return lines

    def sync(self) -> None:
        """Flush what was appended. After DiskFailed the log has stopped."""
        self._check_running()
        if self._active is not None:
            self._sync(self._active.size_bytes)

    def look(self) -> None:
        """Look whether all files are where they were. Raises LogDisplaced, and DiskFailed."""
        self._check_running()
        if self._active is not None:
            self.sync()
            if (reason := self._active.displacement()) is not None:
                raise self._displace(self._active.path, reason, self._active.size_bytes)
        try:
            present = {segment.key for segment in list_segments(self._folder)}
        except FileNotFoundError:
            present = set()
        except OSError as error:
            raise from_os_error(error, f"looking into {self._folder}") from error
        for segment in self.segments:
            if segment.key not in present:
                raise self._displace(segment.path, GONE)

    def keep_only(self, present: Sequence[Segment]) -> None:
        """Forget the files that are gone; the newest, which `reopen` has made, stays."""
        found = {segment.key: segment for segment in present}
        *older, newest = self.segments
        self.segments[:] = [found[s.key] for s in older if s.key in found] + [newest]

    def roll(self) -> None:
        """Close the active segment; the next append begins another. An empty segment does not
        roll."""
        if self._active is None and self._resumable is not None and self._size_found:
            self._closed = self.mark()
            self._resumable = None
        elif self._active is not None and self._active.size_bytes:
            self.sync()
            self._closed = self.mark()
            self._close_file()

    def reopen(self, timestamp: str) -> None:
        """Go on after a failed flush, in a new segment that begins with what was acknowledged and
        may not have reached the device. Raises StorageError, and then the log is still stopped."""
        if self._carried is None:
            return
        self._begin(timestamp, self._carried_from, self._carried)
        self._carried = self.displaced = None

    def close(self, timestamp: str) -> Mark | None:
        """Flush and close; return where the log ends. Raises StorageError."""
        self.reopen(timestamp)
        self.sync()
        mark = self.mark()
        self._close_file()
        return mark

    def abandon(self) -> None:
        """Close the file as a crash would leave it."""
        self._close_file()

    def mark(self) -> Mark | None:
        """Return where the flushed records end."""
        if self._active is not None:
            name, size, seq = self._active.path.name, self._active.size_bytes, self.last_seq
        elif self._resumable is not None:
            name, size, seq = self._resumable.path.name, self._size_found, self.last_seq
        else:
            return self._closed
        return Mark(segment=name, size_bytes=size, last_seq=seq)

    def _check_running(self) -> None:
        if self.displaced is not None:
            raise LogDisplaced(f"{self.displaced.segment} {self.displaced.reason}")
        if self.is_stopped:
            raise LogStopped(f"{self._folder}: stopped after a failed flush; it must be reopened")

    def _prepare(self, timestamp: str) -> str:
        """Return the time of the next batch. Close a segment that is full, or whose time lies far
        ahead, first."""
        size = self._active.size_bytes if self._active else self._size_found
        if size >= self._settings.rotate_bytes:
            self.roll()
        if timestamp < self._last_timestamp:
            if _moment(self._last_timestamp) - _moment(timestamp) < CLOCK_STEP_MAX:
                return self._last_timestamp
            self.roll()
        return timestamp

    def _opened(self, timestamp: str) -> ActiveSegment:
        if self._active is None and self._resumable is not None:
            path = self._resumable.path
            try:
                self._active = ActiveSegment.reopen(path, self._size_found, self.last_seq)
            except FileNotFoundError:
                raise self._displace(path, GONE) from None
            except OSError as error:
                if error.errno in disk.UNREADABLE:  # a link, or a folder, has that name now
                    raise self._displace(path, EXCHANGED) from None
                raise from_os_error(error, f"opening a segment in {self._folder}") from error
        elif self._active is None:
            self._begin(timestamp, self.last_seq + 1, b"")
        assert self._active is not None
        return self._active

    def _begin(self, timestamp: str, first_seq: int, data: bytes) -> None:
        try:
            path = segment_path(self._folder, first_seq, timestamp)
            self._active = ActiveSegment.create(path, self.last_seq, data)
        except OSError as error:
            if isinstance(error, SyncFailed):
                self._carried, self._carried_from = data, first_seq
            if isinstance(error, FileNotFoundError) and self.displaced is None:
                raise self._displace(self._folder, GONE) from None
            raise from_os_error(error, f"beginning a segment in {self._folder}") from error
        self.segments.append(Segment(first_seq, path.name[21:37], path))

    def _sync(self, acknowledged_bytes: int) -> None:
        """Flush. The records behind that offset were not acknowledged yet, so a failed flush takes
        them back."""
        assert self._active is not None
        if self._active.is_synced:
            return
        timer = self._settings.flush_timer
        began_s = 0.0 if timer is None else timer.now_s()
        try:
            self._active.sync()
        except OSError as error:
            self._stop(acknowledged_bytes)
            raise DiskFailed(f"flushing {self._folder}: {error.strerror}") from error
        if timer is not None:
            timer.flushed(began_s)

    def _displace(
        self, path: Path, reason: str, acknowledged_bytes: int | None = None
    ) -> LogDisplaced:
        """Give up the open file; return the error to raise."""
        held_records = acknowledged_bytes is None or acknowledged_bytes > 0
        # What a file held that is gone is counted when the log goes on: it may be back by then.
        is_lost = held_records and reason != GONE
        self.displaced = Displacement(path.name, reason, is_lost)
        self._closed = None
        if self._carried is None:
            self._carried, self._carried_from = b"", self.last_seq + 1
        if (
            self._active is not None
            and acknowledged_bytes is not None
            and reason not in (CUT, GROWN)
        ):
            with contextlib.suppress(OSError):  # nobody looks for it there
                self._active.cut(acknowledged_bytes)
        self._close_file()
        return LogDisplaced(f"{path} {reason}")

    def _stop(self, acknowledged_bytes: int) -> None:
        assert self._active is not None
        active = self._active
        wanted = max(acknowledged_bytes - active.synced_bytes, 0)
        carried = b""
        with contextlib.suppress(
            OSError
        ):  # the records stay in the file, which may be readable later
            carried = active.unsynced(wanted)
        is_whole = len(carried) == wanted
        self._closed = None
        self._carried = carried if is_whole else b""
        self._carried_from = active.synced_seq + 1 if is_whole else self.last_seq + 1
        with contextlib.suppress(OSError):  # these numbers are given out again, in the next segment
            active.cut(acknowledged_bytes)
        self._close_file()

    def _close_file(self) -> None:
        active, self._active, self._resumable, self._size_found = self._active, None, None, 0
        if active is not None:
            with contextlib.suppress(OSError):  # it is flushed, or given up
                active.close()


def _moment(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)
