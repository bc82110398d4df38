"""A segment that is open for reading, plain or compressed, with one interface for both."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from storage import blocks, disk, plain_lines, record
from storage.blocks import Block
from storage.segments import Compression, Segment

# An offset in the file, and how far into the block that begins there (0 in a plain file).
Place = tuple[int, int]
START: Place = (0, 0)
# Whether a record, by number and timestamp, is far enough; once true it stays so.
Test = Callable[[tuple[int, bytes]], bool]
# Below this distance a bisection goes on step by step.
_LINEAR_BYTES = 32 * 1024


class SegmentFile(Protocol):
    """Lines come whole, newline included. Every call raises OSError where the file fails."""

    @property
    def end(self) -> Place:
        """Behind the last line."""

    def find(self, is_far_enough: Test) -> Place:
        """Where the first record begins that is far enough; else the end."""

    def lines_from(self, place: Place) -> Iterator[tuple[Place, bytes]]:
        """Each line, with the place behind it."""

    def lines_before(self, place: Place) -> Iterator[bytes]:
        """The last one first."""


@contextmanager
def opened(segment: Segment) -> Iterator[SegmentFile]:
    """Raises OSError."""
    with disk.reading(segment.path) as fd:
        if segment.compression is Compression.OFF:
            yield PlainFile(fd)
        else:
            yield BlockFile(fd, segment.compression)


class PlainFile:
    """JSON Lines as they were appended."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def end(self) -> Place:
        return os.fstat(self._fd).st_size, 0

    def find(self, is_far_enough: Test) -> Place:
        """Invariant: every record that begins before `low` is too small; the one looked for does
        not begin behind the first one at or after `high`."""
        low, high = 0, self.end[0]
        while high - low > _LINEAR_BYTES:
            middle = (low + high) // 2
            probe = next(plain_lines.records_from(self._fd, middle), None)
            if probe is None or probe[0] >= high or is_far_enough(probe[1]):
                high = middle
            else:
                low = probe[0] + 1
        for offset, prefix in plain_lines.records_from(self._fd, low):
            if is_far_enough(prefix):
                return offset, 0
        return self.end

    def lines_from(self, place: Place) -> Iterator[tuple[Place, bytes]]:
        for offset, line in plain_lines.lines_from(self._fd, place[0]):
            yield (offset + len(line), 0), line

    def lines_before(self, place: Place) -> Iterator[bytes]:
        return plain_lines.lines_before(self._fd, place[0])


class BlockFile:
    """Blocks of lines (blocks.py)."""

    def __init__(self, fd: int, compression: Compression) -> None:
        self._fd = fd
        self._compression = compression

    @property
    def end(self) -> Place:
        return os.fstat(self._fd).st_size, 0

    def find(self, is_far_enough: Test) -> Place:
        for block in self._blocks_from(self._last_too_small(is_far_enough)):
            place = (block.offset, 0)
            for behind, line in self._lines_in(block, 0):
                if record.is_sound(line) and is_far_enough(record.stamp_of(line)):
                    return place
                place = behind
        return self.end

    def _last_too_small(self, is_far_enough: Test) -> int:
        """The offset of the last block whose first record is too small: what is looked for lies in
        it or begins the next one."""
        low, high, found = 0, self.end[0], 0
        while low < high:
            middle = (low + high) // 2
            probe = blocks.first_from(self._compression, self._fd, middle, high)
            if probe is None or is_far_enough(probe.first):
                high = middle
            else:
                found, low = probe.offset, probe.end
        return found

    def lines_from(self, place: Place) -> Iterator[tuple[Place, bytes]]:
        offset, skip = place
        for block in self._blocks_from(offset):
            yield from self._lines_in(block, skip if block.offset == offset else 0)

    def lines_before(self, place: Place) -> Iterator[bytes]:
        offset, inner = place
        if inner:
            block = blocks.first_from(self._compression, self._fd, offset, offset + 1)
            yield from reversed(self._whole_lines(block, 0, inner) if block else [])
        while (block := blocks.last_before(self._compression, self._fd, offset)) is not None:
            yield from reversed(self._whole_lines(block, 0, block.plain_bytes))
            offset = block.offset

    def _blocks_from(self, offset: int) -> Iterator[Block]:
        return blocks.blocks_from(self._compression, self._fd, offset)

    def _lines_in(self, block: Block, inner: int) -> Iterator[tuple[Place, bytes]]:
        for line in self._whole_lines(block, inner, block.plain_bytes):
            inner += len(line)
            at_end = inner >= block.plain_bytes
            yield (block.end, 0) if at_end else (block.offset, inner), line

    def _whole_lines(self, block: Block, start: int, end: int) -> list[bytes]:
        plain = blocks.read(self._compression, self._fd, block)
        if plain is None:
            return []
        return [piece + b"\n" for piece in plain[start:end].split(b"\n")[:-1]]
