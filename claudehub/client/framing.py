"""Cut what a hub sends into frames (RFC 6455, section 5.2), so that most of them need no parsing.

Nearly all frames of a hub are whole text messages, and their payload is what a client wants. All
others (parts, compressed ones, pings, closes, faults) are left to `websockets`, as whole frames.
"""

from collections.abc import Iterator

TEXT = 0x81  # a text frame that is a whole message, without bits of an extension
SHORT_MAX, LENGTH_OF_2, LENGTH_OF_8 = 125, 126, 127


class Framer:
    """The bytes of one direction of a connection. `limit` is the size above which a frame is left
    to `websockets` at once; with `in_parts` text frames are left to it too."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_parts = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._wanted_bytes = 0

    def feed(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Take bytes. Yield True and the text of each whole message, and False and each other
        frame."""
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes < self._wanted_bytes:
            return  # a large frame is joined once, not with each piece of it
        data = b"".join(self._pending)
        at, end = 0, len(data)
        while True:
            start, stop = self._bounds(data, at)
            if stop > end:
                break
            if data[at] == TEXT and not self.in_parts and start:
                yield True, data[start:stop]
            else:
                yield False, data[at:stop]
            at = stop
        self._pending = [data[at:]] if at < end else []
        self._pending_bytes, self._wanted_bytes = end - at, stop - at

    def _bounds(self, data: bytes, at: int) -> tuple[int, int]:
        """Return where the payload of the frame at a place begins, and where the frame ends; the
        end is behind the data if there is not enough of it. A frame that no hub sends is all that
        there is, and its payload begins nowhere (0)."""
        end = len(data)
        if end < at + 2:
            return 0, end + 1 if end > at else end + 2
        length, start = data[at + 1], at + 2
        if length > SHORT_MAX:
            size = {LENGTH_OF_2: 2, LENGTH_OF_8: 8}.get(length)
            if size is None:
                return 0, end  # masked
            if end < start + size:
                return 0, start + size + 1
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        return (start, start + length) if length <= self.limit else (0, end)
