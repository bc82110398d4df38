"""What a connection says once it is open: the hub's protocol, on the connection's thread."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from websockets.frames import CloseCode

from actors import messages
from actors.access.gate import Gate
from actors.audit.trail import AuditTrail
from actors.client import Client
from actors.client.outbox import Outbox
from actors.directory import Directory
from actors.limits.peer import Peer
from actors.limits.quotas import Quotas
from actors.metrics import catalogue
from actors.metrics.meter import Meter
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol import codec, requests
from protocol.dialect import Dialect
from protocol.frames import text_frame
from protocol.updates import Welcome
from protocol.versions import CURRENT, Endpoint

logger = get_logger("claudehub.frontend")

# The requests of one connection that are not answered yet. Above that nothing more is read, so that
# TCP slows the peer down.
REQUESTS_IN_FLIGHT_MAX = 64
REQUEST_BYTES_IN_FLIGHT_MAX = 1024 * 1024
# The limit for a peer that has not authenticated; a key and a signature of any kind are far
# smaller.
LOCKED_MESSAGE_BYTES_MAX = 64 * 1024
# The messages of such a peer before it is closed (1008): far more than a client with a key needs.
LOCKED_MESSAGES_MAX = 256


class Conversation(Protocol):
    """For the connection's thread; only `wake` may come from another one."""

    def begin(self, endpoint: Endpoint, dialect: Dialect) -> bool:
        """Begin: the connection is open, at that endpoint and with that one of its dialects. Return
        False if it cannot continue; then a close is sent."""

    @property
    def message_bytes_max(self) -> int | None:
        """Return the present limit if it is below the connection's own, else None."""

    def receive(self, message: str | bytes) -> bool:
        """Take a message. Return True if it had to wait, a bounded time: nothing was read
        meanwhile."""

    def wake(self) -> None:
        """Note that something waits in the outbox. Any thread may call it, holding the outbox's
        lock."""

    def end(self, reason: str) -> None:
        """Note that the connection is gone."""


@dataclass(frozen=True, slots=True)
class HubContext:
    """What all conversations with the hub share."""

    hub: Ref
    directory: Directory
    clock: Clock
    timers: Timers
    welcome: Callable[[Gate, Endpoint, Dialect], Welcome]
    new_gate: Callable[[Peer, Callable[[], bool]], Gate]
    trail: AuditTrail
    auth_timeout_s: float
    heartbeat_s: float
    quotas: Quotas
    meter: Meter | None = None


class RequestCredit:
    """The requests that are not answered yet: a number, and a size in bytes (one request is taken
    whatever its size). Answers come in order, so the size of the oldest request comes back.

    One thread takes. (A Condition would be simpler; it costs a KiB for every connection.)
    """

    __slots__ = ("_bytes", "_bytes_max", "_lock", "_requests_max", "_sizes", "_waiter")

    def __init__(self, requests_max: int, bytes_max: int) -> None:
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._sizes: list[int] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self._waiter: threading.Lock | None = None

    def take(self, size_bytes: int, timeout_s: float) -> bool:
        """Take credit for a request; return False if there was none in that time."""
        waiter = self._take(size_bytes)
        if waiter is None:
            return True
        waiter.acquire(timeout=timeout_s)
        return self._take(size_bytes) is None

    def answered(self) -> None:
        with self._lock:
            if self._sizes:
                self._bytes -= self._sizes.pop(0)
            if self._waiter is not None and self._has_room():
                self._waiter.release()
                self._waiter = None

    def _take(self, size_bytes: int) -> "threading.Lock | None":
        """Return None if there was room; else a lock that is released when there is."""
        with self._lock:
            self._waiter = None
            if self._has_room():
                self._sizes.append(size_bytes)
                self._bytes += size_bytes
                return None
            self._waiter = threading.Lock()
            self._waiter.acquire()
            return self._waiter

    def _has_room(self) -> bool:
        return len(self._sizes) < self._requests_max and self._bytes < self._bytes_max


