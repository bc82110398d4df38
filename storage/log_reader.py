"""Reading a log: pages by number or by time, found by bisection, without an index file.

A reader only opens files to read them, so any thread may have its own. It is told up to which
number the log is durable and never looks behind that, so it cannot meet a half-written record.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage import record, segment_file
from storage.segment_file import Place, SegmentFile
from storage.segments import Segment, last_counting_seqs, list_segments

PAGE_BYTES = 256 * 1024
# A segment may be compressed, or go by retention, between its listing and its opening.
_OPENINGS_MAX = 3


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Stored records that cannot be read, `first_seq` to `last_seq`."""

    first_seq: int
    last_seq: int


Item = bytes | MissingRecords


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order, oldest first: whole lines, or what is missing in their place.

    `first_seq` and `last_seq` are what the page covers; an empty one has `last_seq` below.
    """

    items: tuple[Item, ...]
    first_seq: int
    last_seq: int

    @property
    def missing(self) -> tuple[MissingRecords, ...]:
        return tuple(item for item in self.items if isinstance(item, MissingRecords))


class SegmentEnds:
    """The last timestamp of each closed segment, read once: a query by time opens only segments
    that reach so far. Shared by the readers of a log: each step is one operation on a dict."""

    def __init__(self) -> None:
        self._stamps: dict[tuple[int, str], bytes] = {}

    def last_stamp(self, segment: Segment) -> bytes:
        """Of a closed segment; b"" where it has no sound record. Raises OSError."""
        key = (segment.first_seq, segment.created)
        stamp = self._stamps.get(key)
        if stamp is None:
            line = last_record([segment])
            stamp = record.timestamp_of(line) if line is not None else b""
            self._stamps[key] = stamp
        return stamp


class LogReader:
    """Pages of one log. `folder` is the log's; not for use by two threads at once."""

    def __init__(self, folder: Path, ends: SegmentEnds | None = None) -> None:
        self._folder = folder
        self._ends = ends or SegmentEnds()
        # Where the last page ended, so that the next one need not search: number, file, place.
        self._hint: tuple[int, Path, Place] | None = None

    def read_after(
        self, seq: int, upto: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """Records from `seq + 1` to `upto`, at least one where there is one.

        Raises OSError where the files cannot be read.
        """
        page = _Filling(seq, max_bytes, max_count)
        for segment, end in self._counting(upto):
            limit = min(end, upto)
            if limit <= page.position:
                continue
            for number, line in self._records_after(segment, page.position, limit):
                if not page.take(number, line):
                    return page.forwards(seq)
            if not page.is_open or not page.skip_to(limit):
                return page.forwards(seq)
        page.skip_to(upto)  # a segment is gone
        return page.forwards(seq)

    def read_before(
        self, seq: int, lowest: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """The newest records from `lowest` to `seq`, at least one where there is one. Raises
        OSError."""
        items: list[Item] = []
        expected, size = seq, 0
        for segment, end in reversed(self._counting(seq)):
            if expected < lowest or segment.first_seq > expected:
                continue
            for number, line in self._records_before(segment, min(end, expected)):
                if number > expected:
                    continue
                if number < lowest:
                    break
                full = len(items) >= max_count or (items and size + len(line) > max_bytes)
                if full:
                    return _backwards(items, expected, seq)
                if number < expected:
                    items.append(MissingRecords(number + 1, expected))
                items.append(line)
                expected, size = number - 1, size + len(line)
            floor = max(segment.first_seq, lowest)
            if expected >= floor and len(items) < max_count:
                items.append(MissingRecords(floor, expected))
                expected = floor - 1
        return _backwards(items, expected, seq)

    def seq_before(self, timestamp: str, upto: int) -> int:
        """The number before the first record, in order, at or after `timestamp`.

        After a step back of the clock what follows is a superset, never a miss. Raises OSError.
        """
        wanted = timestamp.encode("ascii")
        counting = self._counting(upto)
        position = counting[0][0].first_seq - 1 if counting else upto
        for segment, end in counting:
            is_closed = segment is not counting[-1][0]
            if not is_closed or self._reaches(segment, wanted):
                number = self._first_at(segment, wanted)
                if number is not None and number <= end:
                    return min(number - 1, upto)
            position = end
        return min(position, upto)

    # -- inside ------------------------------------------------------------------------------

    def _counting(self, upto: int) -> list[tuple[Segment, int]]:
        """The segments, each with the highest number that counts in it."""
        segments = list_segments(self._folder)
        return list(zip(segments, last_counting_seqs(segments, upto), strict=True))

    def _reaches(self, segment: Segment, wanted: bytes) -> bool:
        try:
            return self._ends.last_stamp(segment) >= wanted
        except FileNotFoundError:
            return True  # it is looked at again below

    def _first_at(self, segment: Segment, wanted: bytes) -> int | None:
        """The number of the first record in a segment that is at or after a time."""
        with self._opened(segment) as found:
            if found is None:
                return None
            file, _ = found
            for _, line in file.lines_from(file.find(lambda prefix: prefix[1] >= wanted)):
                if record.is_sound(line):
                    return record.seq_of(line)
        return None

    @contextmanager
    def _opened(self, segment: Segment) -> Iterator[tuple[SegmentFile, Path] | None]:
        """A segment as it lies there now; None where it is gone."""
        found: Segment | None = segment
        with ExitStack() as stack:
            opened = None
            for _ in range(_OPENINGS_MAX):
                if found is None:
                    break
                try:
                    opened = stack.enter_context(segment_file.opened(found)), found.path
                    break
                except FileNotFoundError:
                    named = (s for s in list_segments(self._folder) if s.name == segment.name)
                    found = next(named, None)
            yield opened

    def _records_after(self, segment: Segment, seq: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """Sound records with numbers from `seq + 1` to `limit`."""
        with self._opened(segment) as found:
            if found is None:
                return
            file, path = found
            if self._hint is not None and self._hint[:2] == (seq, path):
                place = self._hint[2]
            else:
                place = file.find(lambda prefix: prefix[0] > seq)
            previous = seq
            for behind, line in file.lines_from(place):
                if not record.is_sound(line):
                    continue
                number = record.seq_of(line)
                if number > limit:
                    return
                if number <= previous:  # a doubled record
                    continue
                yield number, line
                # Reached only when the page has taken it.
                previous = number
                self._hint = (number, path, behind)

    def _records_before(self, segment: Segment, limit: int) -> Iterator[tuple[int, bytes]]:
        """Sound records with numbers up to `limit`, the newest first."""
        with self._opened(segment) as found:
            if found is None:
                return
            file, _ = found
            for line in file.lines_before(file.find(lambda prefix: prefix[0] > limit)):
                if record.is_sound(line):
                    yield record.seq_of(line), line


class _Filling:
    """A page under way, forwards. `position`: the number up to which it is full."""

    def __init__(self, seq: int, max_bytes: int, max_count: int) -> None:
        self.position = seq
        self._items: list[Item] = []
        self._size = 0
        self._max_bytes = max_bytes
        self._max_count = max_count

    @property
    def is_open(self) -> bool:
        return len(self._items) < self._max_count

    def take(self, number: int, line: bytes) -> bool:
        """A record, and what is missing before it; False where it no longer fits."""
        if self._items and (not self.is_open or self._size + len(line) > self._max_bytes):
            return False
        if not self.skip_to(number - 1):
            return False
        self._items.append(line)
        self.position, self._size = number, self._size + len(line)
        return True

    def skip_to(self, seq: int) -> bool:
        """What lies up to there is missing; False where the page is full with that."""
        if self.position < seq:
            self._items.append(MissingRecords(self.position + 1, seq))
            self.position = seq
        return self.is_open

    def forwards(self, seq: int) -> Page:
        return Page(tuple(self._items), seq + 1, self.position)


def _backwards(items: list[Item], expected: int, seq: int) -> Page:
    return Page(tuple(reversed(items)), expected + 1, seq)


def last_record(segments: list[Segment]) -> bytes | None:
    """The last sound record in the last of the segments that has one. Raises OSError."""
    for segment in reversed(segments):
        with segment_file.opened(segment) as file:
            for line in file.lines_before(file.end):
                if record.is_sound(line):
                    return line
    return None
