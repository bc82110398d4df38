"""Clients that know no WebSocket library: bytes over a socket, plain or with TLS."""

import contextlib
import socket
import struct
from collections.abc import Iterator

from tests.harness import HubProcess

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TIMEOUT_S = 15.0


def port_of(hub: HubProcess) -> int:
    return int(hub.url.rsplit(":", 1)[1])


def connected(hub: HubProcess, *, receive_buffer: int = 0, secure: bool = True) -> socket.socket:
    """`secure`: with TLS where the hub has it."""
    sock = socket.socket()
    sock.settimeout(TIMEOUT_S)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port_of(hub)))
    # Or the first bytes wait for the answer to the TLS handshake's last ones, 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hub.tls is not None and secure:
        return hub.tls.trusting().wrap_socket(sock, server_hostname="localhost")
    return sock


@contextlib.contextmanager
def raw(
    hub: HubProcess, *, receive_buffer: int = 0, secure: bool = True
) -> Iterator[socket.socket]:
    sock = connected(hub, receive_buffer=receive_buffer, secure=secure)
    with sock:
        yield sock


@contextlib.contextmanager
def upgraded(hub: HubProcess, *, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """A connection whose greeting is read."""
    with raw(hub, receive_buffer=receive_buffer) as sock:
        sock.sendall(UPGRADE)
        read_until(sock, b"}}")
        yield sock


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A masked frame with a mask of zeros."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, len(payload))
    else:
        head += struct.pack("!BQ", 0x80 | 127, len(payload))
    return head + bytes(4) + payload


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    """Until the peer closes; a connection that is cut off ends it too."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            data += piece
    return data


def read_to_the_end(sock: socket.socket) -> bytes:
    """Until the peer closes in order: a reset is an error."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def close_of(data: bytes) -> tuple[int, str]:
    """Code and reason of the close frame that ends what was read."""
    at = data.rindex(b"\x88", 0, len(data))
    while at >= 0:
        length = data[at + 1] if at + 1 < len(data) else -1
        if at + 2 + length == len(data) and length >= 2:
            return struct.unpack("!H", data[at + 2 : at + 4])[0], data[at + 4 :].decode()
        at = data.rfind(b"\x88", 0, at)
    raise AssertionError(f"no close frame: {data[-200:]!r}")