class HubConversation:
    """Turn messages into requests for a Client, which answers through the outbox."""

    def __init__(
        self, context: HubContext, outbox: Outbox, peer: Peer, has_room: Callable[[], bool]
    ) -> None:
        self._context = context
        self._gate = context.new_gate(peer, has_room)
        self._outbox = outbox
        self._requests = context.quotas.requests.of_connection()
        self._credit = RequestCredit(REQUESTS_IN_FLIGHT_MAX, REQUEST_BYTES_IN_FLIGHT_MAX)
        self._dialect = CURRENT.default
        self._client: Ref | None = None
        self._locked_messages = 0

    def begin(self, endpoint: Endpoint, dialect: Dialect) -> bool:
        self._dialect = dialect
        context = self._context
        # The greeting goes out first: nobody else knows the outbox yet.
        greeting = dialect.greeting(context.welcome(self._gate, endpoint, dialect))
        if greeting is not None:
            self._outbox.write(text_frame(greeting), counts=False)
            if context.meter is not None:
                context.meter.count(catalogue.MESSAGES, catalogue.UNKNOWN, catalogue.OUT)
        if context.meter is not None:
            version = str(dialect.version)
            context.meter.count(catalogue.HANDSHAKES, catalogue.ACCEPTED, version)
        try:
            self._client = Client.start(
                hub=context.hub,
                gate=self._gate,
                outbox=self._outbox,
                dialect=self._dialect,
                directory=context.directory,
                clock=context.clock,
                timers=context.timers,
                trail=context.trail,
                auth_timeout_s=context.auth_timeout_s,
                answered=self._credit.answered,
                meter=context.meter,
            )
        except OSError as error:  # no thread could be started
            remedy = "raise `ulimit -u` (docs/tuning.md)"
            logger.error("there is no thread for a client", error=error, remedy=remedy)
            self._outbox.close(CloseCode.TRY_AGAIN_LATER, "too many connections")
            return False
        return True

    @property
    def message_bytes_max(self) -> int | None:
        return LOCKED_MESSAGE_BYTES_MAX if self._gate.is_locked else None

    def receive(self, message: str | bytes) -> bool:
        assert isinstance(message, str)
        if self._gate.is_locked:
            self._locked_messages += 1
            if self._locked_messages > LOCKED_MESSAGES_MAX:
                close = messages.CloseClient(
                    code=CloseCode.POLICY_VIOLATION, reason="too many messages without a key"
                )
                self._tell(close)  # the Client closes it within a bounded time
                return False
        request: codec.Undecodable | requests.Request
        try:
            request = self._dialect.decode(message)
        except codec.Undecodable as refusal:
            request = refusal
        gate, allowance = self._gate, self._context.quotas.requests
        limited = allowance.refusal(self._requests, gate.peer, shared=not gate.is_locked)
        if limited is not None:
            request = codec.Undecodable(limited, request.id, meant=request)
        received_s = 0.0 if self._context.meter is None else self._context.clock.monotonic()
        waited = self._take_credit(len(message))
        self._tell(messages.RequestReceived(request=request, received_s=received_s))
        return waited

    def _tell(self, message: messages.ClientMessage) -> None:
        assert self._client is not None
        tell_if_alive(self._client, message)

    def wake(self) -> None:
        if self._client is not None:
            tell_if_alive(self._client, messages._FlushOutbox())

    def end(self, reason: str) -> None:
        if self._client is not None:
            tell_if_alive(self._client, messages.ConnectionLost(reason=reason))

    def _take_credit(self, size_bytes: int) -> bool:
        """Wait until an earlier request is answered; return True if that was necessary. A peer that
        sends requests and reads no answer for the time of a heartbeat is closed: its pongs cannot
        be read meanwhile."""
        waited, sent_bytes = False, self._outbox.sent_bytes
        while not self._credit.take(size_bytes, self._context.heartbeat_s):
            waited = True
            if not self._outbox.is_open:
                break
            if not self._outbox.is_idle and self._outbox.sent_bytes == sent_bytes:
                if self._context.meter is not None:
                    self._context.meter.count(catalogue.SLOW_CLOSED)
                self._outbox.close(CloseCode.TRY_AGAIN_LATER, "answers are not read")
                self._outbox.abort()
                break
            sent_bytes = self._outbox.sent_bytes
        return waited
