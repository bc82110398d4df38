"""The conversation with one hub, over any number of connections: without sockets, threads or a
clock.

A shell (blocking.py, aio.py) opens the connections, moves the bytes and keeps the time. It calls
one method after the other, never two at once:

    session = Session(address)
    while True:
        send `session.data_to_send()`
        match session.wanted():
            case CONNECT:  open a connection to the address; then `connected` or `failed`
            case SIGN:     sign `session.offer`; then `authenticate` or `failed`
            case CLOSE:    close the connection
        give what arrives to `received`; call `tick` at `session.due_s`

Who asks something gets a Call, and who reads updates a Stream; the session fills them.
"""

import logging
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum, auto
from typing import Any

from claudehub.client.address import Address
from claudehub.client.backoff import Backoff
from claudehub.client.calls import REPLY_TIMEOUT_S, Call
from claudehub.client.errors import (
    ConnectFailed,
    ConnectionLost,
    Failure,
    HubError,
    RequestRefused,
)
from claudehub.client.greeting import Greeting
from claudehub.client.outstanding import Outstanding
from claudehub.client.subscriptions import Subscriptions
from claudehub.client.wire import Wire

_logger = logging.getLogger(__name__)

# To connect, to finish the handshake, and to be greeted: each of them.
OPEN_TIMEOUT_S = 10.0
# How much a shell reads at once. A program has soon done with the updates in it: of more, Python's
# garbage collector would look at each several times.
READ_BYTES = 16 * 1024
# A hub pings every `heartbeat_seconds`. If so many are missing, the connection is dead.
HEARTBEATS_MISSED_MAX = 2
HEARTBEAT_SLACK_S = 5.0
REVOKED = 1008
# What the hub says of itself when it refuses a login. Anything else is about the key.
_NOT_ABOUT_THE_KEY = frozenset({"rate_limited", "shutting_down", "internal", "unavailable"})


class State(StrEnum):
    """What a program sees. `waiting`: the connection is lost, and another one is tried."""

    CONNECTED = "connected"
    WAITING = "waiting"
    CLOSED = "closed"


class Want(Enum):
    """What the session wants of its shell."""

    NOTHING = auto()
    CONNECT = auto()
    SIGN = auto()
    CLOSE = auto()


