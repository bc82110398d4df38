"""One record of the log, as bytes: slices, a CRC and one expression. No JSON is parsed."""

import re
from collections.abc import Iterable, Iterator
from zlib import crc32

_SEQ = b'"seq":'
_TIMESTAMP = b',"timestamp":"'
_SEQ_AT = 18  # the bytes of `{"crc":"9f3c01ab",`
_NUMBER_AT = _SEQ_AT + len(_SEQ)
# The number must be positive and the day must exist: a checksum that fits proves neither, and
# readers do not check again. (2100-02-29 passes.)
_STAMP = re.compile(
    rb'"seq":(\d{1,18}),"timestamp":"'
    rb"(?:[1-9]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    rb"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rb"|[1-9]\d(?:0[048]|[2468][048]|[13579][26])-02-29)"
    rb'T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z",'
)
TIMESTAMP_LENGTH = 27  # 2026-11-23T08:14:33.123456Z has a fixed width, so it sorts as text
# Enough of a line to hold its number, time, project and update type.
PREFIX_BYTES = 256


def encode(seq: int, timestamp: bytes, body: bytes) -> bytes:
    """Return a whole line. `body` is what follows the timestamp, up to the closing brace."""
    head = b'"seq":%d,"timestamp":"%b",' % (seq, timestamp)
    return b'{"crc":"%08x",%b%b\n' % (crc32(body, crc32(head)), head, body)


def is_sound(line: bytes) -> bool:
    """Return True if a line, with its newline, is a record as it was written."""
    return next(sound_records((line,)), None) is not None


def sound_records(lines: Iterable[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield the lines that are records as they were written: the place in `lines`, the number, the
    line.

    All reading of logs comes through here, so it is one loop without calls of ours.
    """
    for index, line in enumerate(lines):
        rest = line[_SEQ_AT:-1]
        if line[:_SEQ_AT] != b'{"crc":"%08x",' % crc32(rest) or line[-2:] != b"}\n":
            continue
        if (found := _STAMP.match(rest)) is not None:
            yield index, int(found[1]), line


def seq_of(line: bytes) -> int:
    """Return the number of a sound line."""
    return int(line[_NUMBER_AT : line.index(b",", _NUMBER_AT)])


def timestamp_of(line: bytes) -> bytes:
    """Return the timestamp of a sound line."""
    at = line.index(b",", _NUMBER_AT) + len(_TIMESTAMP)
    return line[at : at + TIMESTAMP_LENGTH]


def stamp_of(line: bytes) -> tuple[int, bytes]:
    """Return the number and the timestamp of a sound line."""
    return seq_of(line), timestamp_of(line)
