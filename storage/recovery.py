"""What opening a log finds: its last record, what cannot be read, and a torn tail that is set
aside.

Only the tail is ever mended. Damage before sound records stays where it is, and readers report it
as a gap.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage import disk, plain_lines, record, segment_file
from storage.landmarks import last_record
from storage.log_state import LogState, Mark
from storage.pages import MissingRecords
from storage.segment_file import START, Place
from storage.segments import Compression, Segment, last_counting_seqs, list_segments

# How much is read after a clean stop.
TAIL_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True)
class TornTail:
    """Bytes that were cut off the end of a segment, and where they were put."""

    segment: str
    offset_bytes: int
    size_bytes: int
    kept_as: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The state of a log on the disk. `size_bytes` is the size of the last segment; `missing` are
    the numbers that cannot be read. `is_segment_gone`: a file that the metadata knows is missing.
    `has_lost_tail`: the tail held records that had been flushed."""

    segments: tuple[Segment, ...]
    size_bytes: int = 0
    last_seq: int = 0
    last_timestamp: str = ""
    torn: TornTail | None = None
    missing: tuple[MissingRecords, ...] = ()
    is_segment_gone: bool = False
    has_lost_tail: bool = False
    was_clean: bool = False


@dataclass(slots=True)
class _Scan:
    """`end` lies behind the last sound record of the last segment that was read; `last` is that
    record."""

    seq: int
    end: int = 0
    last: bytes | None = None
    missing: list[MissingRecords] = field(default_factory=list)

    def take(self, start: int, lines: Sequence[bytes], limit: int) -> None:
        """Take lines that begin at an offset. A record that stands there twice counts once; a
        record behind `limit` does not count."""
        taken = 0
        for index, number, line in record.sound_records(lines):
            if self.seq < number <= limit:
                if number != self.seq + 1:
                    self.skip_to(number - 1)
                self.seq, self.last, taken = number, line, index + 1
        if taken:
            self.end = start + sum(map(len, lines[:taken]))

    def skip_to(self, seq: int) -> None:
        if seq > self.seq:
            self.missing.append(MissingRecords(self.seq + 1, seq))
            self.seq = seq


def recover(folder: Path, state: LogState) -> Recovered:
    """Find the last record and mend the tail. Raises OSError."""
    segments = list_segments(folder)
    present = {segment.first_seq for segment in segments}
    gone = _gone(state, present)
    is_gone = bool(gone)
    if not segments:
        return Recovered((), missing=gone, is_segment_gone=is_gone, was_clean=not is_gone)
    size = segments[-1].path.stat().st_size
    clean_scan = _scan_clean(segments[-1], size, state)
    was_clean = clean_scan is not None
    scan = clean_scan or _scan_from_checkpoint(segments, state)
    torn = None
    if not was_clean and segments[-1].compression is Compression.OFF:
        if scan.end < size:
            torn = _mend(segments[-1], scan.end, size)
        _sync(segments[-1].path)  # what was read may only be in the page cache
    # An empty last segment is legal: the server crashed between creating it and its first record.
    # Its name holds the number, and the record before it the time.
    last = scan.last or last_record(segments)
    return Recovered(
        tuple(segments),
        scan.end,
        max(record.seq_of(last) if last else 0, segments[-1].first_seq - 1),
        record.timestamp_of(last).decode("ascii") if last else "",
        torn,
        (*gone, *(hole for hole in scan.missing if hole not in gone)),
        is_segment_gone=is_gone,
        has_lost_tail=torn is not None and scan.seq < state.known_last_seq,
        was_clean=was_clean,
    )


def _gone(state: LogState, present: set[int]) -> tuple[MissingRecords, ...]:
    """Return what files held that the state knows and that are gone."""
    known = sorted(n for n in state.segments if n >= state.first_seq)
    ends = [*(n - 1 for n in known[1:]), max(state.known_last_seq, state.lost_seq)]
    return tuple(
        MissingRecords(first, max(first, last))
        for first, last in zip(known, ends, strict=False)
        if first not in present
    )


def _scan_clean(segment: Segment, size: int, state: LogState) -> _Scan | None:
    """Read a few KiB, if the files agree with the mark of a clean stop."""
    clean = state.clean
    if clean is None or (clean.segment, clean.size_bytes) != (segment.path.name, size):
        return None
    scan = _Scan(segment.first_seq - 1)
    with disk.reading(segment.path) as fd:
        for start, lines in plain_lines.slabs_from(fd, max(0, size - TAIL_BYTES), TAIL_BYTES):
            if scan.last is None and size > TAIL_BYTES:
                sound = next(record.sound_records(lines), None)
                scan.seq = sound[1] - 1 if sound else scan.seq
            scan.take(start, lines, clean.last_seq)
    if scan.last is None and size > TAIL_BYTES:  # the last record is larger
        if (last := last_record([segment])) is None:
            return None
        scan.last, scan.seq = last, record.seq_of(last)
    if scan.seq != clean.last_seq:
        return None
    scan.end = size
    return scan


def _scan_from_checkpoint(segments: list[Segment], state: LogState) -> _Scan:
    """Read everything behind the checkpoint, however many segments that is."""
    first, place, seq = _start_of_scan(segments, state)
    scan = _Scan(seq)
    counting = zip(segments, last_counting_seqs(segments, 1 << 63), strict=True)
    for segment, limit in list(counting)[first:]:
        scan.skip_to(segment.first_seq - 1)
        scan.end = place[0]
        with segment_file.opened(segment) as file:
            for chunk in file.chunks_from(place):
                scan.take(chunk.place[0], chunk.lines, limit)
        place = START
    return scan


def _start_of_scan(segments: list[Segment], state: LogState) -> tuple[int, Place, int]:
    """Return the segment, the place in it, and the number of the record before it."""
    mark = state.checkpoint
    for index, segment in enumerate(segments):
        if mark is None or mark.segment != segment.name:
            continue
        if (
            segment.compression is not Compression.OFF
        ):  # closed and whole, so the next segment counts
            behind = min(index + 1, len(segments) - 1)
            return behind, START, segments[behind].first_seq - 1
        if _agrees(segment, mark):
            return index, (mark.size_bytes, 0), mark.last_seq
        return index, START, segment.first_seq - 1
    return len(segments) - 1, START, segments[-1].first_seq - 1


def _agrees(segment: Segment, mark: Mark) -> bool:
    """Return True if the record that a mark names ends there: one small read."""
    with segment_file.opened(segment) as file:
        if mark.size_bytes > file.end[0]:
            return False
        lines = next(file.lines_before((mark.size_bytes, 0)), [b""])
    if mark.last_seq < segment.first_seq:
        return mark.size_bytes == 0
    return record.is_sound(lines[-1]) and record.seq_of(lines[-1]) == mark.last_seq


def _mend(segment: Segment, end: int, size: int) -> TornTail:
    """Copy what no sound record follows to a file of its own, durably, and then cut it off."""
    kept = segment.path.with_name(f"{segment.path.name}.torn-{end}")
    fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with disk.writing(kept) as copy:
            offset = end
            while piece := os.pread(fd, plain_lines.SLAB_BYTES, offset):
                disk.write_all(copy, piece)
                offset += len(piece)
        disk.sync_folder(segment.path.parent)
        os.ftruncate(fd, end)
        disk.sync(fd)
    finally:
        os.close(fd)
    return TornTail(segment.path.name, end, size - end, kept.name)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        disk.sync(fd)
    finally:
        os.close(fd)
