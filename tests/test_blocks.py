"""Compressed blocks as bytes, and what readers remember of files. On small files, pure."""

import gzip
import os
from pathlib import Path

import pytest

from storage import blocks, disk
from storage.landmarks import PROBES_MAX, Landmarks
from storage.record import encode
from storage.segments import Compression, Segment

STAMP = b"2026-11-23T08:14:33.123456Z"
COMPRESSED = [Compression.GZIP, Compression.ZSTD]


def lines(first: int, count: int = 3) -> bytes:
    return b"".join(encode(first + n, STAMP, b'"data":"x"}') for n in range(count))


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_block_head_with_a_flipped_bit_is_not_recognised(compression: Compression) -> None:
    data = blocks.encode(compression, (7, STAMP), lines(7))
    assert blocks.parse_head(compression, data, 0) == blocks.Block(
        0, (7, STAMP), len(lines(7)), len(data)
    )
    for position in range(blocks.HEAD_BYTES):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            assert blocks.parse_head(compression, bytes(damaged), 0) is None, position
    for length in range(blocks.HEAD_BYTES):
        assert blocks.parse_head(compression, data[:length], 0) is None


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_block_is_found_from_every_offset_and_damage_costs_itself(
    tmp_path: Path, compression: Compression
) -> None:
    made = [blocks.encode(compression, (n, STAMP), lines(n)) for n in (1, 4, 7)]
    path = tmp_path / "blocks"
    starts = [0, len(made[0]), len(made[0]) + len(made[1])]
    path.write_bytes(b"".join(made))
    with disk.reading(path) as fd:
        size = os.fstat(fd).st_size
        for offset in range(size):
            found = blocks.first_from(compression, fd, offset, size)
            behind = [start for start in starts if start >= offset]
            assert (found.offset if found else None) == (behind[0] if behind else None)
            before = blocks.last_before(compression, fd, offset)
            earlier = [start for start in starts if start < offset]
            assert (before.offset if before else None) == (earlier[-1] if earlier else None)
    damaged = bytearray(path.read_bytes())
    damaged[starts[1] + 20] ^= 1
    path.write_bytes(damaged)
    with disk.reading(path) as fd:
        found_blocks = list(blocks.blocks_from(compression, fd, 0))
        assert [block.first[0] for block in found_blocks] == [1, 7]
        assert [blocks.read(compression, fd, block) for block in found_blocks] == [
            lines(1),
            lines(7),
        ]


def test_gzip_reads_our_blocks() -> None:
    data = b"".join(blocks.encode(Compression.GZIP, (n, STAMP), lines(n)) for n in (1, 4))
    assert gzip.decompress(data) == lines(1) + lines(4)


def test_a_damaged_block_body_is_an_error(tmp_path: Path) -> None:
    for compression in COMPRESSED:
        data = bytearray(blocks.encode(compression, (1, STAMP), lines(1, 50)))
        data[len(data) // 2 + blocks.HEAD_BYTES // 2 : -9] = b"\xff" * len(
            data[len(data) // 2 + blocks.HEAD_BYTES // 2 : -9]
        )
        path = tmp_path / compression
        path.write_bytes(data)
        with disk.reading(path) as fd:
            block = blocks.first_from(compression, fd, 0, len(data))
            assert block is not None
            assert blocks.read(compression, fd, block) != lines(1, 50)


def test_landmarks_forget_what_may_still_change() -> None:
    landmarks = Landmarks()
    probes = landmarks.probes(Segment(1, "t", Path("a.jsonl")), upto=10)
    probes.put(0, (0, (10, STAMP)))
    probes.put(1 << 20, (1 << 20, (11, STAMP)))
    assert probes.get(0) == (0, (10, STAMP))
    assert probes.get(1 << 20) is None
    other = landmarks.probes(Segment(1, "t", Path("b.jsonl")), upto=10)
    assert other.get(0) is None
    for number in range(PROBES_MAX + 5):
        probes.put(number << 20, (0, (1, STAMP)))
    assert probes.get((PROBES_MAX + 4) << 20) is None
