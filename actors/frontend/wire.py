"""RFC 6455 without a socket: websockets' ServerProtocol, and messages put together from frames."""

import codecs
from dataclasses import dataclass, field

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

# A flood of empty fragments would otherwise pass every limit in bytes.
FRAGMENTS_MAX = 4096


class HubProtocol(ServerProtocol):
    """ServerProtocol with one answer mended: a close inside a fragmented message is a close, not a
    protocol error (Autobahn 7.1.5; docs/decisions/0004)."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


def deflate_extension() -> ServerPerMessageDeflateFactory:
    """permessage-deflate (RFC 7692) for what clients send; what we send may stay plain."""
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=True, compress_settings={"level": 1}
    )


class MessageRefused(Exception):
    """The connection must be failed with `code`."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Assembler:
    """Text messages from data frames, strictly UTF-8 over fragments."""

    _parts: list[str] = field(default_factory=list)
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8")
    )

    def add(self, frame: Frame) -> str | None:
        """The message that a frame completes. Raises MessageRefused."""
        if frame.opcode is Opcode.BINARY:
            raise MessageRefused(CloseCode.UNSUPPORTED_DATA, "send text frames with JSON")
        if len(self._parts) >= FRAGMENTS_MAX:
            raise MessageRefused(
                CloseCode.POLICY_VIOLATION, f"more than {FRAGMENTS_MAX} fragments in a message"
            )
        try:
            self._parts.append(self._decoder.decode(bytes(frame.data), frame.fin))
        except UnicodeDecodeError:
            raise MessageRefused(CloseCode.INVALID_DATA, "invalid UTF-8") from None
        if not frame.fin:
            return None
        text = "".join(self._parts)
        self._parts.clear()
        self._decoder.reset()
        return text
