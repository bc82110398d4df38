"""One record of the log, as bytes. Everything here is slices and a CRC, nothing is parsed."""

import re
from collections.abc import Iterable, Iterator
from zlib import crc32

_HEAD = b'{"crc":"'
_SEQ = b'"seq":'
_TIMESTAMP = b',"timestamp":"'
_SEQ_AT = 18  # behind `{"crc":"9f3c01ab",`
_NUMBER_AT = _SEQ_AT + len(_SEQ)
# Of 18 digits: a number that nobody can count to must not be counted from.
_STAMP = re.compile(rb'"seq":(\d{1,18}),"timestamp":"[0-9T:.-]{26}Z",')
TIMESTAMP_LENGTH = 27  # 2026-11-23T08:14:33.123456Z: a fixed width, so that it sorts as text
# Enough of a line for its number, its time, its project and its update type.
PREFIX_BYTES = 256


def encode(seq: int, timestamp: bytes, body: bytes) -> bytes:
    """A whole line. `body` is what follows the timestamp, up to the closing brace."""
    head = b'"seq":%d,"timestamp":"%b",' % (seq, timestamp)
    return b'{"crc":"%08x",%b%b\n' % (crc32(body, crc32(head)), head, body)


def is_sound(line: bytes) -> bool:
    """Whether a line, newline included, is a record as it was written."""
    if not (line.startswith(_HEAD) and line[16:24] == b'",' + _SEQ and line.endswith(b"}\n")):
        return False
    return line[8:16] == b"%08x" % crc32(memoryview(line)[_SEQ_AT:-1])


def sound_records(lines: Iterable[bytes], seq: int) -> Iterator[tuple[int, int, bytes]]:
    """Of lines, newline included, those that are records as they were written: the place in
    `lines`, the number, the line.

    All reading of logs comes through here, so it is one loop without a call. `seq`, the number
    before the first, is a guess that makes it faster.
    """
    for index, line in enumerate(lines):
        rest = line[_SEQ_AT:-1]
        if line[:_SEQ_AT] != b'{"crc":"%08x",' % crc32(rest) or line[-2:] != b"}\n":
            continue
        if rest.startswith(b'"seq":%d,' % (seq + 1)):
            seq += 1
        elif (found := _STAMP.match(rest)) is not None:
            seq = int(found[1])
        else:
            continue
        yield index, seq, line


def seq_of(line: bytes) -> int:
    """The number of a sound line."""
    return int(line[_NUMBER_AT : line.index(b",", _NUMBER_AT)])


def timestamp_of(line: bytes) -> bytes:
    """The timestamp of a sound line."""
    at = line.index(b",", _NUMBER_AT) + len(_TIMESTAMP)
    return line[at : at + TIMESTAMP_LENGTH]


def stamp_of(line: bytes) -> tuple[int, bytes]:
    """Number and timestamp of a sound line."""
    return seq_of(line), timestamp_of(line)
