"""The thread of one connection: it reads, and only tells.

Only this thread uses the ServerProtocol. Everything that is sent, also pongs and close replies,
goes through the outbox, whose order is the order on the wire.
"""

import http
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from actors.client.outbox import PROGRESS_S, Outbox
from actors.frontend.conversation import Conversation
from actors.frontend.handshake import HandshakeRules, RequestReader, new_protocol
from actors.frontend.heartbeat import Heartbeat
from actors.frontend.readiness import Readiness
from actors.frontend.socket_transport import SocketTransport
from actors.frontend.tls_transport import TlsTransport
from actors.frontend.wire import Assembler, MessageRefused
from actors.limits.connections import ConnectionLimit, ConnectionPermit
from actors.limits.peer import Peer
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from actors.runtime.read_size import ReadSize

logger = get_logger("claudehub.frontend")

# A peer that has just sent something may send more. The thread waits by itself for that long, which
# is quicker.
EAGER_S = 1.0
# After the last byte the thread reads on: a RST would destroy the close frame.
LINGER_S = 2.0
# The kernel gives a connection up later than the hub: a close frame says more than a RST.
USER_TIMEOUT_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What all connections of a server share. `tls` returns the present certificate; None: no TLS.
    `readiness` is None if every thread polls for itself. `refused` gets the status of a refused
    handshake. `needs_key`: peers must authenticate. `converse` gets a callback to call after
    authentication; it returns False when MAX_CONN is reached."""

    rules: HandshakeRules
    converse: Callable[[Outbox, Peer, Callable[[], bool]], Conversation]
    clock: Clock
    tls: Callable[[], ssl.SSLContext] | None
    readiness: Readiness | None
    needs_key: bool
    connections: ConnectionLimit
    refused: Callable[[Peer, int], None]
    heartbeat_s: float
    handshake_timeout_s: float
    slow_client_bytes: int


class Connection:
    """`run` is the thread's whole life. `known` is called when the handshake is done and, if keys
    are needed, the peer has authenticated and MAX_CONN is not reached."""

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        context: ConnectionContext,
        known: Callable[[], None],
    ) -> None:
        """Prepare the connection. `known` takes it out of the pending ones."""
        self._context = context
        self._peer = peer
        self._known = known
        self._permit = context.connections.new(peer.origin)
        user_timeout_s = max(2 * context.heartbeat_s, PROGRESS_S) + USER_TIMEOUT_MARGIN_S
        seat = None if context.readiness is None else context.readiness.seat(sock)
        raw = SocketTransport(sock, user_timeout_s=user_timeout_s, seat=seat)
        self._tls = None if context.tls is None else TlsTransport(raw, context.tls())
        self._transport: SocketTransport | TlsTransport = self._tls or raw
        self._protocol = new_protocol(context.rules, context.clock)
        self._assembler = Assembler(context.rules.limits)
        self._outbox = Outbox(
            self._transport,
            limit_bytes=context.slow_client_bytes,
            clock=context.clock,
            wake=self._wake,
        )
        # No method of this object: it would keep itself in memory.
        admit = partial(_admit, self._permit, known)
        self._conversation = context.converse(self._outbox, peer, admit)
        self._heartbeat = Heartbeat(context.heartbeat_s, context.clock)
        self._early = b""
        self._read_size = ReadSize()

    def run(self) -> None:
        """Do handshake, messages and close. Raises nothing but bugs."""
        try:
            self._run()
        finally:
            # Nobody may send on a descriptor that may soon belong to another connection.
            self._outbox.abort()
            self._transport.leave()
            self._permit.leave()
            self._protocol.let_go()

    def _run(self) -> None:
        try:
            if not self._shake_hands():
                self._transport.half_close()
                self._linger()
                return
        except OSError as error:
            logger.debug("a handshake has failed", address=str(self._peer), error=error)
            return
        if not self._context.needs_key:
            self._known()
        reason = "a bug"
        try:
            reason = self._serve()
            self._linger()
        except OSError as error:
            reason = f"connection lost ({error.strerror})"
        finally:
            self._conversation.end(reason)

    # -- handshake ---------------------------------------------------------------------------

    def _shake_hands(self) -> bool:
        """Return True if the connection is open. Otherwise a refusal is sent, or the peer sent too
        little."""
        clock = self._context.clock
        deadline = clock.monotonic() + self._context.handshake_timeout_s

        def left_s() -> float:
            return deadline - clock.monotonic()

        if self._tls is not None and not self._tls.shake_hands(left_s):
            if self._tls.was_refused:
                self._context.refused(self._peer, http.HTTPStatus.BAD_REQUEST)
            return False
        # An unauthenticated connection does not count against MAX_CONN.
        admit = self._permit.has_room if self._context.needs_key else self._permit.take
        reader = RequestReader(self._protocol, self._context.rules, admit)
        answer = None
        while answer is None:
            data = self._transport.receive(self._read_size.bytes, left_s())
            if data == b"":
                return False
            if data:
                answer = reader.feed(data)
            elif left_s() <= 0:
                answer = reader.timed_out()
        if answer:
            self._transport.send(answer)  # it is small, so the socket's buffer takes it
        if answer and self._protocol.state is not OPEN:
            self._context.refused(self._peer, int(answer.split(None, 2)[1]))
        self._outbox.inflater = self._protocol.inflater
        self._early = reader.rest
        return self._protocol.state is OPEN

    # -- messages ----------------------------------------------------------------------------

    def _serve(self) -> str:
        """Read until the connection closes; return why it did."""
        endpoint = self._protocol.endpoint
        if not self._conversation.begin(endpoint, endpoint.dialect(self._protocol.subprotocol)):
            return "no thread for it"
        self._heartbeat.restart()
        eager = True
        while True:
            due_s = self._heartbeat.due_in_s
            data: bytes | None
            if self._early:
                data, self._early = self._early, b""
            elif eager:
                data = self._transport.receive(self._read_size.bytes, min(due_s, EAGER_S))
            else:
                data = self._transport.receive_some_time(self._read_size.bytes, due_s)
            eager = False
            if self._transport.holds_back:
                self._outbox.look_after()
            if data == b"":
                self._protocol.receive_eof()
                return "closed by the peer without a close frame"
            if data:
                self._read_size.note(len(data))
                limit = self._context.rules.limits.message_bytes
                self._protocol.max_message_size = min(
                    limit, self._conversation.message_bytes_max or limit
                )
                self._protocol.receive_data(data)
                eager = self._handle_events()
                if self._protocol.close_expected():
                    return f"closed ({self._close_code()})"
            if self._heartbeat.due_in_s <= 0 and not self._beat():
                return "no answer to pings"

    def _wake(self) -> None:
        self._conversation.wake()

    def _handle_events(self) -> bool:
        """Handle events in order; a close that the protocol sends by itself comes behind the valid
        messages. Return True if there was a message, or a part of one."""
        had_message = False
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PING:
                self._outbox.control(Frame(Opcode.PONG, event.data).serialize(mask=False))
            elif event.opcode is Opcode.PONG:
                self._heartbeat.answered()
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                had_message = True
                try:
                    message = self._assembler.add(event)
                except MessageRefused as refused:
                    self._protocol.fail(refused.code, refused.reason)
                    break
                if message is not None and self._conversation.receive(message):
                    self._heartbeat.restart()
        self._send_protocol_data()
        return had_message

    def _send_protocol_data(self) -> None:
        for part in self._protocol.data_to_send():
            if not part:
                self._outbox.half_close()
            else:
                assert part[0] & 0x0F == Opcode.CLOSE, "nothing else is sent by the protocol"
                self._outbox.close_with(part)

    # -- heartbeat and close -----------------------------------------------------------------

    def _beat(self) -> bool:
        """Send the ping that is due; return False if the last one was not answered."""
        heartbeat, outbox = self._heartbeat, self._outbox
        delivered_bytes = outbox.sent_bytes - self._transport.unacknowledged_bytes()
        if not heartbeat.is_alive(delivered_bytes):
            outbox.close(CloseCode.INTERNAL_ERROR, "no answer to pings")
            return False
        if heartbeat.awaits_pong:
            heartbeat.postponed()
        else:
            ping = Frame(Opcode.PING, b"").serialize(mask=False)
            heartbeat.pinged(until_bytes=outbox.control(ping))
        return True

    def _close_code(self) -> str:
        for close in (self._protocol.close_rcvd, self._protocol.close_sent):
            if close is not None:
                return str(close)
        return "no code"

    def _linger(self) -> None:
        """Let what waits go out, then read and drop until the peer closes, for a bounded time."""
        clock = self._context.clock
        deadline = clock.monotonic() + LINGER_S
        while (left := deadline - clock.monotonic()) > 0:
            data = self._transport.discard(self._read_size.bytes, left)
            if not data:
                return
            self._read_size.note(len(data))


def _admit(permit: ConnectionPermit, known: Callable[[], None]) -> bool:
    """Take a peer in that has authenticated; return True if MAX_CONN leaves room. Any thread may
    call it."""
    if not permit.take():
        return False
    known()
    return True


def cut_off(sock: socket.socket) -> None:
    """Close without a word; the connection's thread finds the socket closed."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        del error  # the peer was faster
