"""A connected socket, behind an outbox."""

import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable

from actors.frontend.readiness import Seat

# Without a fixed size the kernel holds some 4 MB of backlog for each client. (It doubles this
# value.)
SEND_BUFFER_BYTES = 256 * 1024
INT_MAX = 2**31 - 1


class SocketTransport:
    """`send` is the socket's own method, without a call of ours between: every subscriber and
    message uses it."""

    __slots__ = ("_seat", "_socket", "send")
    holds_back = False

    def __init__(
        self, sock: socket.socket, *, user_timeout_s: float, seat: Seat | None = None
    ) -> None:
        """Prepare the socket. `user_timeout_s` is how long sent bytes may stay unacknowledged (RFC
        5482); `seat` is where to wait when nothing is expected soon."""
        sock.setblocking(False)  # every send is tried, and a recv comes after a wait
        self.send: Callable[[bytes | memoryview], int] = sock.send
        self._socket = sock
        self._seat = seat
        _set_options(sock, user_timeout_s)

    def flush(self) -> bool:
        return True

    def wait_writable(self, timeout_s: float) -> bool:
        return _poll(self._socket, select.POLLOUT, timeout_s)

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            del error  # the peer was faster

    def unacknowledged_bytes(self) -> int:
        """Return what the socket took and the peer's TCP has not confirmed; 0 if the system does
        not say."""
        try:
            answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        count: int = struct.unpack("i", answer)[0]
        return count

    def receive(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Return what has arrived, b"" at the end, None if nothing comes in time. Raises
        OSError."""
        return self._read(size_bytes, is_ready=_poll(self._socket, select.POLLIN, timeout_s))

    def receive_some_time(self, size_bytes: int, timeout_s: float) -> bytes | None:
        """Do the same for a wait that may be long. At the end of the connection it keeps its turn,
        so that not all connections end at once."""
        if self._seat is None:
            return self.receive(size_bytes, timeout_s)
        self._seat.wait(max(timeout_s, 0))
        # Also when the time is over: a pong may be there, and the turn to read it not yet.
        data = self._read(size_bytes, is_ready=True)
        if data != b"":
            self._seat.end_turn()
        return data

    def leave(self) -> None:
        """Leave, before the socket is closed."""
        if self._seat is not None:
            self._seat.leave()

    def _read(self, size_bytes: int, *, is_ready: bool) -> bytes | None:
        try:
            return self._socket.recv(size_bytes) if is_ready else None
        except BlockingIOError:
            return None

    # Drop what comes, when it is of no more use.
    discard = receive


def _poll(sock: socket.socket, event: int, timeout_s: float) -> bool:
    # Created for each wait: ten thousand unused ones would cost memory.
    poll = select.poll()
    try:
        poll.register(sock, event)
    except ValueError:  # it was closed meanwhile
        return False
    return bool(poll.poll(max(timeout_s, 0) * 1000))


def _set_options(sock: socket.socket, user_timeout_s: float) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        timeout_ms = min(int(user_timeout_s * 1000), INT_MAX)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
