"""A segment that is open for reading, plain or compressed, with one interface for both."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from storage import blocks, disk, plain_lines, record
from storage.blocks import Block
from storage.segments import Compression, Segment

# An offset in the file, and how far into the block that begins there (0 in a plain file).
Place = tuple[int, int]
START: Place = (0, 0)
# True if a record, by number and timestamp, is far enough; once true it stays true.
Test = Callable[[tuple[int, bytes]], bool]
# What a bisection found at an offset of a file: where a record begins, its number and its time.
Probe = tuple[int, tuple[int, bytes]]
# Below this distance a bisection continues line by line.
_LINEAR_BYTES = 8 * 1024
# Only offsets that are multiples of these are remembered: a thousand for a segment of 1 GiB.
_PLAIN_GRID_BYTES = 1024 * 1024
_BLOCK_GRID_BYTES = 256 * 1024


class Probes(Protocol):
    """What bisections of one file have found, for the next bisection."""

    def get(self, offset: int) -> Probe | None: ...

    def put(self, offset: int, probe: Probe) -> None: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines in order, with their newlines. `place` is where they begin, `end` where the next
    chunk begins; `in_block`: places between them are places in a block."""

    place: Place
    lines: Sequence[bytes]
    end: Place
    in_block: bool

    def behind(self, count: int) -> Place:
        """Return the place behind that many lines."""
        if count == len(self.lines):
            return self.end
        size = sum(map(len, self.lines[:count]))
        offset, inner = self.place
        return (offset, inner + size) if self.in_block else (offset + size, 0)


class SegmentFile(Protocol):
    """Every call raises OSError if the file fails."""

    @property
    def end(self) -> Place:
        """Return the place behind the last line."""

    def find(self, is_far_enough: Test) -> Place:
        """Return where the first record begins that is far enough, or the end."""

    def chunks_from(self, place: Place) -> Iterator[Chunk]:
        """Yield the lines from a place on."""

    def lines_before(self, place: Place) -> Iterator[Sequence[bytes]]:
        """Yield the lines before a place: the nearest chunk first, in order within a chunk."""


@contextmanager
def opened(segment: Segment, probes: Probes | None = None) -> Iterator[SegmentFile]:
    """Open a segment, as a context. Raises OSError."""
    with disk.reading(segment.path) as fd:
        if segment.compression is Compression.OFF:
            yield PlainFile(fd, probes)
        else:
            yield BlockFile(fd, segment.compression, probes)


class PlainFile:
    """JSON Lines as they were appended."""

    def __init__(self, fd: int, probes: Probes | None = None) -> None:
        self._fd = fd
        self._probes = probes

    @property
    def end(self) -> Place:
        return os.fstat(self._fd).st_size, 0

    def find(self, is_far_enough: Test) -> Place:
        """Search by bisection. Invariant: every record that begins before `low` is too small, and
        the wanted record begins no later than the first record at or after `high`."""
        low, high = 0, self.end[0]
        while high - low > _LINEAR_BYTES:
            middle = _middle(low, high)
            probe = _remembered(self._probes, middle, _PLAIN_GRID_BYTES, self._look)
            if probe is None or probe[0] >= high or is_far_enough(probe[1]):
                high = middle
            else:
                low = probe[0] + 1
        for offset, stamp in plain_lines.records_from(self._fd, low, 2 * _LINEAR_BYTES):
            if is_far_enough(stamp):
                return offset, 0
        return self.end

    def _look(self, offset: int) -> Probe | None:
        return next(plain_lines.records_from(self._fd, offset), None)

    def chunks_from(self, place: Place) -> Iterator[Chunk]:
        for start, lines in plain_lines.slabs_from(self._fd, place[0]):
            yield Chunk((start, 0), lines, (start + sum(map(len, lines)), 0), False)

    def lines_before(self, place: Place) -> Iterator[Sequence[bytes]]:
        return plain_lines.slabs_before(self._fd, place[0])


class BlockFile:
    """Blocks of lines (blocks.py)."""

    def __init__(self, fd: int, compression: Compression, probes: Probes | None = None) -> None:
        self._fd = fd
        self._compression = compression
        self._probes = probes
        # The block that was read last: what a search has found in it is read next.
        self._last: tuple[int, bytes] | None = None

    @property
    def end(self) -> Place:
        return os.fstat(self._fd).st_size, 0

    def find(self, is_far_enough: Test) -> Place:
        for chunk in self.chunks_from((self._last_too_small(is_far_enough), 0)):
            for index, number, line in record.sound_records(chunk.lines):
                if is_far_enough((number, record.timestamp_of(line))):
                    return chunk.behind(index)
        return self.end

    def _last_too_small(self, is_far_enough: Test) -> int:
        """Return the offset of the last block whose first record is too small. The wanted record
        lies in it or begins the next one."""
        low, high, found = 0, self.end[0], 0
        while low < high:
            middle = _middle(low, high)
            probe = _remembered(self._probes, middle, _BLOCK_GRID_BYTES, self._look)
            if probe is None or probe[0] >= high or is_far_enough(probe[1]):
                high = middle
            else:
                found, low = probe[0], probe[0] + 1
        return found

    def _look(self, offset: int) -> Probe | None:
        block = blocks.first_from(self._compression, self._fd, offset, self.end[0])
        return (block.offset, block.first) if block is not None else None

    def chunks_from(self, place: Place) -> Iterator[Chunk]:
        offset, skip = place
        for block in blocks.blocks_from(self._compression, self._fd, offset):
            inner = skip if block.offset == offset else 0
            lines = self._lines(block, inner, block.plain_bytes)
            yield Chunk((block.offset, inner), lines, (block.end, 0), True)

    def lines_before(self, place: Place) -> Iterator[Sequence[bytes]]:
        offset, inner = place
        if inner:
            block = blocks.first_from(self._compression, self._fd, offset, offset + 1)
            yield self._lines(block, 0, inner) if block else []
        while (block := blocks.last_before(self._compression, self._fd, offset)) is not None:
            yield self._lines(block, 0, block.plain_bytes)
            offset = block.offset

    def _lines(self, block: Block, start: int, end: int) -> list[bytes]:
        if self._last is None or self._last[0] != block.offset:
            plain = blocks.read(self._compression, self._fd, block)
            self._last = (block.offset, plain or b"")
        return BytesIO(self._last[1][start:end]).readlines()


def _remembered(
    probes: Probes | None, offset: int, grid_bytes: int, look: Callable[[int], Probe | None]
) -> Probe | None:
    """Return the first record, or block, that begins at or after an offset; look it up once if the
    offset is round."""
    if probes is None or offset % grid_bytes:
        return look(offset)
    probe = probes.get(offset)
    if probe is None and (probe := look(offset)) is not None:
        probes.put(offset, probe)
    return probe


def _middle(low: int, high: int) -> int:
    """Return an offset from `low` to below `high`, as round as possible: bisections of a file that
    has grown then still ask at the same places."""
    last = high - 1
    if last == low:
        return low
    bit = (low ^ last).bit_length() - 1
    return (last >> bit) << bit
