"""Bytes of a pipe to lines: split at newlines only, of any length up to a limit."""

from protocol.claude import Cut, RawLine

# Of a line that is cut, its end is kept too: the CLI may say there what it is.
TAIL_BYTES = 4 * 1024


class LineSplitter:
    """Feed it what was read, in any pieces. A longer line keeps its first `max_bytes` bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._kept_bytes = 0
        self._size_bytes = 0
        self._tail = b""

    def feed(self, data: bytes) -> list[RawLine]:
        """The lines that the data completes."""
        first, newline, behind = data.partition(b"\n")
        self._keep(first)
        if not newline:
            return []
        lines = [self._take()]
        pieces = behind.split(b"\n")
        for piece in pieces[:-1]:
            self._keep(piece)
            lines.append(self._take())
        self._keep(pieces[-1])
        return lines

    def rest(self) -> RawLine | None:
        """A last line that was left without an end."""
        return self._take() if self._size_bytes else None

    def _keep(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        kept = piece[: self._max_bytes - self._kept_bytes]
        if kept:
            self._parts.append(kept)
            self._kept_bytes += len(kept)
        if self._size_bytes > self._kept_bytes:
            self._tail = (self._tail + piece[len(kept) :])[-TAIL_BYTES:]

    def _take(self) -> RawLine:
        line = b"".join(self._parts)
        cut = Cut(self._size_bytes, self._tail) if self._size_bytes > len(line) else None
        self._parts.clear()
        self._kept_bytes = self._size_bytes = 0
        self._tail = b""
        return line, cut
