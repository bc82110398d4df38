"""The real front end with an echo in place of the hub, for Autobahn's cases:

    python tests/echo_server.py --port 9001 --max-message-bytes 33554432
    kosoku 127.0.0.1:9001 -x '9.*' -x '12.*' -x '13.*'

Text comes back compressed where the peer agreed on that, by the hub's own compressor with context.
It ends at SIGTERM or SIGINT.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
from websockets.frames import Opcode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from actors.client.outbox import Outbox
from actors.frontend.connection import ConnectionContext
from actors.frontend.handshake import HandshakeRules
from actors.frontend.listener import Listener
from actors.frontend.readiness import Readiness
from actors.frontend.wire import FrameLimits
from actors.limits.connections import ConnectionLimit
from actors.limits.peer import Peer
from actors.runtime.clock import SystemClock
from protocol.deflation import DeflateStream
from protocol.dialect import Dialect
from protocol.frames import text_frame
from protocol.versions import Endpoint

STOP_S = 2.0
WAIT_S = 0.2


class Echo:
    """A Conversation (actors/frontend/conversation.py) that sends everything back."""

    message_bytes_max = None

    def __init__(self, outbox: Outbox, _peer: Peer, _has_room: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._stream = DeflateStream(alone_bytes_min=0)

    def begin(self, _endpoint: Endpoint, _dialect: Dialect) -> bool:
        """Says nothing."""
        return True

    def receive(self, message: str | bytes) -> bool:
        binary = isinstance(message, bytes)
        text = message if isinstance(message, bytes) else message.encode()
        frame = None
        if self._outbox.inflater is not None:
            frame = self._stream.frames([text], self._outbox.inflater)
        frame = frame or text_frame(text)
        if binary:
            frame = bytes([frame[0] & 0xF0 | Opcode.BINARY]) + frame[1:]
        self._outbox.write(frame, counts=True)
        while self._outbox.is_open and not self._outbox.is_idle:
            self._outbox.flush(WAIT_S)
        return False

    def wake(self) -> None:
        """`receive` flushes."""

    def end(self, reason: str) -> None:
        """Keeps nothing."""


def context(max_message_bytes: int, readiness: Readiness) -> ConnectionContext:
    # Cases 9.3.* and 9.4.* send 4 MiB in fragments of 64 bytes.
    limits = FrameLimits(max_message_bytes, fragments=1 << 17, takes_binary=True)
    rules = HandshakeRules(allowed_origins=(), limits=limits, compression=True)
    return ConnectionContext(
        rules=rules,
        converse=Echo,
        clock=SystemClock(),
        tls=None,
        readiness=readiness,
        needs_key=False,
        connections=ConnectionLimit(1000),
        refused=lambda _peer, _status: None,
        heartbeat_s=30.0,
        handshake_timeout_s=10.0,
        slow_client_bytes=64 * 1024 * 1024,
    )


@click.command()
@click.option("--port", default=9001, help="0 takes a free one.")
@click.option("--max-message-bytes", default=1024 * 1024)
def main(port: int, max_message_bytes: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    listener = Listener("127.0.0.1", port)
    readiness = Readiness(SystemClock())
    readiness.start()
    listener.start(context(max_message_bytes, readiness))
    click.echo(f"listening on ws://127.0.0.1:{listener.port}")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    listener.stop_accepting(STOP_S)
    readiness.stop(STOP_S)


if __name__ == "__main__":
    main()
