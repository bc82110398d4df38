"""The write path of one connection: the only place that sends.

A plain object that the Client owns and that three threads use: project actors (live batches), the
connection's thread (pongs, the close reply) and the Client (everything else). The order is that of
the lock; nothing blocks while holding it. While the socket keeps up a write goes straight out and
the Client sleeps; what the socket will not take waits here, within a bound in bytes.
"""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from websockets.frames import Close, Frame, Opcode

from protocol import codec

# Pongs that wait behind a slow socket; an older one need not be sent (RFC 6455, section 5.5.3).
CONTROL_FRAMES_MAX = 16


class Transport(Protocol):
    """A connected socket, as seen from here. Raises OSError once the peer is gone."""

    def send(self, data: memoryview) -> int:
        """Bytes that were taken without waiting; 0 where the socket is full."""

    def wait_writable(self, timeout_s: float) -> bool:
        """Waits for room."""

    def half_close(self) -> None:
        """No more will be sent; the peer may still be read from."""

    def abort(self) -> None:
        """Ends both directions, which wakes the reading thread."""


class Verdict(Enum):
    """What became of a live write."""

    TAKEN = auto()
    OVERFLOW = auto()
    CLOSED = auto()


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()  # a Close frame is sent or waits: nothing may follow it
    CLOSED = auto()


class Outbox:
    """`limit_bytes` is SLOW_CLIENT_BYTES; `wake` tells the Client that something waits."""

    def __init__(self, transport: Transport, *, limit_bytes: int, wake: Callable[[], None]) -> None:
        self.lock = threading.Lock()
        self._transport = transport
        self._limit_bytes = limit_bytes
        self._wake = wake
        self._woken = False
        self._state = _State.OPEN
        self._waiting: deque[tuple[bytes, bool]] = deque()  # whole frames, and whether they count
        self._control: deque[bytes] = deque(maxlen=CONTROL_FRAMES_MAX)
        self._sent_of_head = 0
        self._counted_bytes = 0
        self._wants_half_close = False
        self.sent_bytes = 0  # over the life of the connection

    # -- what is written ---------------------------------------------------------------------

    def write_live(self, frames: bytes, kept_frames: bytes) -> Verdict:
        """Updates, with the lock held. Past the limit what may be dropped is dropped first.

        Where nothing else waits, an update is taken whatever its size.
        """
        if self._state is not _State.OPEN:
            return Verdict.CLOSED
        if self._waiting and self._counted_bytes + len(frames) > self._limit_bytes:
            frames = kept_frames
            if self._counted_bytes + len(frames) > self._limit_bytes:
                return Verdict.OVERFLOW
        if frames:
            self._put(frames, counts=True)
        return Verdict.TAKEN

    def write(self, frames: bytes, *, counts: bool) -> None:
        """A reply (which counts against the limit) or a page of a replay (which does not)."""
        with self.lock:
            if self._state is _State.OPEN:
                self._put(frames, counts=counts)

    def control(self, frame: bytes) -> None:
        """A ping or pong: goes before whole frames that wait, behind the one that is half sent."""
        with self.lock:
            if self._state is _State.OPEN:
                self._control.append(frame)
                self._send()

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake: what waits is dropped, but for a frame half sent."""
        payload = Close(code, reason).serialize()
        with self.lock:
            self._close_with(Frame(Opcode.CLOSE, payload).serialize(mask=False), drop=True)

    def close_with(self, frame: bytes) -> None:
        """The same with a Close frame that is made already, behind what waits."""
        with self.lock:
            self._close_with(frame, drop=False)

    def half_close(self) -> None:
        """Ends the sending side behind the last byte that waits."""
        with self.lock:
            self._wants_half_close = True
            self._send()

    # -- for the Client ----------------------------------------------------------------------

    def flush(self, timeout_s: float) -> None:
        """Waits a bounded time for room and sends what it can; tells the Client to come again
        where something is left."""
        if self._waiting or self._control:
            self._transport.wait_writable(timeout_s)
        with self.lock:
            self._woken = False
            self._send()

    def abort(self) -> None:
        """Drops everything and ends the connection."""
        with self.lock:
            self._set_closed()
        self._transport.abort()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait and count against the limit."""
        return self._counted_bytes

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting and not self._control

    @property
    def is_open(self) -> bool:
        return self._state is _State.OPEN

    # -- inside, with the lock held ----------------------------------------------------------

    def _put(self, frames: bytes, *, counts: bool) -> None:
        self._waiting.append((frames, counts))
        if counts:
            self._counted_bytes += len(frames)
        self._send()

    def _close_with(self, frame: bytes, *, drop: bool) -> None:
        if self._state is not _State.OPEN:
            return
        self._state = _State.CLOSING
        if drop:
            head = self._rest_of_frame()
            self._waiting.clear()
            self._control.clear()
            self._counted_bytes = self._sent_of_head = 0
            if head:
                self._waiting.append((head, False))
        self._waiting.append((frame, False))
        self._send()

    def _rest_of_frame(self) -> bytes:
        if not self._sent_of_head:
            return b""
        head = self._waiting[0][0]
        return head[self._sent_of_head : codec.frame_boundary(head, self._sent_of_head)]

    def _send(self) -> None:
        if self._state is _State.CLOSED:
            return
        try:
            if not self._send_what_fits():
                if not self._woken:
                    self._woken = True
                    self._wake()
            elif self._wants_half_close:
                self._wants_half_close = False
                self._transport.half_close()
        except OSError:
            # The reading thread notices the same and reports it.
            self._set_closed()

    def _send_what_fits(self) -> bool:
        """Whether all is sent. A control frame goes between whole frames, before those that
        wait."""
        while self._waiting or self._control:
            if self._control and not self._sent_of_head:
                sent = self._transport.send(memoryview(self._control[0]))
                if sent == 0:
                    return False
                self._waiting.appendleft((self._control.popleft(), False))
                self._sent_of_head = sent
            head, counts = self._waiting[0]
            if self._sent_of_head < len(head):
                sent = self._transport.send(memoryview(head)[self._sent_of_head :])
                if sent == 0:
                    return False
                self._sent_of_head += sent
                self.sent_bytes += sent
                continue
            self._waiting.popleft()
            self._sent_of_head = 0
            if counts:
                self._counted_bytes -= len(head)
        return True

    def _set_closed(self) -> None:
        self._state = _State.CLOSED
        self._waiting.clear()
        self._control.clear()
        self._counted_bytes = self._sent_of_head = 0