class Session:
    """The state of the conversation. Times are seconds of a clock that never goes back."""

    def __init__(
        self,
        address: Address,
        *,
        reconnect: bool = True,
        give_up_after_s: float | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.address = address
        self.state = State.WAITING
        self.why = "not connected yet"
        self.retry_at_s: float | None = None
        self.welcome: Mapping[str, Any] = {}
        self.offer: Mapping[str, Any] | None = None
        self.error: HubError | None = None
        self.refusal: RequestRefused | None = None
        self.on_state: Callable[[State], None] = lambda state: None
        self.subscriptions = Subscriptions(self._send, lambda why: self._lost(why, None))
        self._reconnect = reconnect
        self._give_up_after_s = give_up_after_s
        self._backoff = backoff or Backoff()
        self._wants = Want.CONNECT
        self._wire: Wire | None = None
        self._is_open = False
        self._was_open = False
        self._due_s: float | None = None
        self._lost_at_s: float | None = None
        self._opened_at_s = 0.0
        self._calls = Outstanding()
        self._login: Call | None = None
        self._greeting = Greeting.read({})
        self._now_s = 0.0

    # -- what programs ask for

    def ask(self, call: Call) -> None:
        """Send a request, now or when there is a connection."""
        if self.state is State.CLOSED:
            call.failed(self.error or ConnectionLost("this hub is closed"))
        elif self._is_open:
            self._send(call)
        else:
            self._calls.wait(call)

    def withdraw(self, call: Call) -> None:
        """Forget a request for which nobody waits any more. It is not sent after this; if it was
        sent before, its reply is ignored."""
        self._calls.withdraw(call)

    def close(self) -> None:
        """End everything; what is under way fails with ConnectionLost."""
        if self.state is not State.CLOSED:
            if self._wire is not None:
                self._wire.close()
            self._closed(None)

    def abandon(self, error: HubError) -> None:
        """End everything with an error: the shell itself has failed."""
        if self.state is not State.CLOSED:
            self._drop()
            self._closed(error)

    # -- what the shell does, and reports

    def wanted(self) -> Want:
        """Return what the shell shall do now, once. A connection before a new one is closed."""
        wanted, self._wants = self._wants, Want.NOTHING
        return wanted

    def connected(self, now_s: float) -> None:
        """A connection is open; the handshake begins."""
        self._now_s = now_s
        if self.state is State.CLOSED:
            self._wants = Want.CLOSE
            return
        self._wire = Wire(self.address)
        self._due_s = now_s + OPEN_TIMEOUT_S

    def failed(self, error: ConnectFailed, now_s: float) -> None:
        """A connection could not be made, or the key is refused."""
        self._now_s = now_s
        if self.state is State.CLOSED:
            return
        # A key that the hub refuses will not be taken the next time.
        if not self._was_open or error.failure is Failure.KEY or not self._reconnect:
            self._drop()
            self._closed(ConnectionLost(str(error)) if self._was_open else error)
        else:
            self._lost(str(error), None)

    def authenticate(self, proof: Mapping[str, Any], now_s: float) -> None:
        """Send a signature of `offer`. If the hub refuses it, the session wants another one."""
        self._now_s = now_s
        if self._wire is not None and self.offer is not None:
            self._due_s = now_s + OPEN_TIMEOUT_S
            self._login = Call("authenticate", **proof)
            self._send(self._login)

    def received(self, data: bytes, now_s: float) -> None:
        """Take bytes of the connection. No bytes are its end."""
        self._now_s = now_s
        if self._wire is None or self.state is State.CLOSED:
            return  # closed while these bytes were on their way
        if self._is_open:
            self._due_s = now_s + self._silence_s
        wire = self._wire
        try:
            for message, size_bytes in wire.receive(data):
                self._message(message, size_bytes)
                if self._wire is not wire:
                    return
        except ConnectFailed as error:
            self.failed(error, now_s)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            self._garbled(error)
        else:
            if not data or wire.is_ending:
                self._ended(wire)

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self._now_s = now_s
        if self.retry_at_s is not None and now_s >= self.retry_at_s:
            self.retry_at_s = None
            self._wants = Want.CONNECT
        if self._is_given_up():
            self._closed(
                ConnectionLost(f"no connection for {self._give_up_after_s:g} s: {self.why}")
            )
        elif self._due_s is not None and now_s >= self._due_s and self._wire is not None:
            self._overdue()
        for call in self._calls.due(now_s):
            self.ask(call)

    @property
    def due_s(self) -> float | None:
        """Return when to call `tick` next, or None."""
        times = [self.retry_at_s, self._due_s, self._calls.due_s]
        if self._lost_at_s is not None and self._give_up_after_s is not None:
            times.append(self._lost_at_s + self._give_up_after_s)
        return min((due_s for due_s in times if due_s is not None), default=None)

    def data_to_send(self) -> bytes:
        return self._wire.data_to_send() if self._wire is not None else b""

    # -- messages

    def _message(self, message: Mapping[str, Any], size_bytes: int) -> None:
        payload = message.get("payload")
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            raise ValueError("a payload is no JSON object")
        match message["type"]:
            case "update":
                if not self.subscriptions.receive(payload, size_bytes):
                    self._lost("it left out an update", None)
            case "result":
                self._result(message.get("id"), payload)
            case "error":
                details = payload.get("details")
                self._refused(
                    message.get("id"),
                    RequestRefused(
                        str(payload["code"]),
                        str(payload["message"]),
                        details if isinstance(details, dict) else {},
                    ),
                )
            case "welcome":
                self._greeted(payload)

    def _greeted(self, welcome: Mapping[str, Any]) -> None:
        assert self._wire is not None
        if self._is_open or self.offer is not None:
            raise ValueError("a second greeting")
        self._greeting = Greeting.read(welcome)
        self.welcome = welcome
        if self._greeting.deprecation is not None and not self._was_open:
            _logger.warning("the hub says: %.300s", self._greeting.deprecation)
        self._wire.allow(self._greeting.max_update_bytes)
        if welcome.get("auth") is None:
            self._opened()
        elif self.address.socket_path is not None:
            self._not_admitted(
                "this socket wants a key, and a hub's own socket wants none: it may lead to "
                "another server; connect to that by its name, with ws:// or wss://"
            )
        else:
            self.offer = welcome["auth"]
            self._wants = Want.SIGN
            self._due_s = None  # the user may have to touch a key; the hub keeps the time

    def _opened(self) -> None:
        self.offer = self.refusal = None
        self._is_open = self._was_open = True
        self._lost_at_s = None
        self._opened_at_s = self._now_s
        self._due_s = self._now_s + self._silence_s
        self._become(State.CONNECTED, "connected")
        self.subscriptions.opened()
        for call in self._calls.waiting():
            self._send(call)

    def _send(self, call: Call) -> None:
        if self._wire is None or not (self._is_open or call is self._login):
            self._calls.wait(call)
        elif (limit := self._greeting.max_message_bytes) < (size := call.size_bytes):
            # The hub would close the connection (1009), and so each time that it is sent again.
            words = f"the request has {size} bytes, and this hub takes {limit}"
            call.failed(RequestRefused("too_big", words, {"max_message_bytes": limit}))
        else:
            self._wire.send(self._calls.send(call, self._now_s, self._reply_timeout_s))

    def _result(self, number: str | None, payload: Mapping[str, Any]) -> None:
        call = self._calls.take(number)
        if call is None:
            return
        if call is self._login:
            self._login = None
            self._opened()
        call.answered(payload)

    def _refused(self, number: str | None, error: RequestRefused) -> None:
        call = self._calls.take(number)
        if call is None:
            return
        if call is self._login:
            self._login = None
            self._not_logged_in(error)
        else:
            self._calls.refused(call, error, self._now_s, self._reconnect)

    def _not_logged_in(self, error: RequestRefused) -> None:
        """Try the next key, or, if the hub cannot let anybody in now, another connection."""
        if error.code in _NOT_ABOUT_THE_KEY:
            words = f"{self.address.url} lets nobody in now: {error}"
            self.failed(ConnectFailed(Failure.REFUSED, words), self._now_s)
            return
        self.refusal = error
        self._wants = Want.SIGN
        self._due_s = None

    # -- ends

    @property
    def _silence_s(self) -> float:
        """Return after how many seconds without a byte the connection counts as dead."""
        return HEARTBEATS_MISSED_MAX * self._greeting.heartbeat_s + HEARTBEAT_SLACK_S

    def _garbled(self, error: Exception) -> None:
        """The other side has sent what no hub sends."""
        words = f"{self.address.url} sent what no hub sends: {error!r}"
        self.failed(ConnectFailed(Failure.NOT_A_HUB, words), self._now_s)

    @property
    def _reply_timeout_s(self) -> float:
        """Return how long to wait for a reply: longer than for a connection that is dead, so that
        the request is sent again on the next one."""
        return max(REPLY_TIMEOUT_S, self._silence_s + HEARTBEAT_SLACK_S)

    def _overdue(self) -> None:
        """The handshake takes too long, or the hub is silent."""
        self._due_s = None
        if self._is_open:
            self._lost(f"nothing came for {self._silence_s:.0f} s", None)
        else:
            words = f"{self.address.url} does not answer within {OPEN_TIMEOUT_S:.0f} s"
            self.failed(ConnectFailed(Failure.UNREACHABLE, words), self._now_s)

    def _ended(self, wire: Wire) -> None:
        if wire.close_code == REVOKED:
            if self._was_open and self._is_open:
                self._drop()
                self._closed(ConnectionLost(f"{wire.why_closed} (the key was revoked)"))
            else:
                self._not_admitted(wire.why_closed)
        elif not self._was_open:
            words = f"{self.address.url} ended the connection: {wire.why_closed}"
            self.failed(ConnectFailed(Failure.NOT_A_HUB, words), self._now_s)
        else:
            self._lost(wire.why_closed, wire.close_code)

    def _not_admitted(self, why: str) -> None:
        self.failed(ConnectFailed(Failure.KEY, f"{self.address.url}: {why}"), self._now_s)

    def _lost(self, why: str, close_code: int | None) -> None:
        """Make another connection, later; or end."""
        lived_s = self._now_s - self._opened_at_s if self._is_open else 0.0
        if self._lost_at_s is None:
            self._lost_at_s = self._now_s
        self._drop()
        if not self._reconnect:
            self._closed(ConnectionLost(f"the connection to {self.address.url} ended: {why}"))
            return
        self.retry_at_s = self._now_s + self._backoff.after(close_code, lived_s)
        self._become(State.WAITING, why)

    def _drop(self) -> None:
        """Let the connection go, and take back what was sent on it."""
        if self._wire is not None:
            self._wire = None
            self._wants = Want.CLOSE
        elif self._wants is not Want.CLOSE:
            self._wants = Want.NOTHING
        self._is_open = False
        self._due_s = None
        self.offer = None
        login, self._login = self._login, None
        forgets = self.subscriptions.forgets
        self._calls.lost(lambda call: call is login or forgets(call))
        self.subscriptions.lost()

    def _is_given_up(self) -> bool:
        return (
            self.state is not State.CLOSED
            and self._give_up_after_s is not None
            and self._lost_at_s is not None
            and self._now_s >= self._lost_at_s + self._give_up_after_s
        )

    def _closed(self, error: HubError | None) -> None:
        """Tell everybody who waits. With an error, they get it; else they were told to stop."""
        self.error = error
        self.retry_at_s = self._due_s = self._lost_at_s = None
        self._wants = Want.CLOSE
        self._become(State.CLOSED, str(error or "closed"))
        # The readers first: a join that fails now is no reason of its own for them.
        self.subscriptions.end(error)
        self._calls.fail(error or ConnectionLost("this hub was closed"))

    def _become(self, state: State, why: str) -> None:
        self.why = why
        if state is not self.state:
            self.state = state
            self.on_state(state)
