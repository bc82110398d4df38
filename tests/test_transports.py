"""What an outbox sends through, over real sockets: plain, and with TLS."""

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from actors.frontend.certificates import Certificates
from actors.frontend.socket_transport import SEND_BUFFER_BYTES, SocketTransport
from actors.frontend.tls_transport import TlsTransport
from tests.harness import TlsFiles

TIMEOUT_S = 20.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the client's, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        client.connect(listener.getsockname())
        client.settimeout(TIMEOUT_S)
        server = listener.accept()[0]
    with server, client:
        yield server, client


def test_the_socket_is_set_up(pair: tuple[socket.socket, socket.socket]) -> None:
    server, _ = pair
    transport = SocketTransport(server, user_timeout_s=70.5)
    assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER_BYTES
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 70_500
    assert transport.receive(10, 0.0) is None


def test_unconfirmed_bytes_are_counted(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    transport = SocketTransport(server, user_timeout_s=60)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += transport.send(bytes(64 * 1024))
    waiting = transport.unacknowledged_bytes()
    assert 0 < waiting < sent
    assert not transport.wait_writable(0.0)
    got = 0
    while got < sent:
        got += len(client.recv(1 << 16))
    assert transport.wait_writable(TIMEOUT_S)
    while transport.unacknowledged_bytes():
        transport.wait_writable(0.0)
    transport.half_close()
    assert client.recv(10) == b""
    client.close()
    assert transport.receive(10, TIMEOUT_S) == b""
    transport.abort()
    transport.abort()


class TlsPair:
    """A TlsTransport and a stock TLS client."""

    def __init__(self, server: socket.socket, client: socket.socket, files: TlsFiles) -> None:
        certificates = Certificates(files.certificate, files.key)
        raw = SocketTransport(server, user_timeout_s=60)
        self.transport = TlsTransport(raw, certificates.context())
        wrapped: list[ssl.SSLSocket] = []
        context = files.trusting()
        thread = threading.Thread(
            target=lambda: wrapped.append(context.wrap_socket(client, server_hostname="localhost"))
        )
        thread.start()
        assert self.transport.shake_hands(lambda: TIMEOUT_S)
        thread.join()
        self.client = wrapped[0]

    def receive(self) -> bytes | None:
        data = None
        while data is None:
            data = self.transport.receive(1 << 16, TIMEOUT_S)
        return data


@pytest.fixture
def tls_pair(pair: tuple[socket.socket, socket.socket], tls_files: TlsFiles) -> Iterator[TlsPair]:
    both = TlsPair(*pair, tls_files)
    with both.client:
        yield both


def test_bytes_that_the_socket_does_not_take_are_flushed_later(tls_pair: TlsPair) -> None:
    transport, chunk = tls_pair.transport, bytes(range(256)) * 4096
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += transport.send(chunk)
    assert transport.holds_back and not transport.flush()
    got = b""
    while len(got) < sent:
        got += tls_pair.client.recv(1 << 16)
        transport.flush()
    assert not transport.holds_back and transport.flush()
    assert got == (chunk * (sent // len(chunk) + 1))[:sent]


def test_bytes_go_both_ways_at_the_same_time(tls_pair: TlsPair) -> None:
    data = bytes(range(256)) * 4000
    got: list[bytes] = []

    def client() -> None:
        tls_pair.client.sendall(data)
        received = b""
        while len(received) < len(data):
            received += tls_pair.client.recv(1 << 16)
        got.append(received)

    thread = threading.Thread(target=client)
    thread.start()
    received, left = b"", memoryview(data)
    while len(received) < len(data) or left or tls_pair.transport.holds_back:
        if len(received) < len(data):
            received += tls_pair.transport.receive(1 << 16, 0.0) or b""
        try:
            left = left[tls_pair.transport.send(left) :] if left else left
            tls_pair.transport.flush()
        except BlockingIOError:
            tls_pair.transport.wait_writable(0.0)
    thread.join()
    assert received == data and got == [data]


def test_the_end_is_announced_and_noticed(tls_pair: TlsPair) -> None:
    tls_pair.transport.half_close()
    assert tls_pair.client.recv(10) == b""  # with a close_notify: else it is an error
    tls_pair.client.sendall(b"late")
    assert tls_pair.receive() == b"late"
    tls_pair.client.close()
    assert tls_pair.receive() == b""


def test_a_peer_that_leaves_during_the_handshake_is_no_error(
    pair: tuple[socket.socket, socket.socket], tls_files: TlsFiles
) -> None:
    server, client = pair
    certificates = Certificates(tls_files.certificate, tls_files.key)
    raw = SocketTransport(server, user_timeout_s=60)
    transport = TlsTransport(raw, certificates.context())
    client.close()
    assert not transport.shake_hands(lambda: TIMEOUT_S)
