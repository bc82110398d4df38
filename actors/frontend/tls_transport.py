"""TLS between an outbox and a socket, through memory buffers.

An SSLSocket does not fit: it takes no flags, and using it from two threads deadlocks in some
versions of Python (cpython#137583). Here both directions go through one lock, and only encrypted
bytes touch the socket, without waiting.
"""

import ssl
import threading
from collections.abc import Callable

from actors.frontend.socket_transport import SocketTransport
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.frontend")

# The amount that is encrypted before the socket is tried again; the rest is held back.
CHUNK_BYTES = 64 * 1024
HANDSHAKE_READ_BYTES = 4 * 1024
# A ClientHello with all its extensions is far smaller.
HANDSHAKE_BYTES_MAX = 64 * 1024
PLAIN_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: 45\r\n\r\n"
    b"This port speaks TLS: connect with wss://...\n"
)


class TlsTransport:
    """See Transport (actors/client/outbox.py) and SocketTransport."""

    __slots__ = (
        "_held",
        "_incoming",
        "_lock",
        "_outgoing",
        "_raw",
        "_tls",
        "holds_back",
        "send",
        "was_refused",
    )

    def __init__(self, raw: SocketTransport, context: ssl.SSLContext) -> None:
        self.send: Callable[[bytes | memoryview], int] = self._send
        self.holds_back = False
        self._raw = raw
        self._lock = threading.Lock()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._held = memoryview(b"")  # encrypted
        self.was_refused = False

    def shake_hands(self, left_s: Callable[[], float]) -> bool:
        """Do the handshake within a time; return True if it succeeded. `was_refused`: the peer's
        bytes were not TLS, or no version that the server speaks. Raises OSError if the peer is
        gone."""
        size_bytes = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError as error:
                logger.debug("a TLS handshake has failed", error=error)
                self.was_refused = True
                if error.reason == "HTTP_REQUEST":
                    self._raw.send(PLAIN_HTTP_ANSWER)
                else:
                    self._flush()  # the alert
                return False
            else:
                return self._flush()
            data = self._raw.receive(HANDSHAKE_READ_BYTES, left_s())
            size_bytes += len(data or b"")
            if not data or size_bytes > HANDSHAKE_BYTES_MAX:
                return False
            self._incoming.write(data)

    def flush(self) -> bool:
        with self._lock:
            return self._flush()

    def wait_writable(self, timeout_s: float) -> bool:
        return self._raw.wait_writable(timeout_s)

    def half_close(self) -> None:
        """End the sending side, with a close_notify before it."""
        with self._lock:
            try:
                self._tls.unwrap()
            except ssl.SSLError as error:
                del error  # it wants the peer's close_notify, and nobody waits for that
            self._flush()
        self._raw.half_close()

    def abort(self) -> None:
        self._raw.abort()

    def unacknowledged_bytes(self) -> int:
        return self._raw.unacknowledged_bytes() + len(self._held)

    def receive(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Do what SocketTransport.receive does; return None also if the bytes are not a whole
        record yet."""
        return self._receive(size_bytes, timeout_s, self._raw.receive)

    def receive_some_time(self, size_bytes: int, timeout_s: float) -> bytes | None:
        return self._receive(size_bytes, timeout_s, self._raw.receive_some_time)

    def leave(self) -> None:
        self._raw.leave()

    def _receive(
        self, size_bytes: int, timeout_s: float, receive: Callable[[int, float], bytes | None]
    ) -> bytes | None:
        data = self._read(size_bytes)
        if data is not None:
            return data
        encrypted = receive(size_bytes, timeout_s)
        if encrypted is None:
            return None
        with self._lock:
            if encrypted:
                self._incoming.write(encrypted)
            else:
                self._incoming.write_eof()
        return self._read(size_bytes)

    def discard(self, size_bytes: int, timeout_s: float) -> bytes | None:
        return self._raw.receive(size_bytes, timeout_s)

    def _read(self, size_bytes: int) -> bytes | None:
        with self._lock:
            try:
                return self._tls.read(size_bytes)
            except ssl.SSLWantReadError:
                self._flush()  # an answer of TLS itself, to a key update
                return None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def _send(self, data: bytes | memoryview) -> int:
        with self._lock:
            view, taken = memoryview(data), 0
            while self._flush() and taken < len(view):
                taken += self._tls.write(view[taken : taken + CHUNK_BYTES])
            if not taken:
                raise BlockingIOError
            return taken

    def _flush(self) -> bool:
        """Send what is encrypted; return True if nothing is left."""
        while True:
            if not self._held and self._outgoing.pending:
                self._held = memoryview(self._outgoing.read(CHUNK_BYTES * 2))
            if not self._held:
                break
            try:
                self._held = self._held[self._raw.send(self._held) :]
            except BlockingIOError:
                break
        self.holds_back = bool(self._held)
        return not self.holds_back
