"""The append-only log of one project, on files; every call is synchronous.

One owner appends, rolls and trims. Each reader gets a `reader()` of its own, for its thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage import disk
from storage.errors import from_os_error
from storage.landmarks import Landmarks
from storage.log_reader import LogReader
from storage.log_state import LogState, SyncPolicy, new_log_id
from storage.log_tail import Displacement, FlushTimer, LogSettings, LogTail
from storage.pages import MissingRecords
from storage.recovery import Recovered, recover
from storage.segment_sizes import SegmentSizes
from storage.segments import (
    Compression,
    Segment,
    last_counting_seqs,
    list_segments,
    removable_before,
)

# What recovery reads of a log, at most, after a crash: about so much.
CHECKPOINT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """`first_seq` is 1 and `last_seq` 0 for a log that never had a record."""

    log_id: str
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A file that was taken away from under the log: what happened, and which records went."""

    sentence: str
    missing: tuple[MissingRecords, ...]


class MessageLog:
    """Opened with `open_log`; two threads must not use it at once.

    After a failed flush it has stopped (`is_stopped`): it can be read, and takes nothing until
    `reopen`. `found` is what the opening found; the caller keeps `state` in the metadata.
    """

    def __init__(
        self,
        folder: Path,
        settings: LogSettings,
        state: LogState,
        found: Recovered,
        last_seq: int,
    ) -> None:
        self._folder = folder
        self._tail = LogTail(folder, settings, found, last_seq)
        self._first_seq = found.segments[0].first_seq if found.segments else last_seq + 1
        self._landmarks = Landmarks()
        self._sizes = SegmentSizes()
        self.state = state
        self.found = found

    def append_many(
        self, bodies: Sequence[bytes], timestamp: str, *, must_sync: bool = False
    ) -> list[bytes]:
        """Number, store and, by LOG_SYNC, flush a batch; return the stored lines.

        `bodies` are records behind their timestamp (protocol.codec.update_bodies). The batch is
        stored whole or not at all: after DiskFull and DiskFailed no number was given out. After
        DiskFull the log can be tried again; DiskFailed may have stopped it, and LogStopped says
        that it has. `must_sync` flushes under LOG_SYNC=interval too.
        """
        return self._tail.append(bodies, timestamp, must_sync=must_sync)

    def bounds(self) -> Bounds:
        return Bounds(self.state.log_id, self._first_seq, self._tail.last_seq)

    def trim_before(self, seq: int) -> Bounds:
        """Delete whole closed segments that hold only numbers below `seq`, the oldest first.

        The caller calls `note_trim` first and keeps its state; otherwise the next opening would
        report what is deleted as missing. Raises StorageError.
        """
        segments = self._tail.segments
        try:
            for segment in removable_before(segments, seq):
                for compression in Compression:  # a crash may have left both forms
                    path = segment.path.with_name(segment.name + compression.suffix)
                    path.unlink(missing_ok=True)
                    path.with_name(path.name + ".new").unlink(missing_ok=True)
                segments.remove(segment)
                self._first_seq = segments[0].first_seq
            disk.sync_folder(self._folder)
        except OSError as error:
            raise from_os_error(error, f"deleting segments of {self._folder}") from error
        return self.bounds()

    def reader(self) -> LogReader:
        """Return a reader of the same files, for one other thread."""
        return LogReader(self._folder, self._landmarks)

    @property
    def closed_segments(self) -> list[tuple[Segment, int]]:
        """Return the segments that are not appended to any more, oldest first, each with the last
        number that counts in it."""
        segments = self._tail.segments
        ends = last_counting_seqs(segments, self._tail.last_seq)
        return list(zip(segments, ends, strict=True))[:-1]

    @property
    def segment_count(self) -> int:
        """Return how many files the log has. Any thread may ask."""
        return len(self._tail.segments)

    def size_bytes(self) -> int:
        """Return the bytes of all files, on the disk. Any thread may ask, but one at a time."""
        return self._sizes.total_bytes(self._tail.segments.copy())

    @property
    def active_bytes(self) -> int:
        """Return the size of the segment at the end."""
        mark = self._tail.mark()
        return mark.size_bytes if mark is not None else 0

    def last_stamp(self, segment: Segment) -> str:
        """Return the time of a closed segment's last record; "" if it has none. Raises OSError."""
        return self._landmarks.last_stamp(segment).decode("ascii")

    @property
    def is_stopped(self) -> bool:
        return self._tail.is_stopped

    @property
    def created(self) -> str:
        """Return when the active segment began, as its name writes it (20261123T081433Z), or ""."""
        return self._tail.created

    @property
    def wants_checkpoint(self) -> bool:
        """Return True if the metadata should note how far the log is flushed: recovery reads from
        there, and from the beginning of a segment that the metadata does not know."""
        mark, known = self._tail.mark(), self.state.checkpoint
        if mark is None:
            return False
        if known is None or known.segment != mark.segment:
            return True
        return mark.size_bytes - known.size_bytes >= CHECKPOINT_BYTES

    def note_checkpoint(self) -> LogState:
        """Flush, and return the state to keep in the metadata. Raises DiskFailed."""
        self.sync()
        mark = self._tail.mark() or self.state.checkpoint
        return self._noted(checkpoint=mark, clean=None)

    def note_trim(self, seq: int) -> LogState:
        """Return the state that says: nothing before the first segment that `trim_before(seq)`
        leaves is missing."""
        first_seq = self.state.first_seq
        if segments := self._tail.segments:
            count = len(removable_before(segments, seq))
            first_seq = max(first_seq, segments[count].first_seq)
        return self._noted(first_seq=first_seq)

    def note_missing(self, missing: Sequence[MissingRecords]) -> LogState:
        """Return the state that knows of these records."""
        return self._noted(missing=tuple((hole.first_seq, hole.last_seq) for hole in missing))

    def sync(self) -> None:
        """Flush what was appended. After DiskFailed the log has stopped."""
        self._tail.sync()

    def roll(self) -> None:
        """Close the active segment; the next append begins another. An empty segment does not roll.
        Raises DiskFailed."""
        self._tail.roll()

    def reopen(self, timestamp: str) -> Loss | None:
        """Go on after a failed flush, in a new segment that begins with what was acknowledged and
        may not have reached the device. Raises StorageError, and then the log is still stopped.

        If it has stopped because others have taken its files, make what is missing, and return what
        is lost. Its numbers continue. If records are gone, `state` has a new log_id: the caller
        keeps it before anything is acknowledged.
        """
        if self._tail.displaced is None:
            self._tail.reopen(timestamp)
            return None
        return self._restore(timestamp, self._tail.displaced)

    def look(self) -> None:
        """Look whether all files are where they were. Raises LogDisplaced, and DiskFailed."""
        self._tail.look()

    def _restore(self, timestamp: str, what: Displacement) -> Loss:
        try:
            disk.make_folder(self._folder)
            present = list_segments(self._folder)
        except OSError as error:
            raise from_os_error(error, f"making {self._folder} again") from error
        known = list(self._tail.segments)
        self._tail.reopen(timestamp)
        newest = self._tail.segments[-1]
        ends = last_counting_seqs([*known, newest], 0)
        keys = {segment.key for segment in present}
        missing = tuple(
            MissingRecords(segment.first_seq, end)
            for segment, end in zip(known, ends, strict=False)
            if segment.key not in keys and end >= segment.first_seq
        )
        self._tail.keep_only(present)
        self._first_seq = self._tail.segments[0].first_seq
        self._landmarks = Landmarks()  # a file may be another one under its old name
        is_lost = what.is_lost or bool(missing)
        self._noted(
            log_id=new_log_id() if is_lost else self.state.log_id,
            checkpoint=self._tail.mark(),
            clean=None,
            lost_seq=newest.first_seq - 1 if is_lost else self.state.lost_seq,
        )
        return Loss(f"{what.segment} {what.reason} while the server ran", missing)

    def take_compressed(self, name: str, compression: Compression) -> bool:
        """Exchange a closed segment for its compressed form, which lies whole and flushed beside it
        as `….new`. Return False if the segment is gone or was exchanged. Raises StorageError."""
        segments = self._tail.segments
        known = next((s for s in segments[:-1] if s.name == name), None)
        fresh = self._folder / f"{name}{compression.suffix}.new"
        try:
            if known is None or known.compression is not Compression.OFF:
                fresh.unlink(missing_ok=True)
                return False
            if fresh.stat().st_mtime_ns != known.path.stat().st_mtime_ns:
                fresh.unlink()  # of another file, which had this name before
                return False
            path = fresh.with_suffix("")
            fresh.rename(path)
            disk.sync_folder(self._folder)
            # Only now: after a crash in between both forms are there, and the plain one counts.
            known.path.unlink()
            disk.sync_folder(self._folder)
        except OSError as error:
            raise from_os_error(error, f"exchanging {name} in {self._folder}") from error
        at = segments.index(known)
        segments[at] = Segment(known.first_seq, known.created, path, compression)
        return True

    def close(self, timestamp: str) -> LogState:
        """Flush and close; return a state that says so. Raises StorageError."""
        mark = self._tail.close(timestamp)
        return self._noted(clean=mark, checkpoint=mark or self.state.checkpoint)

    def abandon(self) -> None:
        """Close the file as a crash would leave it."""
        self._tail.abandon()

    def _noted(self, **changes: object) -> LogState:
        known = tuple(segment.first_seq for segment in self._tail.segments)
        self.state = self.state.model_copy(update={"segments": known, **changes})
        return self.state


