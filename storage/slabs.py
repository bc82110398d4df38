"""Lines of a file by offset, read in slabs with pread: forwards, backwards, and from a guess."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.record import PREFIX_BYTES, prefix_of

SLAB_BYTES = 256 * 1024
_PROBE_BYTES = 4 * 1024


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor for reading."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


def lines_from(fd: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines, newline included, from `offset` on, with where each begins.

    What follows the last newline is left out: it may be half a line.
    """
    rest: list[bytes] = []
    start = offset
    while slab := os.pread(fd, SLAB_BYTES, offset):
        offset += len(slab)
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
    offset = end
    while offset > 0:
        length = min(SLAB_BYTES, offset)
        offset -= length
        pieces = os.pread(fd, length, offset).split(b"\n")
        tail.append(pieces[-1])
        for piece in reversed(pieces[:-1]):
            if line := b"".join(reversed(tail)):
                yield line + b"\n"
            tail = [piece]
    if line := b"".join(reversed(tail)):
        yield line + b"\n"


def line_at(fd: int, offset: int) -> bytes | None:
    """The whole line that begins at `offset`."""
    return next((line for _, line in lines_from(fd, offset)), None)


def first_record_from(
    fd: int, offset: int, end: int | None
) -> tuple[int, tuple[int, bytes]] | None:
    """The first line that begins at or after `offset` (and before `end`) and looks like a record:
    where it begins, its number and its timestamp."""
    start: int | None = offset if offset == 0 else _after_newline(fd, offset - 1)
    while start is not None and (end is None or start < end):
        if (prefix := prefix_of(os.pread(fd, PREFIX_BYTES, start))) is not None:
            return start, prefix
        start = _after_newline(fd, start)
    return None


def _after_newline(fd: int, offset: int) -> int | None:
    while chunk := os.pread(fd, _PROBE_BYTES, offset):
        at = chunk.find(b"\n")
        if at >= 0:
            return offset + at + 1
        offset += len(chunk)
    return None
