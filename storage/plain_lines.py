"""Lines of a plain file by offset, in slabs read with pread: forwards, backwards, from a guess."""

import os
from collections.abc import Iterator

from storage import record

SLAB_BYTES = 256 * 1024
# For a single record somewhere; it doubles up to SLAB_BYTES where the line is longer.
PROBE_BYTES = 8 * 1024


def lines_from(fd: int, offset: int, slab_bytes: int = SLAB_BYTES) -> Iterator[tuple[int, bytes]]:
    """Whole lines, newline included, from `offset` on, with where each begins.

    What follows the last newline is left out: it may be half a line.
    """
    rest: list[bytes] = []
    start = offset
    while slab := os.pread(fd, slab_bytes, offset):
        offset += len(slab)
        slab_bytes = min(2 * slab_bytes, SLAB_BYTES)
        first, newline, behind = slab.partition(b"\n")
        if not newline:
            rest.append(slab)
            continue
        line = b"".join([*rest, first, b"\n"])
        yield start, line
        start += len(line)
        for piece in behind.split(b"\n")[:-1]:
            yield start, piece + b"\n"
            start += len(piece) + 1
        rest = [behind[behind.rfind(b"\n") + 1 :]]


def lines_before(fd: int, end: int) -> Iterator[bytes]:
    """Whole lines that end at or before `end`, the last one first."""
    tail: list[bytes] = []  # pieces of the line under way, the last piece first
    is_whole = False
    offset = end
    while offset > 0:
        length = min(SLAB_BYTES, offset)
        offset -= length
        pieces = os.pread(fd, length, offset).split(b"\n")
        if not is_whole:
            if len(pieces) == 1:
                continue
            pieces.pop()  # behind the last newline: nothing, or half a line
            is_whole = True
        tail.append(pieces[-1])
        for piece in reversed(pieces[:-1]):
            yield b"".join(reversed(tail)) + b"\n"
            tail = [piece]
    if is_whole:
        yield b"".join(reversed(tail)) + b"\n"


def records_from(fd: int, offset: int) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """Sound records from the first line that begins at or after `offset`: where each begins, its
    number and its timestamp.

    A line that only looks like a record would lead a bisection astray by a flipped digit.
    """
    lines = lines_from(fd, max(offset - 1, 0), PROBE_BYTES)
    if offset > 0:
        next(lines, None)  # the line that the byte before `offset` belongs to
    for at, line in lines:
        if record.is_sound(line):
            yield at, record.stamp_of(line)
