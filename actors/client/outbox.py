"""The write path of one connection: the only place that sends.

A plain object that the Client owns and that three threads use: project actors (live batches), the
connection's thread (pongs, the close reply) and the Client (everything else). The lock decides the
order, and nothing blocks while holding it. While the socket keeps up, a write goes straight out and
the Client sleeps. What the socket does not take waits here, within a bound in bytes and in time.
"""

import threading
from collections.abc import Callable
from enum import Enum, auto

from websockets.frames import Close, Frame, Opcode

from actors.client.backlog import Backlog, Dropped, Waiting
from actors.client.transport import Transport
from actors.runtime.clock import Clock
from protocol.inflater import Inflater

# Pongs that wait behind a slow socket; older ones need not be sent (RFC 6455, section 5.5.3).
CONTROL_FRAMES_MAX = 16
# While something waits for a client, it must take that many bytes in that time.
PROGRESS_BYTES_MIN = 64 * 1024
PROGRESS_S = 30.0


class WriteResult(Enum):
    """What became of a live write."""

    TAKEN = auto()
    OVERFLOW = auto()
    CLOSED = auto()


# On Python 3.11, reading a member of an Enum class costs as much as two calls, so it is read once.
_TAKEN = WriteResult.TAKEN


class _Phase(Enum):
    OPEN = auto()
    CLOSING = auto()  # a Close frame is sent or waits; nothing may follow it
    CLOSED = auto()


