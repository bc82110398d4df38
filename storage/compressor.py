"""Compress one closed segment, in a process of its own: `python -m storage.compressor`.

The process works at the lowest priority and ends when its standard input does, so it never outlives
the server. The log's owner takes the file that it writes (MessageLog.take_compressed).
"""

import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from storage import blocks, disk, plain_lines, record
from storage.segments import Compression

NICE = 19


class Cancelled(Exception):
    """Nobody wants the result any more."""


def compress(
    source: Path, target: Path, compression: Compression, is_wanted: Callable[[], bool]
) -> None:
    """Write `target`, flushed, and prove that it gives back the source byte for byte.

    `is_wanted` is asked before each block. Raises OSError, Cancelled, and ValueError if the source
    is no segment or a block could not be read back.
    """
    with disk.reading(source) as plain_fd:
        _write(plain_fd, target, compression, is_wanted)
        # Also how the log's owner sees that this was made of the file that has the name.
        times = os.fstat(plain_fd)
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def _write(
    plain_fd: int, target: Path, compression: Compression, is_wanted: Callable[[], bool]
) -> None:
    with disk.writing(target) as fd:
        for first, plain in _gathered(plain_fd):
            if not is_wanted():
                raise Cancelled
            disk.write_all(fd, blocks.encode(compression, first, plain))
        _prove(compression, plain_fd, target)


def _gathered(fd: int) -> Iterator[tuple[tuple[int, bytes], bytes]]:
    """Yield lines in blocks, each with the number and time of its first sound record. Damaged lines
    stay as they are, in the block before or around them."""
    gathered: list[bytes] = []
    size = 0
    first: tuple[int, bytes] | None = None
    for _, lines in plain_lines.slabs_from(fd, 0):
        sound = {index: number for index, number, _ in record.sound_records(lines)}
        for index, line in enumerate(lines):
            if index in sound:
                if size >= blocks.BLOCK_BYTES and first is not None:
                    yield first, b"".join(gathered)
                    gathered, size, first = [], 0, None
                first = first or (sound[index], record.timestamp_of(line))
            gathered.append(line)
            size += len(line)
    if first is not None:
        yield first, b"".join(gathered)


def _prove(compression: Compression, plain_fd: int, target: Path) -> None:
    """Read the target back and compare it: the source is deleted afterwards."""
    offset = 0
    with disk.reading(target) as fd:
        for block in blocks.blocks_from(compression, fd, 0):
            plain = blocks.read(compression, fd, block)
            if plain is None or plain != os.pread(plain_fd, len(plain), offset):
                raise ValueError(f"{target}: a block does not give back what went into it")
            offset += len(plain)
    if offset != os.fstat(plain_fd).st_size:
        raise ValueError(f"{target}: the source has something that is no whole line of a segment")


def main() -> int:
    """Run with the arguments SOURCE TARGET COMPRESSION. Return 0 if the target is there and
    flushed."""
    source, target, compression = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    os.nice(NICE)
    process = psutil.Process()
    if hasattr(process, "ionice"):  # Linux
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    try:
        compress(source, target, Compression(compression), _is_input_open)
    except (Cancelled, OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        sys.stderr.write(f"{source}: {error}\n")
        return 1
    return 0


def _is_input_open() -> bool:
    readable, _, _ = select.select([0], [], [], 0)
    return not readable


if __name__ == "__main__":
    sys.exit(main())
