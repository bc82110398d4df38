"""The opening handshake: read within limits, and checked in the order of docs/protocol.md."""

import http
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.headers import parse_connection, parse_upgrade
from websockets.http11 import Request, Response

from actors.frontend.wire import FrameLimits, HubProtocol
from actors.runtime.clock import Clock
from protocol import codec
from protocol.versions import CURRENT, OLDER, Endpoint

PATH = "/"
# Where the older server's clients connect, and what its health scripts ask for.
OLDER_PATH = "/ws"
OLDER_HEALTH_PATH = "/health"
VERSION = "13"
HTTP_VERSION = "HTTP/1.1"
WEBSOCKET = "websocket"
END = b"\r\n\r\n"
RETRY_AFTER_S = 5
HANDSHAKE_BYTES_MAX = 16 * 1024

_ABSOLUTE = re.compile(r"(?:https?|wss?)://[^/]*", re.IGNORECASE)
_LISTS = ("Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")


@dataclass(frozen=True, slots=True)
class HandshakeRules:
    """What all connections of a server share."""

    allowed_origins: Sequence[str]
    limits: FrameLimits
    compression: bool
    path_prefix: str = ""  # PATH_PREFIX, decoded
    has_older: bool = False  # PROTOCOL_V0
    needs_key: bool = False
    connection_count: Callable[[], int] = int

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what is spoken at a path: `/`, and the prefix with and without a slash at its end;
        OLDER_PATH, there or below the prefix."""
        if path == PATH or (bool(path) and path.removesuffix("/") == self.path_prefix):
            return CURRENT
        return OLDER if self.has_older and self._plain(path) == OLDER_PATH else None

    def tells_health(self, path: str) -> bool:
        """Return True for the path at which the older server told how it is."""
        return self.has_older and not self.needs_key and self._plain(path) == OLDER_HEALTH_PATH

    def _plain(self, path: str) -> str:
        return path.removeprefix(self.path_prefix)


def new_protocol(rules: HandshakeRules, clock: Clock) -> HubProtocol:
    """Return a protocol that waits for a request."""
    return HubProtocol(
        rules.limits,
        clock,
        compression=rules.compression,
        handshake_bytes_max=HANDSHAKE_BYTES_MAX,
    )


class RequestReader:
    """Read the request of one connection, in any pieces. `rest` is what follows it: frames of a
    client that did not wait for the answer, for the protocol once it is open. `admit` counts the
    connection against MAX_CONN and returns False if there is no room."""

    def __init__(
        self, protocol: HubProtocol, rules: HandshakeRules, admit: Callable[[], bool]
    ) -> None:
        self.rest = b""
        self._admit = admit
        self._protocol = protocol
        self._rules = rules
        self._size_bytes = 0
        self._has_begun = False
        self._tail = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return the answer once there is one. The protocol is open then, or never will
        be."""
        protocol = self._protocol
        size_bytes = len(data)
        if not self._has_begun:  # empty lines before a request are ignored (RFC 9112, section 2.2)
            data = data.lstrip(b"\r\n")
            self._has_begun = bool(data)
            self._size_bytes += size_bytes - len(data)
        data = self._cut(data)
        self._size_bytes += len(data)
        if self._size_bytes > HANDSHAKE_BYTES_MAX:
            return self._refusal(
                http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A handshake has {HANDSHAKE_BYTES_MAX} bytes at most: send fewer headers.\n",
            )
        protocol.receive_data(data)
        events = protocol.events_received()
        if events and isinstance(events[0], Request):
            response = respond(protocol, events[0], self._rules, self._admit)
            if events[0].method == "HEAD":
                response.body = b""
            protocol.send_response(response)
            return b"".join(protocol.data_to_send())
        if protocol.handshake_exc is not None:
            # The protocol answers a line that is too long; it does not answer what is no HTTP.
            return b"".join(protocol.data_to_send()) or self._refusal(
                http.HTTPStatus.BAD_REQUEST,
                "This is no HTTP request of a WebSocket client: use one.\n",
            )
        return None

    def _cut(self, data: bytes) -> bytes:
        """Return the bytes up to the end of the request: the protocol would read later frames by
        rules that are not agreed on yet."""
        end = (self._tail + data).find(END)
        if end >= 0:
            at = end + len(END) - len(self._tail)
            data, self.rest = data[:at], data[at:]
        self._tail = (self._tail + data)[1 - len(END) :]
        return data

    def timed_out(self) -> bytes:
        """Return the answer to a peer whose request did not end in time; nothing if it sent
        nothing."""
        if not self._size_bytes:
            return b""
        return self._refusal(
            http.HTTPStatus.REQUEST_TIMEOUT,
            "The handshake took too long: it must end within AUTH_TIMEOUT.\n",
        )

    def _refusal(self, status: http.HTTPStatus, text: str) -> bytes:
        return self._protocol.reject(status, text).serialize()


