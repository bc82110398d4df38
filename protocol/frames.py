"""WebSocket frames of a server: final and unmasked, the same bytes for everybody who gets them.

RFC 6455, section 5.2. A buffer is any number of whole frames, one behind the other.
"""

import re
from collections.abc import Iterable, Iterator

_DEFLATED = 0x40  # RSV1: RFC 7692, section 6
# As Version1 in dialect.py makes it of a stored record.
_STORED_UPDATE = re.compile(
    rb'\{"type":"update","payload":\{"seq":(\d+),"timestamp":"[^"]*","project_id":"([^"]*)"'
)


def text_head(size_bytes: int) -> bytes:
    """Return the head of a frame: FIN, text, no mask, and the length in its shortest form."""
    if size_bytes < 126:
        return b"\x81%c" % size_bytes
    if size_bytes < 1 << 16:
        return b"\x81\x7e" + size_bytes.to_bytes(2)
    return b"\x81\x7f" + size_bytes.to_bytes(8)


def text_frame(message: bytes) -> bytes:
    """Return a message in one frame."""
    return text_head(len(message)) + message


def text_frames(messages: Iterable[bytes]) -> bytes:
    """Return messages, each in a frame of its own, one behind the other."""
    parts: list[bytes] = []
    for message in messages:
        parts += (text_head(len(message)), message)
    return b"".join(parts)


def deflated_frames(messages: Iterable[bytes]) -> bytes:
    """Return compressed text messages, each in a frame of its own, one behind the other."""
    parts: list[bytes] = []
    for message in messages:
        head = text_head(len(message))
        parts += (b"%c%b" % (head[0] | _DEFLATED, head[1:]), message)
    return b"".join(parts)


def boundary(buffer: bytes, offset: int) -> int:
    """Return where the frame that holds byte `offset` ends, or the offset if a frame ends there."""
    return next((end for _, end in _frames(buffer) if end >= offset), offset) if offset else 0


def count_before(buffer: bytes, offset: int) -> int:
    """Return how many frames end at or before that byte."""
    count = 0
    for _, end in _frames(buffer):
        if end > offset:
            break
        count += 1
    return count


def first_update(buffer: bytes, skip: int = 0) -> tuple[str, int] | None:
    """Return the project and the number of the first stored update, after `skip` uncompressed
    frames; None if there is none."""
    for number, (start, _) in enumerate(_frames(buffer)):
        if number >= skip and (found := _STORED_UPDATE.match(buffer, start)):
            return found[2].decode("ascii"), int(found[1])
    return None


def _frames(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each message begins and ends."""
    at = 0
    while at < len(buffer):
        start = at + _head_bytes(buffer, at)
        length = buffer[at + 1] & 0x7F
        if length >= 126:
            length = int.from_bytes(buffer[at + 2 : start])
        at = start + length
        yield start, at


def _head_bytes(buffer: bytes, at: int) -> int:
    return {126: 4, 127: 10}.get(buffer[at + 1] & 0x7F, 2)
