"""Read the standard output of a process: in a thread of its own, as lines, within a credit."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

from actors.runtime.read_size import ReadSize
from protocol.claude import Cut, RawLine

# What a line costs beside its bytes: a flood of tiny lines must not queue up before a kill.
LINE_COST_BYTES = 256
# Where somebody holds the pipe open and goes on writing, no more than this is read after a stop.
READS_AFTER_STOP = 16
# Bytes that were read and are not durable yet. Above it the pipe is left unread, which blocks the
# CLI and loses nothing.
CREDIT_BYTES = 4 * 1024 * 1024
# Credit is given back in steps, so that a line does not wake the Executor once more.
CREDIT_STEP_BYTES = CREDIT_BYTES // 8
# Of a line that is cut, its end is kept too: the CLI may say there what the line is.
TAIL_BYTES = 4 * 1024


class Credit:
    """How much output may be on its way through the hub. The reader takes, the Executor gives back.

    The lock guards one number; nobody holds it while doing anything else.
    """

    def __init__(self, limit_bytes: int = CREDIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._on_the_way = 0
        self._changed = threading.Condition()
        self._cancelled = False

    def take(self, size_bytes: int) -> bool:
        """Wait while the limit is used up (one piece is taken whatever its size); return False once
        cancelled."""
        with self._changed:
            while self._on_the_way >= self._limit_bytes and not self._cancelled:
                self._changed.wait()
            self._on_the_way += size_bytes
            return not self._cancelled

    def give_back(self, size_bytes: int) -> None:
        with self._changed:
            self._on_the_way -= size_bytes
            self._changed.notify()

    def cancel(self) -> None:
        """Let the reader go on: it need not wait any more."""
        with self._changed:
            self._cancelled = True
            self._changed.notify()


class LineSplitter:
    """Bytes of a pipe to lines, split at newlines only. A line longer than `max_bytes` keeps its
    first `max_bytes` bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._kept_bytes = 0
        self._size_bytes = 0
        self._tail = b""

    def feed(self, data: bytes) -> list[RawLine]:
        """Take what was read, in any pieces; return the lines that it completes."""
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
        """Return a last line that was left without an end, or None."""
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


class OutputReader:
    """Read a pipe until its end, or until `stop` and what is in the pipe then.

    `read` gets whole lines and what they cost in credit; `ended` gets a last line without an end.
    Both are called in the reader's thread, which runs `run`.
    """

    def __init__(
        self,
        max_line_bytes: int,
        *,
        read: Callable[[tuple[RawLine, ...], int], None],
        ended: Callable[[RawLine | None], None],
    ) -> None:
        self.credit = Credit()
        self._splitter = LineSplitter(max_line_bytes)
        self._read = read
        self._ended = ended
        self._stop_reading, self._stop_writing = os.pipe()
        self._stop_lock = threading.Lock()
        self._has_ended = False

    def run(self, stdout: socket.socket) -> None:
        try:
            for data in self._pieces(stdout.fileno()):
                lines = tuple(self._splitter.feed(data))
                cost = len(data) + LINE_COST_BYTES * len(lines)
                self._read(lines, cost)
                self.credit.take(cost)
        finally:
            stdout.close()
            self.close()
        self._ended(self._splitter.rest())
        # They belong to the process, which has this object: its memory is then free at once, and
        # does not wait for the garbage collector.
        del self._read, self._ended

    def stop(self) -> None:
        """End the reading although somebody may hold the pipe open. Any thread may call it."""
        self.credit.cancel()
        # Under the lock the descriptors cannot be closed, and given to another file, in between.
        with self._stop_lock:
            if not self._has_ended:
                os.write(self._stop_writing, b"x")

    def close(self) -> None:
        """Give the descriptors back, at the end of the reading or where it never begins."""
        with self._stop_lock:
            self._has_ended = True
            os.close(self._stop_reading)
            os.close(self._stop_writing)

    def _pieces(self, fd: int) -> Iterator[bytes]:
        """Yield what is read; once stopped, what is in the pipe already."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._stop_reading, select.POLLIN)
        reads_left, size = READS_AFTER_STOP, ReadSize()
        while reads_left:
            ready = [ready_fd for ready_fd, _ in poll.poll()]
            if self._stop_reading in ready:
                reads_left -= 1
            if fd not in ready or not (data := _read(fd, size.bytes)):
                return
            size.note(len(data))
            yield data


def _read(fd: int, size_bytes: int) -> bytes:
    """Return what is there; nothing at the end, also of a process that was ended in the middle."""
    try:
        return os.read(fd, size_bytes)
    except ConnectionResetError:
        return b""
