"""Compressed segments: blocks of whole lines, each readable on its own.

A block is one gzip member (RFC 1952), or one skippable frame and one frame of zstd (RFC 8878), so
`zcat`, `zgrep`, `zstdcat` and `zstdgrep` show the file as it was. gzip's extra field, and zstd's
skippable frame, hold the number and the time of the block's first record, for a bisection. Sixteen
fixed bytes begin a block, so a reader finds one from any offset, as it finds a line in a plain
segment, and a damaged block costs only itself. There is no index.
"""

import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from storage.record import TIMESTAMP_LENGTH
from storage.segments import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Smaller blocks compress worse; larger blocks make a single record more expensive to read.
BLOCK_BYTES = 32 * 1024
GZIP_LEVEL = 6
ZSTD_LEVEL = 3
_FACTS = struct.Struct(f"<Q{TIMESTAMP_LENGTH}sxII")  # seq, time, plain bytes, bytes of the block
_CHECKED = _FACTS.size + 4  # with the CRC-32 of everything before it
_READ_BYTES = 64 * 1024


def _gzip_magic() -> bytes:
    # Deflate, FEXTRA only, no time, unknown system; one field, `CH`.
    field = b"CH" + struct.pack("<H", _CHECKED)
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(field) + _CHECKED) + field


MAGIC = {
    Compression.GZIP: _gzip_magic(),
    Compression.ZSTD: struct.pack("<II", 0x184D2A50, 8 + _CHECKED) + b"claudehb",
}
_MAGIC_BYTES = 16
HEAD_BYTES = _MAGIC_BYTES + _CHECKED


@dataclass(frozen=True, slots=True)
class Block:
    """The place of a block, and its first record. `size_bytes` is its size in the file,
    `plain_bytes` the size of its lines."""

    offset: int
    first: tuple[int, bytes]
    plain_bytes: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


def encode(compression: Compression, first: tuple[int, bytes], plain: bytes) -> bytes:
    """Return a block of whole lines; `first` is the result of `record.stamp_of` for the first
    record."""
    if compression is Compression.GZIP:
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = deflate.compress(plain) + deflate.flush()
        body += struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
    else:
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: ZSTD_LEVEL,
            zstd.CompressionParameter.checksum_flag: 1,
        }
        body = zstd.compress(plain, options=options)
    size = HEAD_BYTES + len(body)
    head = MAGIC[compression] + _FACTS.pack(*first, len(plain), size)
    return head + struct.pack("<I", zlib.crc32(head)) + body


def parse_head(compression: Compression, data: bytes, offset: int) -> Block | None:
    """Return the block that begins with these bytes, or None if they are not a block's."""
    if len(data) < HEAD_BYTES or not data.startswith(MAGIC[compression]):
        return None
    (checksum,) = struct.unpack_from("<I", data, HEAD_BYTES - 4)
    if zlib.crc32(data[: HEAD_BYTES - 4]) != checksum:
        return None
    seq, stamp, plain_bytes, size_bytes = _FACTS.unpack_from(data, _MAGIC_BYTES)
    return Block(offset, (seq, stamp), plain_bytes, size_bytes)


def read(compression: Compression, fd: int, block: Block) -> bytes | None:
    """Return the lines of a block, or None if it is damaged. Raises OSError."""
    data = os.pread(fd, block.size_bytes, block.offset)
    try:
        if compression is Compression.GZIP:
            # gzip's own checksum is not verified: each record has one.
            plain = zlib.decompress(data[HEAD_BYTES:-8], -zlib.MAX_WBITS, block.plain_bytes)
        else:
            plain = zstd.ZstdDecompressor().decompress(
                memoryview(data)[HEAD_BYTES:], block.plain_bytes + 1
            )
    except (zlib.error, zstd.ZstdError):
        return None
    return plain if len(plain) == block.plain_bytes else None


def first_from(compression: Compression, fd: int, offset: int, end: int) -> Block | None:
    """Return the first block that begins at or after `offset` and before `end`. Raises OSError."""
    while offset < end:
        data = os.pread(fd, _READ_BYTES, offset)
        at = data.find(MAGIC[compression])
        if at < 0:
            if len(data) < _MAGIC_BYTES:
                return None
            offset += len(data) - _MAGIC_BYTES + 1
            continue
        head = data[at : at + HEAD_BYTES]
        if len(head) < HEAD_BYTES:
            head = os.pread(fd, HEAD_BYTES, offset + at)
        if offset + at >= end:
            return None
        if (block := parse_head(compression, head, offset + at)) is not None:
            return block
        offset += at + 1
    return None


def last_before(compression: Compression, fd: int, end: int) -> Block | None:
    """Return the last block that begins before `end`. Raises OSError."""
    while end > 0:
        start = max(0, end - _READ_BYTES)
        # A head that begins before `end` may reach beyond it.
        data = os.pread(fd, end - start + HEAD_BYTES - 1, start)
        at = data.rfind(MAGIC[compression], 0, end - start + _MAGIC_BYTES - 1)
        while at >= 0:
            block = parse_head(compression, data[at : at + HEAD_BYTES], start + at)
            if block is not None:
                return block
            at = data.rfind(MAGIC[compression], 0, at + _MAGIC_BYTES - 1)
        end = start
    return None


def blocks_from(compression: Compression, fd: int, offset: int) -> Iterator[Block]:
    """Yield the blocks from `offset` on, without the damaged ones between them. Raises OSError."""
    size = os.fstat(fd).st_size
    while (block := first_from(compression, fd, offset, size)) is not None:
        yield block
        offset = block.end
