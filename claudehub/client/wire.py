"""One WebSocket connection, without a socket: bytes in, messages out, and the reverse.

`websockets` speaks RFC 6455; this module puts its frames together to JSON messages.
"""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import simplejson
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from claudehub.client.address import Address
from claudehub.client.errors import ConnectFailed, Failure
from claudehub.client.framing import Framer
from protocol import PROTOCOL_VERSION

SUBPROTOCOL = Subprotocol(f"claudehub.v{PROTOCOL_VERSION}")
# Until the hub has said how large its messages may be.
GREETING_BYTES_MAX = 1024 * 1024
BODY_CHARACTERS_SHOWN = 200
_HEADERS_END = b"\r\n\r\n"
# What tells other servers from a hub: the beginning of a TLS alert (RFC 8446, section 5.1), and of
# an answer in HTTP/1.0, which the WebSocket library does not read.
_TLS_ALERT, _HTTP = b"\x15\x03", b"HTTP/"
_FIRST_BYTES = 64


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# `decode` would do the same, and a third of its time would be spent around this.
_scan: Callable[[str, int], tuple[Any, int]] = simplejson.JSONDecoder(
    parse_constant=_no_number
).scan_once


class Wire:
    """A connection from its handshake to its end."""

    def __init__(self, address: Address) -> None:
        self._address = address
        # None, and no empty list: that would be an empty header, which is a fault.
        deflate = None if address.is_local else [ClientPerMessageDeflateFactory()]
        self._protocol = ClientProtocol(
            address.uri,
            extensions=deflate,
            subprotocols=[SUBPROTOCOL],
            max_size=GREETING_BYTES_MAX,
        )
        self._protocol.send_request(self._protocol.connect())
        self._framer = Framer(GREETING_BYTES_MAX)
        self._is_open = False
        self._parts: list[bytes] = []
        self._first = b""
        self._last = b""

    @property
    def close_code(self) -> int | None:
        """Return the code with which the hub closed the connection, if it said one."""
        received = self._protocol.close_rcvd
        return received.code if received is not None else None

    @property
    def why_closed(self) -> str:
        received = self._protocol.close_rcvd
        if received is None:
            fault = self._protocol.parser_exc
            return "it was cut" if fault is None or isinstance(fault, EOFError) else str(fault)
        return f"the hub closed it: {received.code} {received.reason}".strip()

    @property
    def is_ending(self) -> bool:
        """Return True if no message will come any more."""
        return self._protocol.state is not State.OPEN and (
            self._protocol.state is not State.CONNECTING or self._protocol.eof_sent
        )

    def allow(self, message_bytes: int) -> None:
        """Take messages up to that size: the largest that the hub says it sends."""
        self._protocol.max_message_size = self._framer.limit = message_bytes

    def receive(self, data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
        """Take bytes from the network, and yield the messages that they complete, with the size of
        each. No bytes are the end. Raises ConnectFailed if the other side refuses the handshake or
        is no hub, and ValueError for a message that is not a JSON object."""
        if len(self._first) < _FIRST_BYTES:
            self._first += data[: _FIRST_BYTES - len(self._first)]
        if not data:
            self._protocol.receive_eof()
        if not self._is_open:
            data = self._shake_hands(data)
        elif self._protocol.state is not State.OPEN:
            return
        for is_text, found in self._framer.feed(data) if data else ():
            if is_text:
                yield _object(found), len(found)
                continue
            self._protocol.receive_data(found)
            yield from self._parsed()
            if self._protocol.state is not State.OPEN:
                return  # what comes behind a close is nothing

    def _shake_hands(self, data: bytes) -> bytes:
        """Take bytes of the answer to the handshake, and return what comes behind it. Raises
        ConnectFailed."""
        is_end = not data
        before, self._last = self._last, (self._last + data)[-3:]
        end = (before + data).find(_HEADERS_END)
        size = len(data) if end < 0 else end + len(_HEADERS_END) - len(before)
        if size:
            self._protocol.receive_data(data[:size])
        self._is_open = self._protocol.state is State.OPEN
        if not self._is_open and size < len(data):
            self._protocol.receive_data(data[size:])  # the body of a refusal
        if self._protocol.handshake_exc is not None:
            raise self._refused(self._protocol.handshake_exc)
        if is_end:
            raise self._refused(None)
        self._protocol.events_received()  # the answer itself
        return data[size:] if self._is_open else b""

    def _parsed(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield the messages of frames that `websockets` has parsed."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and (text := self._text(event)) is not None:
                yield _object(text), len(text)
        self._framer.in_parts = bool(self._parts)

    def send(self, message: str) -> None:
        self._protocol.send_text(message.encode())

    def close(self) -> None:
        """Say that this client goes, if the connection is open."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)

    def data_to_send(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    def _text(self, frame: Frame) -> bytes | None:
        """Return a whole message; None for a part of one, and for other frames."""
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return None
        data = bytes(frame.data)
        if frame.fin and not self._parts:
            return data
        self._parts.append(data)
        if not frame.fin:
            return None
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    def _refused(self, error: Exception | None) -> ConnectFailed:
        """Tell a hub that refuses from something that is no hub."""
        url = self._address.url
        if self._first.startswith(_TLS_ALERT):
            secure = url.replace("ws://", "wss://", 1)
            return ConnectFailed(Failure.TLS_EXPECTED, f"{url} speaks TLS; try {secure}")
        if isinstance(error, InvalidStatus):
            return _status_refused(url, error.response)
        if self._first.startswith(_HTTP) and isinstance(error, InvalidMessage):
            said = self._first.splitlines()[0].decode("ascii", "replace")
            return ConnectFailed(
                Failure.NOT_A_HUB, f"{url} is no hub, or its path is wrong: {said}"
            )
        if error is None or isinstance(error, InvalidMessage):
            return ConnectFailed(
                Failure.NOT_A_HUB,
                f"{url} does not answer as a hub: it closed the connection, or speaks another "
                "protocol (a hub with TLS is reached by wss://)",
            )
        assert isinstance(error, InvalidHandshake), error
        return ConnectFailed(Failure.NOT_A_HUB, f"{url} does not answer as a hub: {error}")


def _object(text: bytes) -> dict[str, Any]:
    """Read a message. Raises ValueError."""
    characters = text.decode("utf-8").lstrip()
    try:
        message, end = _scan(characters, 0)
    except RecursionError:
        return _without_data(characters)
    except StopIteration:
        raise ValueError("a message is no JSON") from None
    if not isinstance(message, dict) or (end < len(characters) and characters[end:].strip()):
        raise ValueError("a message is no JSON object")
    return message


def _without_data(characters: str) -> dict[str, Any]:
    """Return an update whose data Python cannot read, because it is nested too deeply, without the
    data: its reader must get past it. Raises ValueError for other messages."""
    head, found, _ = characters.partition(',"data":')
    if not found or not head.startswith('{"type":"update","payload":{'):
        raise ValueError("a message is nested too deeply")
    message: dict[str, Any] = _scan(head + ',"data":{}}}', 0)[0]
    return message


def _status_refused(url: str, response: Response) -> ConnectFailed:
    body = bytes(response.body or b"").decode("utf-8", "replace").strip()
    said = body.splitlines()[0][:BODY_CHARACTERS_SHOWN] if body else response.reason_phrase
    # The hub's own answers begin in plain text; those of other servers are pages.
    is_page = "html" in str(response.headers.get("Content-Type", ""))
    if response.status_code == 503 and not is_page:
        return ConnectFailed(Failure.FULL, f"{url} takes no more connections now: {said}")
    if response.status_code in (400, 403) and not is_page:
        return ConnectFailed(Failure.REFUSED, f"{url} refused the connection: {said}")
    return ConnectFailed(
        Failure.NOT_A_HUB,
        f"{url} is no hub, or its path is wrong: HTTP {response.status_code} {said}",
    )
