"""What other threads have for the thread that owns the terminal."""

import os
from collections import deque
from contextlib import suppress
from threading import Condition
from typing import Generic, TypeVar

_ROOM = 1_000
_Event = TypeVar("_Event")


class Inbox(Generic[_Event]):
    """A queue that a selector can wait for. `put` waits while it is full."""

    def __init__(self) -> None:
        self._events: deque[_Event] = deque()
        self._changed = Condition()
        self._is_closed = False
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def fileno(self) -> int:
        return self._read_end

    @property
    def wake_fd(self) -> int:
        """Return the descriptor that wakes the selector when something is written to it."""
        return self._write_end

    def put(self, event: _Event) -> bool:
        """Add an event when there is room. Return False if nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) < _ROOM or self._is_closed)
            return self._add(event)

    def tell(self, event: _Event) -> None:
        """Add an event at once: for threads that must not wait."""
        with self._changed:
            self._add(event)

    def take(self) -> list[_Event]:
        """Return what is there."""
        with suppress(BlockingIOError):  # until it is empty
            while os.read(self._read_end, 4096):
                pass
        with self._changed:
            taken = list(self._events)
            self._events.clear()
            self._changed.notify_all()
        return taken

    def close(self) -> None:
        """Let those who wait in `put` go on; their events are dropped."""
        with self._changed:
            self._is_closed = True
            self._events.clear()
            self._changed.notify_all()
            os.close(self._read_end)
            os.close(self._write_end)

    def _add(self, event: _Event) -> bool:
        if self._is_closed:
            return False
        self._events.append(event)
        if len(self._events) == 1:
            with suppress(BlockingIOError):  # it is full of such wakes
                os.write(self._write_end, b"\0")
        return True
