"""The connection that an outbox sends through."""

from collections.abc import Callable
from typing import Protocol


class Transport(Protocol):
    """A connected socket. Every call raises OSError once the peer is gone."""

    holds_back: bool  # `send` took something that is not sent yet (TLS records)
    send: Callable[[bytes | memoryview], int]
    """Return how many bytes were taken, without waiting. Raises BlockingIOError if it is full."""

    def flush(self) -> bool:
        """Send what is held back; return True if nothing is left."""

    def wait_writable(self, timeout_s: float) -> bool:
        """Wait for room."""

    def half_close(self) -> None:
        """Send nothing more; the peer may still be read from."""

    def abort(self) -> None:
        """End both directions, which wakes the reading thread."""
