"""A small blocking client: requests, and the stream of updates."""

import itertools
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

import simplejson
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect, unix_connect
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from claudehub.client.identity import SigningFailed
from claudehub.client.target import Target
from protocol.host import dialled
from protocol.versions import SUBPROTOCOLS

OPEN_TIMEOUT_S = 10.0
REPLY_TIMEOUT_S = 60.0


class ClientError(Exception):
    """Base class of the client's errors."""


class ConnectFailed(ClientError):
    """No hub answers at that address, or it refused the connection."""


class ConnectionEnded(ClientError):
    """The connection has ended. A new one that joins with `after_seq` misses nothing."""


class RequestFailed(ClientError):
    """The hub answered with an error."""

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.details = details


class HubClient:
    """One connection. While it waits for a reply, it keeps arriving updates for `updates`."""

    def __init__(self, target: Target) -> None:
        """Connect, and authenticate if the hub asks for it. Raises ConnectFailed."""
        self._updates: deque[dict[str, Any]] = deque()
        self._ids = itertools.count(1)
        self._stack = ExitStack()
        try:
            self._socket: ClientConnection = self._stack.enter_context(_connect(target))
            self.welcome: dict[str, Any] = self._receive(OPEN_TIMEOUT_S)["payload"]
            if self.welcome["auth"] is not None:
                self._authenticate(target)
        except SigningFailed as error:
            self._stack.close()
            raise ConnectFailed(f"{target.url}: {error}") from None
        except RequestFailed as error:
            self._stack.close()
            raise ConnectFailed(f"{target.url} does not take this key: {error}") from None
        except ssl.SSLCertVerificationError as error:
            self._stack.close()
            raise ConnectFailed(
                f"the certificate of {target.url} is not trusted ({error.verify_message}); "
                "SSL_CERT_FILE=FILE names one to trust"
            ) from None
        except (OSError, InvalidHandshake, InvalidURI, ConnectionEnded, ValueError) as error:
            self._stack.close()
            raise ConnectFailed(
                f"no hub at {target.url} ({error}); `claudehub serve` starts one"
            ) from None

    def __enter__(self) -> "HubClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def request(self, kind: str, **payload: Any) -> dict[str, Any]:
        """Send a request and return the data of its reply. Raises RequestFailed and
        ConnectionEnded."""
        request_id = str(next(self._ids))
        self._send({"type": kind, "id": request_id, "payload": payload})
        while True:
            message = self._receive(REPLY_TIMEOUT_S)
            if message["type"] == "update":
                self._updates.append(message["payload"])
            elif message.get("id") == request_id:
                break
        answer: dict[str, Any] = message["payload"]
        if message["type"] == "error":
            raise RequestFailed(answer["code"], answer["message"], answer["details"])
        return answer

    def updates(self, timeout_s: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield the payloads of updates as they arrive. Raises TimeoutError after `timeout_s`
        seconds without one, and ConnectionEnded."""
        while True:
            while self._updates:
                yield self._updates.popleft()
            message = self._receive(timeout_s)
            if message["type"] == "update":
                yield message["payload"]

    def _authenticate(self, target: Target) -> None:
        """Try one key after the other. Raises RequestFailed with the last refusal."""
        refusal: RequestFailed | None = None
        if target.socket_path is not None:
            raise SigningFailed(
                "this socket wants a key, and the hub's own wants none: it may lead to another "
                "server; connect to that by its name, with ws:// or wss://"
            )
        for proof in target.identity.proofs(self.welcome["auth"], dialled(target.url)):
            try:
                self.request("authenticate", **asdict(proof))
                return
            except RequestFailed as error:
                refusal = error
        assert refusal is not None, "there is a proof, or SigningFailed"
        raise refusal

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.send(simplejson.dumps(message))
        except ConnectionClosed as error:
            raise _ended(error) from None

    def _receive(self, timeout_s: float | None) -> dict[str, Any]:
        try:
            message: dict[str, Any] = simplejson.loads(self._socket.recv(timeout=timeout_s))
        except ConnectionClosed as error:
            raise _ended(error) from None
        return message


def _connect(target: Target) -> ClientConnection:
    options: dict[str, Any] = {
        "subprotocols": [Subprotocol(name) for name in SUBPROTOCOLS],
        "open_timeout": OPEN_TIMEOUT_S,
        "max_size": None,
        # By default the library stops reading after a few messages, pings included, while the user
        # answers a question.
        "max_queue": None,
    }
    connection: ClientConnection
    if target.socket_path is not None:
        connection = unix_connect(target.socket_path, **options)
    else:
        # With an address given, the library follows no redirect to another host, which would get a
        # signature for the one that the user named.
        uri = parse_uri(target.url)
        connection = connect(target.url, proxy=None, address=(uri.host, uri.port), **options)
    return connection


def _ended(error: ConnectionClosed) -> ConnectionEnded:
    close = error.rcvd
    why = f"{close.code} {close.reason}".strip() if close is not None else "without a close frame"
    return ConnectionEnded(f"the connection ended: {why}")
