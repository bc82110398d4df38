"""Standard output and standard error of a server: what is said to people, which may neither stop
nor hold up what is done for them.

A pipe that nobody reads blocks its writer. So a thread writes, from a bounded queue. What the queue
does not hold is dropped and counted, and the next line says how much that was.
"""

import contextlib
import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator

from actors.runtime.logger import get_logger

logger = get_logger("claudehub.main")

LINES_MAX = 10_000
BYTES_MAX = 4 * 1024 * 1024
# How long the end waits for the reader of what is left.
FLUSH_S = 1.0


def _plain_notice(count: int) -> str:
    return f"claudehub: {count} lines before this one were dropped, because nobody read them\n"


class Outlet:
    """One descriptor and the thread that writes to it. Any thread may `put`. `notice` makes the
    line that says how many lines are missing."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.notice: Callable[[int], str] = _plain_notice
        # Reentrant: a handler of a signal may put something while its thread is at it.
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self.dropped_total = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_all, name=f"outlet {fd}", daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Have a text written later, or drop it."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            is_full = len(self._waiting) >= LINES_MAX or self._bytes + len(data) > BYTES_MAX
            if is_full or self._is_closed:
                self._dropped += 1
                self.dropped_total += 1
                return
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Write what waits, for so long. Then the thread is left alone: it may be blocked for
        ever."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _write_all(self) -> None:
        while (taken := self._next()) is not None:
            data, dropped = taken
            if dropped:
                data = self._noticed(dropped) + data
            try:
                self._write(data)
            except Exception:  # noqa: BLE001 - a closed pipe, a full disk, a bug: the next line is tried
                with self._changed:
                    self._dropped += 1 + dropped
                    self.dropped_total += 1

    def _noticed(self, dropped: int) -> bytes:
        """Return the line that says how many are missing, whatever is wrong with `notice`."""
        try:
            text = self.notice(dropped)
        except Exception:  # noqa: BLE001 - a bug in it must not end all output
            text = _plain_notice(dropped)
        return text.encode("utf-8", "backslashreplace")

    def _next(self) -> tuple[bytes, int] | None:
        """Wait for a text; return it, and how many before it were dropped. None: it is the end."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            if not self._waiting:
                return None
            data = self._waiting.popleft()
            self._bytes -= len(data)
            dropped, self._dropped = self._dropped, 0
        return data, dropped

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:  # somebody else has made the pipe non-blocking
                select.select([], [self.fd], [])


class _Stream(io.TextIOBase):
    """An outlet as Python's own streams: for tracebacks, warnings and libraries."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet

    def write(self, text: str) -> int:
        self.outlet.put(text)
        return len(text)

    def fileno(self) -> int:
        return self.outlet.fd


def hold_descriptors() -> None:
    """Open what is closed of the descriptors 0, 1 and 2: a socket or a log that got one of these
    numbers would be written to by whatever prints."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != fd:  # cannot be: the lowest free number is taken
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Let a thread write what Python prints, within this context. A stream that a program has put
    in the place of Python's own is that program's, and is left alone."""
    with contextlib.ExitStack() as stack:
        for name, fd in (("stdout", 1), ("stderr", 2)):
            before = getattr(sys, name)
            if before is getattr(sys, f"__{name}__"):
                outlet = Outlet(fd)
                setattr(sys, name, _Stream(outlet))
                stack.callback(outlet.close, FLUSH_S)
                stack.callback(setattr, sys, name, before)
        yield


def dropped_lines() -> int:
    """Return how many lines of standard output and standard error were dropped."""
    streams: tuple[object, ...] = (sys.stdout, sys.stderr)
    return sum(each.outlet.dropped_total for each in streams if isinstance(each, _Stream))


def note_dropped(stream: object, make: Callable[[int], str]) -> None:
    """Have the notice of dropped lines of a stream made in the format of the log."""
    if isinstance(stream, _Stream):
        stream.outlet.notice = make


def flush(stream: object, timeout_s: float) -> None:
    """Write what waits for a stream, for so long: the process is about to end without a stop."""
    if isinstance(stream, _Stream):
        stream.outlet.close(timeout_s)
