"""The thread of one connection: reads, and only tells.

Only this thread touches the ServerProtocol. Everything that is sent, its pongs and close replies
too, goes through the outbox, whose order is the order on the wire.
"""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN

from actors import messages
from actors.client import Client
from actors.client.outbox import Outbox
from actors.clock import Clock, Timers
from actors.frontend.handshake import HandshakeRules, new_protocol, respond
from actors.frontend.rate import RequestCredit, TokenBucket
from actors.frontend.socket_transport import SocketTransport
from actors.frontend.wire import Assembler, MessageRefused
from actors.mailbox import tell_if_alive
from actors.messages import Ref
from actors.ports import Directory
from protocol import codec, requests
from protocol.errors import ErrorCode, RequestRefused
from protocol.frames import text_frame
from protocol.updates import Welcome

logger = logging.getLogger("claudehub.frontend")

RECEIVE_BYTES = 64 * 1024
HANDSHAKE_BYTES_MAX = 16 * 1024
# Requests of one connection that are not answered yet; above that nothing more is read, so that
# TCP pushes back.
REQUESTS_IN_FLIGHT_MAX = 64
REQUEST_BYTES_IN_FLIGHT_MAX = 1024 * 1024
# After the last byte: reading on keeps a RST from eating the close frame.
LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What every connection of a server shares."""

    hub: Ref
    directory: Directory
    clock: Clock
    timers: Timers
    rules: HandshakeRules
    welcome: Callable[[str], Welcome]
    new_client_id: Callable[[], str]
    leave: Callable[[], None]
    heartbeat_s: float
    handshake_timeout_s: float
    slow_client_bytes: int
    requests_per_second: float


class Connection:
    """`run` is the thread's whole life."""

    def __init__(self, sock: socket.socket, context: ConnectionContext) -> None:
        self._context = context
        self._transport = SocketTransport(sock)
        self._protocol = new_protocol(context.rules)
        self._assembler = Assembler()
        self._bucket = TokenBucket(context.requests_per_second, context.clock)
        self._credit = RequestCredit(REQUESTS_IN_FLIGHT_MAX, REQUEST_BYTES_IN_FLIGHT_MAX)
        self._outbox = Outbox(
            self._transport,
            limit_bytes=context.slow_client_bytes,
            clock=context.clock,
            wake=self._wake_client,
        )
        self._client: Ref | None = None
        self._ping_due = 0.0
        self._pings = 0
        self._awaits_pong = False

    def run(self) -> None:
        """Handshake, messages, close. Raises nothing but bugs."""
        try:
            if not self._handshake():
                self._linger()
                return
        except OSError as error:
            logger.debug("handshake: %s", error)
            if self._protocol.state is OPEN:  # a place was taken, and the peer left at once
                self._context.leave()
            return
        try:
            reason = self._serve()
            self._linger()
        except OSError as error:
            reason = f"connection lost ({error.strerror})"
        finally:
            self._context.leave()
        if self._client is not None:
            tell_if_alive(self._client, messages.ConnectionLost(reason=reason))

    # -- handshake ---------------------------------------------------------------------------

    def _handshake(self) -> bool:
        """Whether the connection is open; else a refusal is sent, or the peer said too little."""
        clock = self._context.clock
        deadline = clock.monotonic() + self._context.handshake_timeout_s
        size = 0
        while True:
            data = self._transport.receive(RECEIVE_BYTES, deadline - clock.monotonic())
            if not data:
                return False
            size += len(data)
            self._protocol.receive_data(data)
            events = self._protocol.events_received()
            if events and isinstance(events[0], Request):
                break
            if self._protocol.handshake_exc is not None or size > HANDSHAKE_BYTES_MAX:
                self._send_plainly()
                return False
        response = respond(self._protocol, events[0], self._context.rules)
        self._protocol.send_response(response)
        self._send_plainly()
        return self._protocol.state is OPEN

    def _send_plainly(self) -> None:
        """A handshake answer; small, so the socket's buffer takes it."""
        for part in self._protocol.data_to_send():
            if part:
                self._transport.send(part)
            else:
                self._transport.half_close()

    # -- messages ----------------------------------------------------------------------------

    def _serve(self) -> str:
        """Reads until the connection closes; why it did."""
        self._start_client()
        context = self._context
        self._ping_due = context.clock.monotonic() + context.heartbeat_s
        while True:
            wait_s = self._ping_due - context.clock.monotonic()
            data = self._transport.receive(RECEIVE_BYTES, wait_s) if wait_s > 0 else None
            if data is None:
                if not self._heartbeat():
                    return "no answer to pings"
            elif not data:
                self._protocol.receive_eof()
                return "closed by the peer without a close frame"
            else:
                self._protocol.receive_data(data)
                self._handle_events()
                if self._protocol.close_expected():
                    return f"closed ({self._close_code()})"

    def _start_client(self) -> None:
        context = self._context
        client_id = context.new_client_id()
        # The greeting goes out first: nobody else knows the outbox yet.
        greeting = codec.welcome_message(context.welcome(client_id))
        self._outbox.write(text_frame(greeting), counts=False)
        self._client = Client.start(
            hub=context.hub,
            client_id=client_id,
            outbox=self._outbox,
            directory=context.directory,
            clock=context.clock,
            timers=context.timers,
            answered=self._credit.answered,
        )

    def _wake_client(self) -> None:
        if self._client is not None:
            tell_if_alive(self._client, messages._FlushOutbox())

    def _handle_events(self) -> None:
        # What the protocol answers by itself (pongs, a close) before what it read: a close that
        # it sends for a fault must not wait for the answers to good messages of the same read.
        events = self._protocol.events_received()
        for event in events:
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PONG:
                self._awaits_pong = False
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                try:
                    text = self._assembler.add(event)
                except MessageRefused as refused:
                    self._protocol.fail(refused.code, refused.reason)
                    break
                if text is not None:
                    self._receive_message(text)
        self._send_protocol_data()

    def _send_protocol_data(self) -> None:
        for part in self._protocol.data_to_send():
            if not part:
                self._outbox.half_close()
            elif part[0] & 0x0F == Opcode.CLOSE:
                self._outbox.close_with(part)
            else:
                self._outbox.control(part)

    def _receive_message(self, text: str) -> None:
        request: codec.Undecodable | requests.Request
        try:
            request = codec.decode(text)
        except codec.Undecodable as refusal:
            request = refusal
        if not self._bucket.take():
            limited = RequestRefused(
                ErrorCode.RATE_LIMITED, "too many requests a second; wait a little (RATE_LIMIT)"
            )
            request = codec.Undecodable(limited, request.id)
        self._take_credit(len(text))
        assert self._client is not None
        tell_if_alive(self._client, messages.RequestReceived(request=request))

    def _take_credit(self, size_bytes: int) -> None:
        """Waits until an earlier request is answered. A peer that sends requests and reads no
        answer for the time of a heartbeat is closed: its pongs cannot be read meanwhile."""
        waited, sent_bytes = False, self._outbox.sent_bytes
        while not self._credit.take(size_bytes, self._context.heartbeat_s):
            waited = True
            if not self._outbox.is_open:
                return
            if not self._outbox.is_idle and self._outbox.sent_bytes == sent_bytes:
                self._outbox.close(CloseCode.TRY_AGAIN_LATER, "answers are not read")
                self._outbox.abort()
                return
            sent_bytes = self._outbox.sent_bytes
        if waited:
            self._ping_due = self._context.clock.monotonic() + self._context.heartbeat_s
            self._awaits_pong = False

    # -- heartbeat and close -----------------------------------------------------------------

    def _heartbeat(self) -> bool:
        """Sends the ping that is due; False where the last one was not answered."""
        if self._awaits_pong:
            self._outbox.close(CloseCode.INTERNAL_ERROR, "no answer to pings")
            return False
        self._pings += 1
        self._protocol.send_ping(b"%d" % self._pings)
        self._send_protocol_data()
        self._awaits_pong = True
        self._ping_due += self._context.heartbeat_s
        return True

    def _close_code(self) -> str:
        for close in (self._protocol.close_rcvd, self._protocol.close_sent):
            if close is not None:
                return str(close)
        return "no code"

    def _linger(self) -> None:
        """Lets what waits go out, then reads and drops until the peer closes, for a bounded
        time."""
        clock = self._context.clock
        deadline = clock.monotonic() + LINGER_S
        while (left := deadline - clock.monotonic()) > 0:
            data = self._transport.receive(RECEIVE_BYTES, left)
            if not data:
                return