def respond(
    protocol: HubProtocol, request: Request, rules: HandshakeRules, admit: Callable[[], bool]
) -> Response:
    """Return the answer: 101, or a refusal whose body says what to do."""
    status = http.HTTPStatus
    path = _path(request)
    if rules.tells_health(path):
        return _health(protocol, rules.connection_count())
    refusal = _enter(protocol, rules, path) or _refusal(protocol, request, rules)
    if refusal is not None:
        return refusal
    response = _accept(protocol, request)
    if response.status_code == status.SWITCHING_PROTOCOLS and not admit():
        response = protocol.reject(
            status.SERVICE_UNAVAILABLE,
            "Too many connections: try again later, or raise MAX_CONN.\n",
        )
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _enter(protocol: HubProtocol, rules: HandshakeRules, path: str) -> Response | None:
    """Note what is spoken at the path; return a refusal if nothing is."""
    status = http.HTTPStatus
    endpoint = rules.endpoint(path)
    if endpoint is None:
        return protocol.reject(status.NOT_FOUND, f"Not here: connect to {PATH}\n")
    if endpoint is OLDER and rules.needs_key:
        return protocol.reject(
            status.FORBIDDEN,
            "Clients of version 0 cannot use keys, and this hub needs them (AUTHORIZED_KEYS): "
            f"connect to {PATH} with a key.\n",
        )
    protocol.endpoint = endpoint
    return None


def _refusal(protocol: HubProtocol, request: Request, rules: HandshakeRules) -> Response | None:
    """Return why a request is no handshake that may go on."""
    status = http.HTTPStatus
    _put_in_usual_form(request)
    if request.protocol != HTTP_VERSION:
        return _upgrade_required(
            protocol,
            "A WebSocket needs HTTP/1.1: if a proxy has sent this, set the version there "
            "(nginx: proxy_http_version 1.1).\n",
        )
    if not _wants_websocket(request):
        return _upgrade_required(
            protocol,
            "This is a WebSocket server, it has no web pages: use a WebSocket client, "
            "such as `claudehub tail`.\n",
        )
    origins = request.headers.get_all("Origin")
    if any(origin not in rules.allowed_origins for origin in origins):
        return protocol.reject(
            status.FORBIDDEN, "This origin may not connect: add it to ALLOWED_ORIGINS.\n"
        )
    if request.method == "GET" and request.headers.get_all("Sec-WebSocket-Version") != [VERSION]:
        response = protocol.reject(
            status.BAD_REQUEST, f"Speak version {VERSION} of the WebSocket protocol (RFC 6455).\n"
        )
        response.headers["Sec-WebSocket-Version"] = VERSION
        return response
    return None


def _health(protocol: HubProtocol, connections: int) -> Response:
    """Answer a health script of the older server as that did: it only looks for the status."""
    response = protocol.reject(http.HTTPStatus.OK, "")
    del response.headers["Content-Type"], response.headers["Content-Length"]
    response.body = codec.dumps({"status": "healthy", "connections": connections})
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Length"] = str(len(response.body))
    return response


def _accept(protocol: HubProtocol, request: Request) -> Response:
    response = protocol.accept(request)
    if isinstance(protocol.handshake_exc, NegotiationError):
        # In websockets' own answer the text begins with what it has failed to do.
        return protocol.reject(http.HTTPStatus.BAD_REQUEST, f"{protocol.handshake_exc}\n")
    return response


def _path(request: Request) -> str:
    """Return the decoded path. The target may be a whole URL (RFC 9112, section 3.2.2: a server
    must take it)."""
    target = request.path.partition("?")[0]
    if match := _ABSOLUTE.match(target):
        target = target[match.end() :] or PATH
    return unquote(target)


def _put_in_usual_form(request: Request) -> None:
    """Rewrite headers that are legal and that websockets does not take: an empty list is none
    (RFC 9110, section 5.6.1), and `Upgrade` may offer other protocols beside WebSocket (RFC 6455,
    section 4.2.1)."""
    headers = request.headers
    for name in _LISTS:
        values = headers.get_all(name)
        kept = [value for value in values if value.strip(" \t,")]
        if len(kept) < len(values):
            del headers[name]
            for value in kept:
                headers[name] = value
    offered = headers.get_all("Upgrade")
    if offered == [WEBSOCKET]:
        return
    try:
        upgrade = [name.lower() for value in offered for name in parse_upgrade(value)]
    except InvalidHeader:
        return
    if WEBSOCKET in upgrade:
        del headers["Upgrade"]
        headers["Upgrade"] = WEBSOCKET


def _upgrade_required(protocol: HubProtocol, text: str) -> Response:
    response = protocol.reject(http.HTTPStatus.UPGRADE_REQUIRED, text)
    response.headers["Upgrade"] = WEBSOCKET
    return response


def _wants_websocket(request: Request) -> bool:
    get = request.headers.get_all
    try:
        options = {name.lower() for value in get("Connection") for name in parse_connection(value)}
    except InvalidHeader:
        return False
    return get("Upgrade") == [WEBSOCKET] and "upgrade" in options
