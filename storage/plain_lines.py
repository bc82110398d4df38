"""Lines of a plain file by offset, read in slabs with pread: forwards, backwards, from a guess."""

import os
from collections.abc import Iterator
from io import BytesIO

from storage import record

SLAB_BYTES = 64 * 1024
# A slab doubles up to SLAB_BYTES: small for a single record, large for a page of a hundred.
PROBE_BYTES = 8 * 1024
FIRST_SLAB_BYTES = 32 * 1024


def slabs_from(
    fd: int, offset: int, slab_bytes: int = FIRST_SLAB_BYTES
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield whole lines, with their newlines, from `offset` on, and where the first of them begins.

    What follows the last newline is left out: it may be half a line.
    """
    rest: list[bytes] = []
    start = offset
    while slab := os.pread(fd, slab_bytes, offset):
        offset += len(slab)
        slab_bytes = min(2 * slab_bytes, SLAB_BYTES)
        if b"\n" not in slab:
            rest.append(slab)
            continue
        if rest:
            slab = b"".join([*rest, slab])
        lines = BytesIO(slab).readlines()  # bytes.splitlines would split at \r as well
        rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        yield start, lines
        start = offset - sum(map(len, rest))


def slabs_before(fd: int, end: int, slab_bytes: int = FIRST_SLAB_BYTES) -> Iterator[list[bytes]]:
    """Yield whole lines that end at or before `end`: the nearest slab first, in order within a
    slab."""
    # The pieces of a line that begins in an earlier slab, its last piece first; None before any
    # line.
    head: list[bytes] | None = None
    while end > 0:
        length = min(slab_bytes, end)
        slab_bytes = min(2 * slab_bytes, SLAB_BYTES)
        end -= length
        slab = os.pread(fd, length, end)
        if head is None:  # nothing, or half a line, follows the last newline
            slab = slab[: slab.rfind(b"\n") + 1]
            if not slab:
                continue
            head = []
        begin = slab.find(b"\n") + 1 if end else 0
        if end and begin == 0:
            head.append(slab)
            continue
        if body := b"".join([slab[begin:], *reversed(head)]):
            yield BytesIO(body).readlines()
        head = [slab[:begin]]


def records_from(
    fd: int, offset: int, slab_bytes: int = PROBE_BYTES
) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """Yield sound records from the first line that begins at or after `offset`: where each begins,
    its number and its timestamp.

    Lines are checked, because a flipped digit in a number would lead a bisection astray.
    """
    is_first = offset > 0
    for start, slab in slabs_from(fd, max(offset - 1, 0), slab_bytes):
        at, lines = start, slab
        if is_first:  # the line that the byte before `offset` belongs to
            at, lines, is_first = start + len(slab[0]), slab[1:], False
        previous = 0
        for index, number, line in record.sound_records(lines):
            at += sum(map(len, lines[previous:index]))
            previous = index
            yield at, (number, record.timestamp_of(line))
