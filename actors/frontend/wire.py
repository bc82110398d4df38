"""RFC 6455 and 7692 without a socket: websockets' ServerProtocol, and messages from frames."""

import codecs
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.typing import ExtensionParameter, Subprotocol

from actors.limits.quotas import TokenBucket
from actors.runtime.clock import Clock
from protocol.inflater import Inflater
from protocol.versions import CURRENT

# Without this limit a flood of empty fragments would pass every limit in bytes.
FRAGMENTS_MAX = 4096
# Pings and pongs a second, with bursts of twice that: each ping needs an answer.
CONTROL_FRAMES_PER_S = 100.0


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """The limits of one connection. `message_bytes` holds before and after inflating."""

    message_bytes: int
    fragments: int = FRAGMENTS_MAX
    control_frames_per_s: float = CONTROL_FRAMES_PER_S
    takes_binary: bool = False


class _LongLines(StreamReader):
    """websockets limits each line of a handshake to 8 KiB. Here only the whole has a limit."""

    def __init__(self, line_bytes_max: int) -> None:
        super().__init__()
        self._line_bytes_max = line_bytes_max

    def read_line(
        self, m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        return (yield from super().read_line(max(m, self._line_bytes_max), too_long_exc_type))


class HubProtocol(ServerProtocol):
    """ServerProtocol with three changes: a close inside a fragmented message is a close and no
    protocol error (Autobahn 7.1.5; docs/decisions/0004), control frames are counted, and a line of
    the handshake may be as long as the whole. `endpoint` says what is spoken at the peer's path."""

    def __init__(
        self,
        limits: FrameLimits,
        clock: Clock,
        *,
        compression: bool,
        handshake_bytes_max: int,
    ) -> None:
        super().__init__(
            extensions=[_DEFLATE] if compression else None, max_size=limits.message_bytes
        )
        # The constructor has begun to parse with a reader of its own, and has read nothing.
        self.reader = _LongLines(handshake_bytes_max)
        self.parser = self.parse()
        next(self.parser)
        self._control_frames = TokenBucket(limits.control_frames_per_s, clock)
        self.endpoint = CURRENT  # until the path is known

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        try:
            chosen = self.endpoint.choose(subprotocols)
        except ValueError as error:
            raise NegotiationError(str(error)) from None
        return None if chosen is None else Subprotocol(chosen)

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.PING, Opcode.PONG) and not self._control_frames.take():
            self.fail(CloseCode.POLICY_VIOLATION, "too many pings and pongs a second")
            return
        if frame.opcode is Opcode.PING:
            self.events.append(frame)  # its pong goes out in its turn
            return
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)

    def let_go(self) -> None:
        """Forget what refers to this object, at the end: its memory is then free at once, and does
        not wait for the garbage collector."""
        self.parser.close()
        self.parser_exc = None

    @property
    def inflater(self) -> Inflater | None:
        """Return what the handshake agreed on for messages to the peer; None: they go out
        uncompressed."""
        for extension in self.extensions:
            assert isinstance(extension, PerMessageDeflate)
            return Inflater(
                keeps_context=not extension.local_no_context_takeover,
                window_bits=extension.local_max_window_bits,
            )
        return None


class _DeflateFactory(ServerPerMessageDeflateFactory):
    """permessage-deflate (RFC 7692). The feed compresses messages to the peer, for all subscribers
    at once, so nothing is kept for that here. The answer tells the peer to keep no context (section
    7.1.1.2), because an inflater costs 40 KiB and requests are short."""

    def __init__(self) -> None:
        super().__init__(client_no_context_takeover=True)

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        answer, extension = super().process_request_params(params, accepted_extensions)
        if not extension.local_no_context_takeover:
            del extension.encoder  # 260 KiB for data frames, which this protocol never sends
        return answer, extension


_DEFLATE = _DeflateFactory()  # it has no state of a connection


class MessageRefused(Exception):
    """The connection must be failed with `code`."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Assembler:
    """Make messages from data frames; text must be UTF-8 across fragments."""

    limits: FrameLimits
    _parts: list[Any] = field(default_factory=list)
    _binary: bool = False
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8")
    )

    def add(self, frame: Frame) -> str | bytes | None:
        """Return the message that a frame completes, or None. Raises MessageRefused."""
        if frame.opcode is not Opcode.CONT:
            self._binary = frame.opcode is Opcode.BINARY
        if self._binary and not self.limits.takes_binary:
            raise MessageRefused(CloseCode.UNSUPPORTED_DATA, "send text frames with JSON")
        if len(self._parts) >= self.limits.fragments:
            raise MessageRefused(
                CloseCode.POLICY_VIOLATION,
                f"more than {self.limits.fragments} fragments in a message",
            )
        try:
            data = bytes(frame.data)
            self._parts.append(data if self._binary else self._decoder.decode(data, frame.fin))
        except UnicodeDecodeError:
            raise MessageRefused(CloseCode.INVALID_DATA, "invalid UTF-8") from None
        if not frame.fin:
            return None
        message: str | bytes = (b"" if self._binary else "").join(self._parts)
        self._parts.clear()
        self._decoder.reset()
        return message