def open_log(folder: Path, settings: LogSettings, state: LogState | None) -> MessageLog:
    """Open a log, new or old, and mend its tail. The caller must keep the returned log's `state`.

    The log gets a new id if numbers that somebody may have seen could be given out again: the
    metadata or a segment is gone, the files end before a known number, or, without LOG_SYNC=always,
    a tail was cut or the system went down. Raises StorageError.
    """
    try:
        disk.make_folder(folder)
        known = state or LogState(log_id=new_log_id(), boot_id=settings.boot_id)
        found = recover(folder, known)
        if not found.was_clean:
            for leftover in folder.glob("*.jsonl*.new"):
                if leftover.is_file():  # of a compressor, or a start, that was killed
                    leftover.unlink()
    except OSError as error:
        raise from_os_error(error, f"opening the log {folder}") from error
    opened = _opened_state(known, settings, found)
    last_seq = max(found.last_seq, opened.lost_seq)
    return MessageLog(folder, settings, opened, found, last_seq)


def _opened_state(known: LogState, settings: LogSettings, found: Recovered) -> LogState:
    lazy = (known.sync or settings.sync) is not SyncPolicy.ALWAYS
    rebooted = known.boot_id != settings.boot_id
    is_short = found.last_seq < known.known_last_seq
    is_lost = (
        is_short
        or found.is_segment_gone
        or (lazy and not found.was_clean and (found.torn is not None or rebooted))
    )
    # The records of a missing file are a gap for ever. The records of a cut tail are gone, and
    # their numbers are given out again, under another id.
    lost_seq = known.lost_seq
    if found.is_segment_gone:
        lost_seq = max(known.known_last_seq, lost_seq)
    return known.model_copy(
        update={
            "log_id": new_log_id() if is_lost else known.log_id,
            "boot_id": settings.boot_id,
            "clean": None,
            "checkpoint": None if is_short else known.checkpoint,
            "segments": tuple(segment.first_seq for segment in found.segments),
            "sync": settings.sync,
            "lost_seq": lost_seq,
        }
    )


__all__ = ["Bounds", "FlushTimer", "LogSettings", "Loss", "MessageLog", "open_log"]