class Outbox:
    """`limit_bytes` is SLOW_CLIENT_BYTES; `wake` tells the Client that something waits. `inflater`
    is set at the handshake if the peer accepts compressed messages. `ended` is None; while the
    client watches, the projects whose end a subscription has taken. (It has slots because every
    message visits a thousand of these objects, and most of the cost is memory that is not in the
    cache.)"""

    __slots__ = (
        "_backlog",
        "_clock",
        "_control",
        "_first",
        "_held",
        "_is_clear",
        "_phase",
        "_progress_from",
        "_transport",
        "_transport_send",
        "_wake",
        "_wakes_when_idle",
        "_wants_half_close",
        "_woken",
        "ended",
        "inflater",
        "lock",
        "sent_bytes",
    )

    def __init__(
        self, transport: Transport, *, limit_bytes: int, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self.lock = threading.Lock()
        self.inflater: Inflater | None = None
        self.ended: set[str] | None = None
        self.sent_bytes = 0  # since the connection began
        self._transport = transport
        self._transport_send = transport.send
        self._clock = clock
        self._wake = wake
        self._woken = False
        self._phase = _Phase.OPEN
        self._is_clear = True  # open, and nothing waits: a write goes straight out
        self._first = b""  # the rest of a frame that is half sent; it goes first
        self._held: list[Waiting] | None = None  # updates that wait for `release`
        self._control: list[bytes] = []
        self._backlog = Backlog(limit_bytes)
        self._wants_half_close = False
        self._wakes_when_idle = False
        self._progress_from = (0.0, 0)  # when something began to wait, and `sent_bytes` then

    # -- what is written ---------------------------------------------------------------------

    def write_live(self, frames: bytes, plain: bytes, kept: bytes) -> WriteResult:
        """Write updates, with the lock held. `plain` is `frames` before compression; `kept` are
        those that may not be dropped. Above the limit, what may be dropped is dropped first.

        If nothing else waits, an update is taken whatever its size.
        """
        if self._is_clear:  # runs for every subscriber and batch, so it is as short as possible
            try:
                sent = self._transport_send(frames)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._set_closed()
                return WriteResult.CLOSED
            self.sent_bytes += sent
            if sent != len(frames):
                self._wait(Waiting(frames, plain, kept, counts=True), sent)
            elif self._transport.holds_back:
                self._send()
            return _TAKEN
        return self._write_behind(Waiting(frames, plain, kept, counts=True))

    def _write_behind(self, update: Waiting) -> WriteResult:
        """Write an update where others wait, or are held."""
        if self._phase is not _Phase.OPEN:
            return WriteResult.CLOSED
        if self._held is not None:
            return self._hold_back(update)
        if not self._backlog.has_room(len(update.plain)):
            kept = update.kept or b""
            if not self._backlog.would_have_room(len(kept)):
                return WriteResult.OVERFLOW
            self._strip(is_deflated=update.frames is not update.plain)
            update.frames = update.plain = kept
        if update.frames:
            self._wait(update)
        return WriteResult.TAKEN

    def hold_live(self) -> None:
        """Send no updates until `release_live`: a reply must come before them."""
        with self.lock:
            if self._phase is _Phase.OPEN and self._held is None:
                self._held, self._is_clear = [], False

    def release_live(self) -> None:
        """Send the updates that were held, in order. Calling it again changes nothing."""
        if self._held is None:  # only the Client holds and releases
            return
        with self.lock:
            held, self._held = self._held, None
            for waiting in held or ():
                self._backlog.append(waiting)
            if held is not None:
                self._send()

    def _hold_back(self, waiting: Waiting) -> WriteResult:
        """Keep an update, within the limit."""
        assert self._held is not None
        held_bytes = sum(one.counted_bytes for one in self._held)
        if not self._backlog.has_room(waiting.counted_bytes, held_bytes):
            return WriteResult.OVERFLOW
        self._held.append(waiting)
        return _TAKEN

    def write(self, frames: bytes, *, counts: bool) -> None:
        """Write a reply (which counts against the limit) or a page of a replay (which does not)."""
        with self.lock:
            self.write_locked(frames, counts=counts)

    def write_locked(self, frames: bytes, *, counts: bool) -> None:
        """Write as `write` does, with the lock held."""
        if self._phase is not _Phase.OPEN or not frames:
            return
        sent = 0
        if self._is_clear:
            try:
                sent = self._transport_send(frames)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._set_closed()
                return
            self.sent_bytes += sent
            if sent == len(frames) and not self._transport.holds_back:
                return
        if sent == len(frames):
            self._send()
        else:
            self._wait(Waiting(frames, frames, None, counts), sent)

    def write_newest(self, frames: bytes, earlier: Waiting | None) -> Waiting | None:
        """Write what something is now, with the lock held; it takes the place of `earlier` if that
        still waits whole. Return what waits.

        It is never dropped and does not count against the limit: the caller has one for each thing,
        and all connections share its bytes.
        """
        if earlier is not None and not earlier.is_begun:
            earlier.frames = earlier.plain = frames
            return earlier
        if self._phase is not _Phase.OPEN or not frames:
            return None
        waiting = Waiting(frames, frames, None, counts=False)
        self._wait(waiting)
        return None if waiting.is_begun else waiting

    def withdraw(self, waiting: Waiting) -> None:
        """Do not send what `write_newest` has returned, with the lock held."""
        if not waiting.is_begun:
            self._backlog.withdraw(waiting)

    def control(self, frame: bytes) -> int:
        """Send a ping or pong between whole frames, before those that wait. Return at which byte of
        the connection it ends."""
        with self.lock:
            if self._phase is _Phase.OPEN:
                self._control.append(frame)
                if len(self._control) > CONTROL_FRAMES_MAX:
                    pongs = (f for f in self._control if f[0] & 0x0F == Opcode.PONG)
                    self._control.remove(next(pongs, frame))
                self._send()
            before = len(self._first) or len(self._backlog.rest_of_frame())
            return self.sent_bytes + (before + sum(map(len, self._control)) if self._control else 0)

    def close(self, code: int, reason: str | Callable[[list[Dropped]], str]) -> None:
        """Begin the closing handshake: drop what waits, except a frame that is half sent. A
        callable makes the reason from what is dropped; it has at most 123 bytes (RFC 6455, section
        5.5)."""
        with self.lock:
            if self._phase is not _Phase.OPEN:
                return
            self._phase = _Phase.CLOSING
            for waiting in self._held or ():
                self._backlog.append(waiting)
            self._held = None
            rest, dropped = self._backlog.drop()
            self._first += rest
            self._control.clear()
            text = reason if isinstance(reason, str) else reason(dropped)
            payload = Close(code, text).serialize()
            frame = Frame(Opcode.CLOSE, payload).serialize(mask=False)
            self._wait(Waiting(frame, frame, None, counts=False))

    def close_with(self, frame: bytes) -> None:
        """Begin the closing handshake with a finished Close frame, behind what waits."""
        with self.lock:
            if self._phase is _Phase.OPEN:
                self._phase = _Phase.CLOSING
                self._wait(Waiting(frame, frame, None, counts=False))

    def half_close(self) -> None:
        """End the sending side behind the last byte that waits."""
        with self.lock:
            self._wants_half_close = True
            self._send()

    # -- for the Client ----------------------------------------------------------------------

    def flush(self, timeout_s: float) -> None:
        """Wait a bounded time for room and send what fits; wake the Client again if something is
        left."""
        if not self.is_idle:
            self._transport.wait_writable(timeout_s)
        with self.lock:
            self._woken = False
            self._send()

    def abort(self) -> None:
        """Drop everything and end the connection."""
        with self.lock:
            self._set_closed()
        self._transport.abort()

    def is_too_slow(self) -> bool:
        """Return True if the peer has taken too little of what counts in the last PROGRESS_S."""
        with self.lock:
            since_s, position = self._progress_from
            now_s = self._clock.monotonic()
            if not self._backlog.counted_bytes or now_s - since_s < PROGRESS_S:
                return False
            self._progress_from = (now_s, self.sent_bytes)
            return self.sent_bytes - position < PROGRESS_BYTES_MIN

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes that wait and count against the limit."""
        return self._backlog.counted_bytes

    def is_idle_else_wake(self) -> bool:
        """Return True if nothing waits. Otherwise wake the Client when all is sent, even if it was
        only a pong."""
        with self.lock:
            idle = self.is_idle
            self._wakes_when_idle = not idle
            return idle

    def look_after(self) -> None:
        """Send what TLS itself holds back, such as an answer to a key update."""
        with self.lock:
            self._send()

    @property
    def is_idle(self) -> bool:
        """Return True if nothing waits."""
        if self._is_clear:
            return not self._transport.holds_back
        return self._phase is _Phase.CLOSED or not (
            self._backlog or self._control or self._first or self._transport.holds_back
        )

    @property
    def is_open(self) -> bool:
        return self._phase is _Phase.OPEN

    # -- inside, with the lock held ----------------------------------------------------------

    def _wait(self, waiting: Waiting, sent_bytes: int = 0) -> None:
        if not self._backlog.counted_bytes and waiting.counts:
            self._progress_from = (self._clock.monotonic(), self.sent_bytes)
        self._backlog.append(waiting, sent_bytes)
        self._send()

    def _strip(self, *, is_deflated: bool) -> None:
        """Drop what may be dropped from all that waits. `is_deflated`: a compressed batch that does
        not wait yet is dropped, too."""
        if self._backlog.strip() or is_deflated:
            assert self.inflater is not None
            self.inflater.miss()

    def _send(self) -> None:
        """Send what fits, and note if something is left."""
        if self._phase is _Phase.CLOSED:
            return
        try:
            all_sent = self._send_what_fits() and self._transport.flush()
            if all_sent and self._wants_half_close:
                self._wants_half_close = False
                self._transport.half_close()
        except OSError:
            # The reading thread gets the same error and reports it.
            self._set_closed()
            return
        self._is_clear = all_sent and self._phase is _Phase.OPEN and self._held is None
        if all_sent and self._wakes_when_idle:
            self._wakes_when_idle = False
            self._wake()
        if not all_sent and not self._woken:
            self._woken = True
            self._wake()

    def _send_what_fits(self) -> bool:
        """Send until the socket is full; return True if all is sent."""
        while True:
            if not self._first and self._control:
                # Behind the frame that is half sent, before all others.
                self._first = self._cut_frame() or self._control.pop(0)
            try:
                if self._first:
                    sent = self._transport_send(self._first)
                    self._first = self._first[sent:]
                elif self._backlog:
                    sent = self._transport_send(self._backlog.next_bytes())
                    self._backlog.advance(sent)
                else:
                    return True
            except BlockingIOError:
                return False
            self.sent_bytes += sent

    def _cut_frame(self) -> bytes:
        rest = self._backlog.rest_of_frame()
        if rest:
            self._backlog.advance(len(rest))
        return rest

    def _set_closed(self) -> None:
        self._phase = _Phase.CLOSED
        self._is_clear = False
        self._first = b""
        self._control.clear()
        self._backlog.clear()
        self._held = None
        self._wake = _nobody  # the connection may go before the last subscription lets go of this


def _nobody() -> None:
    """Wake nobody: there is nothing to send any more."""
