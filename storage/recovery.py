"""What an open log finds: its last record, and a torn tail that is set aside.

Only the tail is ever mended. Damage that sound records follow stays where it is, and readers are
told of the gap.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from storage import disk, record, slabs
from storage.log_state import LogState
from storage.segments import Segment, list_segments

_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TornTail:
    """Bytes that were cut off the end of a segment, and where they were put."""

    segment: str
    offset_bytes: int
    size_bytes: int
    kept_as: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The state of a log on the disk. `damaged_bytes` lie before sound records."""

    segments: tuple[Segment, ...]
    size_bytes: int = 0
    last_seq: int = 0
    last_timestamp: str = ""
    torn: TornTail | None = None
    damaged_bytes: int = 0
    was_clean: bool = False


@dataclass(slots=True)
class _Scan:
    """`end`: behind the last sound record. `last`: that record."""

    end: int
    last: bytes | None = None
    damaged_bytes: int = 0


def recover(folder: Path, state: LogState) -> Recovered:
    """Finds the last record and mends the tail. Raises OSError."""
    segments = list_segments(folder)
    if not segments:
        return Recovered(())
    segment = segments[-1]
    last_before = _last_record(segments[:-1])
    size = segment.path.stat().st_size
    if state.clean is not None and _agrees(segment, size, state):
        last = _last_record([segment]) or last_before
        return _result(segments, size, last, segment, was_clean=True)
    scan = _scan(segment, *_start_of_scan(segment, size, state))
    torn = _mend(segment, scan, size) if scan.end < size else None
    _sync(segment.path)  # what was read may be in the page cache only
    last = scan.last or _last_record([segment]) or last_before
    return _result(segments, scan.end, last, segment, torn=torn, damaged_bytes=scan.damaged_bytes)


def _result(
    segments: list[Segment],
    size: int,
    last: bytes | None,
    segment: Segment,
    *,
    torn: TornTail | None = None,
    damaged_bytes: int = 0,
    was_clean: bool = False,
) -> Recovered:
    # An empty last segment is legal: a crash between its creation and its first record. Its name
    # keeps the numbers, the record before it keeps the time.
    last_seq = max(record.seq_of(last) if last else 0, segment.first_seq - 1)
    timestamp = record.timestamp_of(last).decode("ascii") if last else ""
    return Recovered(
        tuple(segments), size, last_seq, timestamp, torn, damaged_bytes, was_clean=was_clean
    )


def _agrees(segment: Segment, size: int, state: LogState) -> bool:
    clean = state.clean
    if clean is None or (clean.segment, clean.size_bytes) != (segment.path.name, size):
        return False
    last = _last_record([segment])
    return clean.last_seq == (record.seq_of(last) if last else segment.first_seq - 1)


def _last_record(segments: list[Segment]) -> bytes | None:
    """The last sound record in the last of the segments that has one."""
    for segment in reversed(segments):
        with slabs.opened(segment.path) as fd:
            for line in slabs.lines_before(fd, os.fstat(fd).st_size):
                if record.is_sound(line):
                    return line
    return None


def _start_of_scan(segment: Segment, size: int, state: LogState) -> tuple[int, int]:
    """Where to begin, and the number of the record before it."""
    mark = state.checkpoint
    if mark is None or mark.segment != segment.path.name or mark.size_bytes > size:
        return 0, segment.first_seq - 1
    return mark.size_bytes, mark.last_seq


def _scan(segment: Segment, start: int, seq: int) -> _Scan:
    """A record that stands there twice is sound only once."""
    with slabs.opened(segment.path) as fd:
        scan = _Scan(start)
        for offset, line in slabs.lines_from(fd, start):
            if record.is_sound(line) and record.seq_of(line) > seq:
                scan.damaged_bytes += offset - scan.end
                scan.end, scan.last, seq = offset + len(line), line, record.seq_of(line)
        return scan


def _mend(segment: Segment, scan: _Scan, size: int) -> TornTail:
    """Copies what no sound record follows to a file of its own, durably, and then cuts it off."""
    kept = segment.path.with_name(f"{segment.path.name}.torn-{scan.end}")
    fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with open(kept, "wb", opener=_private) as copy:
            offset = scan.end
            while piece := os.pread(fd, slabs.SLAB_BYTES, offset):
                copy.write(piece)
                offset += len(piece)
            copy.flush()
            disk.sync(copy.fileno())
        disk.sync_folder(segment.path.parent)
        os.ftruncate(fd, scan.end)
        disk.sync(fd)
    finally:
        os.close(fd)
    return TornTail(segment.path.name, scan.end, size - scan.end, kept.name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, disk.FILE_MODE)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        disk.sync(fd)
    finally:
        os.close(fd)
