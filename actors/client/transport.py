"""What an outbox sends through."""

from collections.abc import Callable
from typing import Protocol


class Transport(Protocol):
    """A connected socket, as seen from here. Raises OSError once the peer is gone."""

    holds_back: bool  # something that `send` took is not sent yet (TLS records)
    send: Callable[[bytes | memoryview], int]
    """Bytes that were taken without waiting. Raises BlockingIOError where the socket is full."""

    def flush(self) -> bool:
        """Sends what is held back; whether nothing is any more."""

    def wait_writable(self, timeout_s: float) -> bool:
        """Waits for room."""

    def half_close(self) -> None:
        """No more will be sent; the peer may still be read from."""

    def abort(self) -> None:
        """Ends both directions, which wakes the reading thread."""
