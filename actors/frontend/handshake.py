"""Who comes in: the checks of the opening handshake, in the order of docs/protocol.md."""

import http
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from actors.frontend.wire import HubProtocol, deflate_extension
from protocol.versions import choose_subprotocol

PATH = "/"
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class HandshakeRules:
    """`admit` takes a place among MAX_CONN connections where there is one."""

    allowed_origins: Sequence[str]
    max_message_bytes: int
    compression: bool
    admit: Callable[[], bool]


def new_protocol(rules: HandshakeRules) -> HubProtocol:
    """A protocol that waits for a request."""
    return HubProtocol(
        extensions=[deflate_extension()] if rules.compression else None,
        select_subprotocol=_select_subprotocol,
        max_size=rules.max_message_bytes,
    )


def _select_subprotocol(
    _protocol: ServerProtocol, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    try:
        chosen = choose_subprotocol(offered)
    except ValueError as error:
        raise NegotiationError(str(error)) from None
    return None if chosen is None else Subprotocol(chosen)


def respond(protocol: HubProtocol, request: Request, rules: HandshakeRules) -> Response:
    """The answer: 101, or a refusal whose body says what to do."""
    status = http.HTTPStatus
    if request.path.partition("?")[0] != PATH:
        return protocol.reject(status.NOT_FOUND, f"Not here: connect to {PATH}\n")
    if "Upgrade" not in request.headers:
        response = protocol.reject(
            status.UPGRADE_REQUIRED,
            "This is a WebSocket server, it has no web pages: use a WebSocket client, "
            "such as `claudehub tail`.\n",
        )
        response.headers["Upgrade"] = "websocket"
        return response
    origins = request.headers.get_all("Origin")
    if any(origin not in rules.allowed_origins for origin in origins):
        return protocol.reject(
            status.FORBIDDEN, "This origin may not connect: add it to ALLOWED_ORIGINS.\n"
        )
    response = protocol.accept(request)
    if response.status_code == status.SWITCHING_PROTOCOLS and not rules.admit():
        response = protocol.reject(
            status.SERVICE_UNAVAILABLE,
            "Too many connections: try again later, or raise MAX_CONN.\n",
        )
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
