"""The handshake, close codes, heartbeat and slow readers, over sockets."""

import contextlib
import re
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.harness import HubProcess


def port_of(hub: HubProcess) -> int:
    return int(hub.url.rsplit(":", 1)[1])


@contextlib.contextmanager
def raw(hub: HubProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(hub)), timeout=10) as sock:
        yield sock


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A masked frame with a mask of zeros."""
    assert len(payload) < 126
    return (
        struct.pack("!BB", opcode | (0x80 if fin else 0), 0x80 | len(payload)) + bytes(4) + payload
    )


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def refusal(url: str, **options: Any) -> Any:
    with pytest.raises(InvalidStatus) as refused, connect(url, proxy=None, **options):
        pass
    return refused.value.response


def test_refusals_say_what_to_do(hub: HubProcess) -> None:
    assert refusal(hub.url + "/elsewhere").status_code == 404
    origin = refusal(hub.url, origin="https://evil.example")
    assert origin.status_code == 403
    assert b"ALLOWED_ORIGINS" in origin.body
    version = refusal(hub.url, subprotocols=["claudehub.v9"])
    assert version.status_code == 400
    assert b"claudehub.v1" in version.body
    with pytest.raises(urllib.error.HTTPError) as plain:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            hub.url.replace("ws:", "http:")
        )
    assert plain.value.code == 426
    assert b"WebSocket" in plain.value.read()
    plain.value.close()


def test_the_subprotocol_is_chosen(hub: HubProcess) -> None:
    with connect(hub.url, proxy=None, subprotocols=["x.y", "claudehub.v1"]) as ws:
        assert ws.subprotocol == "claudehub.v1"
    with connect(hub.url, proxy=None) as ws:
        assert ws.subprotocol is None


def test_allowed_origins_and_the_number_of_connections(start_hub: Any) -> None:
    hub = start_hub(ALLOWED_ORIGINS="https://a.example,https://b.example", MAX_CONN="1")
    with connect(hub.url, proxy=None, origin="https://b.example"):
        full = refusal(hub.url)
        assert full.status_code == 503
        assert full.headers["Retry-After"] == "5"
    assert refusal(hub.url, origin="https://c.example").status_code == 403


def test_a_silent_handshake_ends_at_its_deadline(start_hub: Any) -> None:
    hub = start_hub(AUTH_TIMEOUT="200ms")
    with raw(hub) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert b"408" in (answer := read_all(sock)) and b"AUTH_TIMEOUT" in answer


def test_a_long_handshake_is_refused(hub: HubProcess) -> None:
    with raw(hub) as sock, contextlib.suppress(OSError):
        sock.sendall(b"GET / HTTP/1.1\r\n" + b"X-Pad: " + b"y" * 8000 + b"\r\n")
        sock.sendall((b"X-Pad: " + b"y" * 8000 + b"\r\n") * 3)
        assert b"101" not in read_all(sock)


def test_invalid_utf8_closes_with_1007_and_half_a_frame_waits(hub: HubProcess) -> None:
    with raw(hub) as sock:
        sock.sendall(UPGRADE)
        read_until(sock, b"welcome")
        whole = frame(1, b'{"type":"ping"}')
        sock.sendall(whole[:5])
        sock.sendall(whole[5:])
        read_until(sock, b'"result"')
        sock.sendall(frame(1, b'{"type":', fin=False) + frame(0, b'"ping"}'))
        read_until(sock, b'"result"')
        sock.sendall(frame(1, b"\xc3", fin=False) + frame(0, b"\x28"))
        closing = read_all(sock)
        assert closing[0] == 0x88
        assert struct.unpack("!H", closing[2:4])[0] == 1007


def test_a_close_inside_a_fragmented_message_is_a_close(hub: HubProcess) -> None:
    with raw(hub) as sock:
        sock.sendall(UPGRADE)
        read_until(sock, b"welcome")
        sock.sendall(frame(1, b"x", fin=False) + frame(8, struct.pack("!H", 1000)))
        closing = read_all(sock)
        assert struct.unpack("!H", closing[2:4])[0] == 1000


def test_a_peer_that_does_not_answer_pings_is_closed(start_hub: Any) -> None:
    hub = start_hub(HEARTBEAT="200ms")
    with raw(hub) as sock:
        sock.sendall(UPGRADE)
        read_until(sock, b"welcome")
        data = read_all(sock)
        assert data[0] == 0x89
        assert b"no answer to pings" in data
        close = data.index(b"no answer") - 2
        assert struct.unpack("!H", data[close : close + 2])[0] == 1011


def test_a_silent_peer_that_answers_pings_stays(start_hub: Any) -> None:
    hub = start_hub(HEARTBEAT="100ms")
    with hub.client() as watcher, hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        # Ten heartbeats long; the stock client answers pings by itself.
        client.request("execute", project_id="p", prompt="[[lines:100]][[pace:0.01]]")
        client.request("project_join", project_id="p", after_seq=0)
        client.wait_for("execution_finished")
        assert watcher.request("ping") == {}


def test_compressed_messages_are_understood(hub: HubProcess) -> None:
    with connect(hub.url, proxy=None, compression="deflate") as ws:
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
        ws.recv(timeout=10)
        ws.send('{"type":"ping","payload":{"a":"' + "b" * 1000 + '"}}')
        assert "b" * 1000 in str(ws.recv(timeout=10))


def test_a_slow_reader_is_closed_and_nobody_else_notices(start_hub: Any) -> None:
    hub = start_hub(SLOW_CLIENT_BYTES="1MiB")
    with socket.socket() as slow, hub.client() as client:
        slow.settimeout(10)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        slow.connect(("127.0.0.1", port_of(hub)))
        client.request("project_create", path=hub.folder("p"))
        slow.sendall(UPGRADE)
        read_until(slow, b"welcome")
        slow.sendall(frame(1, b'{"type":"project_join","payload":{"project_id":"p"}}'))
        read_until(slow, b'"log_id"')
        client.request("project_join", project_id="p")
        client.run("p", "[[lines:10000]][[pace:0.00005]]")
        seqs = [u["seq"] for u in client.updates if "seq" in u]
        assert seqs == list(range(1, len(seqs) + 1))
        # What was sent before the end is whole and without a hole; then the connection ends.
        got = [int(n) for n in re.findall(rb'"payload":{"seq":(\d+),', read_all(slow))]
        assert got == list(range(1, len(got) + 1))
        assert 100 < len(got) < len(seqs)


def test_a_peer_that_asks_and_never_reads_is_closed(start_hub: Any) -> None:
    hub = start_hub(HEARTBEAT="200ms")
    with socket.socket() as deaf, hub.client() as client:
        deaf.settimeout(10)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        deaf.connect(("127.0.0.1", port_of(hub)))
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "[[lines:3000]]")
        deaf.sendall(UPGRADE)
        read_until(deaf, b"welcome")
        deaf.sendall(frame(1, b'{"type":"ping"}'))
        read_until(deaf, b'"result"')
        ask = frame(1, b'{"type":"get_messages","payload":{"project_id":"p","limit":1000}}')
        with contextlib.suppress(OSError):  # it is closed in the middle of this
            for _ in range(500):
                deaf.sendall(ask)
        for _ in range(20_000):  # each waits for an answer; the hub needs a few heartbeats
            if client.request("health_check")["connections"] == 1:
                break
        assert client.request("health_check")["connections"] == 1


def test_a_reply_larger_than_the_limit_does_not_cut_who_asked(start_hub: Any) -> None:
    hub = start_hub(SLOW_CLIENT_BYTES="1KiB")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.run("p", "[[lines:50]]")
        for _ in range(5):
            client.send({"type": "get_messages", "payload": {"project_id": "p"}})
        for _ in range(5):
            assert len(client.reply()["payload"]["messages"]) > 50
        assert client.request("ping") == {}
