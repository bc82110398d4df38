"""How much of a process's output may be on its way through the hub."""

import threading

# Bytes that were read and are not yet durable. Above it the pipe is left unread, which blocks the
# CLI and loses nothing.
CREDIT_BYTES = 4 * 1024 * 1024
# Output is given back in steps, so that a line does not wake the executor once more.
CREDIT_STEP_BYTES = CREDIT_BYTES // 8


class Credit:
    """Taken by the reading thread, given back by the executor."""

    def __init__(self, limit_bytes: int = CREDIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._on_the_way = 0
        self._changed = threading.Condition()
        self._cancelled = False

    def take(self, size_bytes: int) -> bool:
        """Waits while the limit is used up (one piece is taken whatever its size); False once
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
        """The reader need not wait any more."""
        with self._changed:
            self._cancelled = True
            self._changed.notify()
