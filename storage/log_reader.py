"""Reading a log: pages by number or by time, found by bisection, without an index file.

A reader only opens files to read them, so any thread may have its own. It is told up to which
number the log is durable and never looks behind that, so it cannot meet a half-written record.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage import record, slabs
from storage.segments import Segment, last_counting_seqs, list_segments

PAGE_BYTES = 256 * 1024
# Below this distance a bisection goes on line by line.
_LINEAR_BYTES = 32 * 1024


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


class LogReader:
    """Pages of one log. `folder` is the log's; not for use by two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Where the last page ended, so that the next one need not search.
        self._hint: tuple[int, Path, int] | None = None

    def read_after(
        self, seq: int, upto: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """Records from `seq + 1` to `upto`, at least one where there is one.

        Raises OSError where the files cannot be read.
        """
        items: list[Item] = []
        position, size = seq, 0
        segments = list_segments(self._folder)
        for segment, end in zip(segments, last_counting_seqs(segments, upto), strict=True):
            limit = min(end, upto)
            if limit <= position:
                continue
            for number, line in self._records_after(segment, position, limit):
                if items and (size + len(line) > max_bytes or len(items) >= max_count):
                    return Page(tuple(items), seq + 1, position)
                if number > position + 1:
                    items.append(MissingRecords(position + 1, number - 1))
                    if len(items) >= max_count:
                        return Page(tuple(items), seq + 1, number - 1)
                items.append(line)
                position, size = number, size + len(line)
            if len(items) >= max_count:
                return Page(tuple(items), seq + 1, position)
            if position < limit:
                items.append(MissingRecords(position + 1, limit))
                position = limit
        if position < upto:  # a segment is gone
            items.append(MissingRecords(position + 1, upto))
            position = upto
        return Page(tuple(items), seq + 1, position)

    def read_before(
        self, seq: int, lowest: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """The newest records from `lowest` to `seq`, at least one where there is one."""
        items: list[Item] = []
        expected, size = seq, 0
        segments = list_segments(self._folder)
        ends = last_counting_seqs(segments, seq)
        for segment, end in zip(reversed(segments), reversed(ends), strict=True):
            if expected < lowest or segment.first_seq > expected:
                continue
            for number, line in self._records_before(segment, min(end, expected)):
                if number > expected:
                    continue
                if number < lowest:
                    break
                full = len(items) >= max_count or (items and size + len(line) > max_bytes)
                if full:
                    return self._backward_page(items, expected, seq)
                if number < expected:
                    items.append(MissingRecords(number + 1, expected))
                items.append(line)
                expected, size = number - 1, size + len(line)
            floor = max(segment.first_seq, lowest)
            if expected >= floor and len(items) < max_count:
                items.append(MissingRecords(floor, expected))
                expected = floor - 1
        return self._backward_page(items, expected, seq)

    @staticmethod
    def _backward_page(items: list[Item], expected: int, seq: int) -> Page:
        return Page(tuple(reversed(items)), expected + 1, seq)

    def seq_before(self, timestamp: str, upto: int) -> int:
        """The number before the first record, in order, at or after `timestamp`.

        After a step back of the clock what follows is a superset, never a miss.
        """
        wanted = timestamp.encode("ascii")
        segments = list_segments(self._folder)
        position = segments[0].first_seq - 1 if segments else upto
        for segment, end in zip(segments, last_counting_seqs(segments, upto), strict=True):
            with slabs.opened(segment.path) as fd:
                offset = _first_offset(fd, by_time=wanted)
                line = slabs.line_at(fd, offset)
                prefix = record.prefix_of(line) if line is not None else None
            if prefix is not None and prefix[0] <= end:
                return min(prefix[0] - 1, upto)
            position = end
        return min(position, upto)

    def _records_after(self, segment: Segment, seq: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """Sound records with numbers from `seq + 1` to `limit`."""
        with slabs.opened(segment.path) as fd:
            if self._hint is not None and self._hint[:2] == (seq, segment.path):
                offset = self._hint[2]
            else:
                offset = _first_offset(fd, by_seq=seq)
            previous = seq
            for at, line in slabs.lines_from(fd, offset):
                if not record.is_sound(line):
                    continue
                number = record.seq_of(line)
                if number > limit:
                    return
                if number <= previous:  # a doubled record
                    continue
                yield number, line
                previous = number
                self._hint = (number, segment.path, at + len(line))

    def _records_before(self, segment: Segment, limit: int) -> Iterator[tuple[int, bytes]]:
        """Sound records with numbers up to `limit`, the newest first."""
        with slabs.opened(segment.path) as fd:
            for line in slabs.lines_before(fd, _first_offset(fd, by_seq=limit)):
                if record.is_sound(line):
                    yield record.seq_of(line), line


def _first_offset(fd: int, *, by_seq: int | None = None, by_time: bytes | None = None) -> int:
    """Where the first record begins whose number is above `by_seq`, or whose timestamp is at or
    after `by_time`; the end of the file where there is none.

    Invariant: every record that begins before `low` is too small; the one looked for does not
    begin behind the first one at or after `high`.
    """

    def is_far_enough(prefix: tuple[int, bytes]) -> bool:
        return prefix[0] > by_seq if by_seq is not None else prefix[1] >= (by_time or b"")

    low, high = 0, os.fstat(fd).st_size
    while high - low > _LINEAR_BYTES:
        middle = (low + high) // 2
        probe = slabs.first_record_from(fd, middle, high)
        if probe is None or is_far_enough(probe[1]):
            high = middle
        else:
            low = probe[0] + 1
    while (probe := slabs.first_record_from(fd, low, None)) is not None:
        if is_far_enough(probe[1]):
            return probe[0]
        low = probe[0] + 1
    return os.fstat(fd).st_size
