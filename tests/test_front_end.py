"""The handshake, close codes and heartbeat, over sockets; over TLS as well where a connection is
opened, refused or closed."""

import contextlib
import http.client
import socket
import struct
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.harness import HubProcess, TlsFiles
from tests.sockets import (
    UPGRADE,
    close_of,
    frame,
    port_of,
    raw,
    read_all,
    read_to_the_end,
    read_until,
    upgraded,
)

over_both = pytest.mark.parametrize("tls", ["ws", "wss"], indirect=True)
over_tls = pytest.mark.parametrize("tls", ["wss"], indirect=True)


def connecting(hub: HubProcess, path: str = "/", **options: Any) -> Any:
    """A stock client's connection."""
    if hub.tls is not None:
        options["ssl"] = hub.tls.trusting()
    return connect(hub.url + path, proxy=None, **options)


def refusal(hub: HubProcess, path: str = "/", **options: Any) -> Any:
    with pytest.raises(InvalidStatus) as refused, connecting(hub, path, **options):
        pass
    return refused.value.response


def answer_to(hub: HubProcess, request: bytes) -> bytes:
    with raw(hub) as sock:
        sock.sendall(request)
        return read_all(sock)


@over_both
def test_refusals_say_what_to_do(hub: HubProcess) -> None:
    assert refusal(hub, "/elsewhere").status_code == 404
    origin = refusal(hub, origin="https://evil.example")
    assert origin.status_code == 403
    assert b"ALLOWED_ORIGINS" in origin.body
    version = refusal(hub, subprotocols=["claudehub.v9"])
    assert version.status_code == 400
    assert version.body.startswith(b"Unknown subprotocol: ") and b"claudehub.v1" in version.body
    plain = answer_to(hub, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert plain.startswith(b"HTTP/1.1 426 ") and b"WebSocket" in plain
    assert b"\r\nUpgrade: websocket\r\n" in plain


ORDER = [  # each request has the faults of all that follow it, too
    (b"POST", b"/x", b"h2c", b"evil", b"12", 404),
    (b"POST", b"/", b"websocket", b"", b"13", 405),
    (b"GET", b"/", b"h2c", b"evil", b"12", 426),
    (b"GET", b"/", b"websocket", b"evil", b"12", 403),
    (b"GET", b"/?a=b", b"websocket", b"", b"12", 400),
    (b"GET", b"/", b"websocket", b"", b"13", 503),
]


def test_the_first_fault_in_the_order_of_the_protocol_is_the_answer(start_hub: Any) -> None:
    hub = start_hub(MAX_CONN="1")
    with upgraded(hub):
        for method, path, upgrade, origin, version, status in ORDER:
            request = UPGRADE.replace(b"GET / ", b"%b %b " % (method, path))
            request = request.replace(b"Upgrade: websocket", b"Upgrade: " + upgrade)
            request = request.replace(b"Version: 13", b"Version: " + version)
            if origin:
                request = request.replace(b"Host: x", b"Host: x\r\nOrigin: " + origin)
            answer = answer_to(hub, request)
            assert answer.startswith(b"HTTP/1.1 %d " % status), (status, answer)
            assert len(answer.split(b"\r\n\r\n", 1)[1]) > 10, answer
            assert (b"\r\nSec-WebSocket-Version: 13\r\n" in answer) == (status == 400)


@over_both
def test_the_subprotocol_is_chosen(hub: HubProcess) -> None:
    with connecting(hub, subprotocols=["x.y", "claudehub.v1"]) as ws:
        assert ws.subprotocol == "claudehub.v1"
    with connecting(hub) as ws:
        assert ws.subprotocol is None


def test_origins_and_the_number_of_connections_are_checked(start_hub: Any) -> None:
    hub = start_hub(ALLOWED_ORIGINS="https://a.example,https://b.example", MAX_CONN="2")
    with connecting(hub, origin="https://b.example"), connecting(hub):
        full = refusal(hub)
        assert full.status_code == 503
        assert full.headers["Retry-After"] == "5"
        assert b"MAX_CONN" in full.body
    assert refusal(hub, origin="https://c.example").status_code == 403


@over_both
def test_a_handshake_ends_at_its_deadline(share_hub: Any) -> None:
    hub = share_hub(AUTH_TIMEOUT="500ms")
    with raw(hub) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"AUTH_TIMEOUT" in answer
    with raw(hub) as sock:
        assert read_all(sock) == b""


@over_both
def test_a_handshake_in_single_bytes_works(hub: HubProcess) -> None:
    with raw(hub) as sock:
        for byte in UPGRADE:
            sock.sendall(bytes([byte]))
        assert b" 101 " in read_until(sock, b"}}")


@over_both
def test_a_malformed_handshake_gets_an_answer(hub: HubProcess) -> None:
    assert b" 400 " in answer_to(hub, b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    assert b" 400 " in answer_to(hub, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")


@pytest.mark.parametrize(("size", "status"), [(-1, 101), (0, 101), (1, 431)])
def test_a_handshake_has_16_kib_at_most(hub: HubProcess, size: int, status: int) -> None:
    wanted = 16 * 1024 + size
    start, end = UPGRADE[:-2], b"\r\n"
    padding = wanted - len(start) - len(end)
    lines = [b"X-Pad: " + b"y" * 4000 + b"\r\n"] * 3
    padding -= sum(map(len, lines))
    lines.append(b"X-Pad: " + b"y" * (padding - len(b"X-Pad: \r\n")) + b"\r\n")
    request = start + b"".join(lines) + end
    assert len(request) == wanted
    with raw(hub) as sock:
        # The last byte comes alone: it is what makes the request too long, or ends it.
        sock.sendall(request[:-1])
        sock.sendall(request[-1:])
        assert sock.recv(65536).startswith(b"HTTP/1.1 %d " % status)


@over_both
def test_invalid_utf8_closes_with_1007_and_half_a_frame_is_waited_for(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        whole = frame(1, b'{"type":"ping"}')
        sock.sendall(whole[:5])
        sock.sendall(whole[5:])
        read_until(sock, b'"result"')
        sock.sendall(frame(1, b'{"type":', fin=False) + frame(0, b'"ping"}'))
        read_until(sock, b'"result"')
        sock.sendall(frame(1, b"\xc3", fin=False) + frame(0, b"\x28"))
        assert close_of(read_all(sock)) == (1007, "invalid UTF-8")


def test_a_close_inside_a_fragmented_message_is_a_close(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        sock.sendall(frame(1, b"x", fin=False) + frame(8, struct.pack("!H", 1000)))
        assert close_of(read_all(sock))[0] == 1000


def test_a_peer_that_does_not_answer_pings_is_closed(share_hub: Any) -> None:
    hub = share_hub(HEARTBEAT="400ms")
    with upgraded(hub) as sock:
        data = read_until(sock, b"no answer to pings")
        assert data[0] == 0x89
        assert close_of(data) == (1011, "no answer to pings")


def test_a_silent_peer_that_answers_pings_stays(share_hub: Any) -> None:
    hub = share_hub(HEARTBEAT="400ms")
    with hub.client() as watcher, hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        # Three heartbeats long; the stock client answers pings by itself.
        client.request("execute", project_id="p", prompt="[[lines:120]][[pace:0.01]]")
        client.request("project_join", project_id="p", after_seq=0)
        client.wait_for("execution_finished")
        assert watcher.request("ping") == {}


@over_both
def test_compressed_messages_are_understood(hub: HubProcess) -> None:
    with connecting(hub, compression="deflate") as ws:
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
        ws.recv(timeout=10)
        ws.send('{"type":"ping","payload":{"a":"' + "b" * 1000 + '"}}')
        assert "b" * 1000 in str(ws.recv(timeout=10))


def test_without_compression_the_extension_is_declined(start_hub: Any) -> None:
    with connecting(start_hub(COMPRESSION="off"), compression="deflate") as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers


@over_both
def test_frames_sent_before_the_answer_are_read(hub: HubProcess) -> None:
    ping, close = frame(1, b'{"type":"ping","id":"early"}'), frame(8, struct.pack("!H", 1000))
    for cut in (0, 3, len(UPGRADE) - 1, len(UPGRADE) + 4):
        request = UPGRADE + ping
        with raw(hub) as sock:
            sock.sendall(request[:cut])
            sock.sendall(request[cut:])
            read_until(sock, b'"id":"early"')
    with raw(hub) as sock:
        sock.sendall(UPGRADE + close)
        assert close_of(read_to_the_end(sock))[0] == 1000
    with raw(hub) as sock:
        sock.sendall(UPGRADE + b"\xff" * 20)
        assert close_of(read_to_the_end(sock))[0] == 1002


def test_a_binary_message_closes_with_1003(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        sock.sendall(frame(1, b'{"type":"ping"}') + frame(2, b"\x00\x01"))
        data = read_all(sock)
        assert close_of(data)[0] == 1003


def test_a_pong_comes_back_with_what_the_ping_held(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        sock.sendall(frame(9, b"\x00\xff payload"))
        assert read_until(sock, b"payload") == b"\x8a\x0a\x00\xff payload"


@over_both
def test_the_peer_sees_the_close_despite_data_after_its_fault(hub: HubProcess) -> None:
    """A socket that closes with unread input sends a RST, which discards what the peer has not
    read."""
    with upgraded(hub) as sock:
        sock.sendall(frame(2, b"binary") + b"".join([frame(1, b"x" * 60_000)] * 30))
        assert close_of(read_to_the_end(sock))[0] == 1003


@over_both
def test_all_clients_get_the_close_at_the_same_time(scratch: Any, tls: TlsFiles | None) -> None:
    """One deadline holds for clients that answer and clients that do not."""
    hub = HubProcess(scratch, tls, MAX_CONN="1000").start()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(upgraded(hub)) for _ in range(40)]
        assert hub.stop() == 0
        for sock in socks:
            assert close_of(read_all(sock)) == (1001, "the server is shutting down")


@over_tls
def test_a_failed_tls_handshake_is_in_the_audit_log(start_hub: Any) -> None:
    hub = start_hub()
    socket.create_connection(("127.0.0.1", port_of(hub))).close()  # a health check leaves none
    with raw(hub, secure=False) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        read_all(sock)
    assert hub.stop() == 0
    assert (hub.data / "audit.jsonl").read_text().count('"handshake_refused"') == 1


@over_tls
def test_plain_http_on_a_tls_port_gets_a_hint(hub: HubProcess) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port_of(hub), timeout=10)
    client.request("GET", "/")
    response = client.getresponse()
    assert response.status == 400
    assert b"wss://" in response.read()
    client.close()


@over_tls
def test_a_tls_handshake_ends_at_the_deadline_and_delays_nobody(share_hub: Any) -> None:
    hub = share_hub(AUTH_TIMEOUT="500ms")
    with raw(hub, secure=False) as silent, upgraded(hub):
        assert read_all(silent) == b""
    with raw(hub, secure=False) as half:
        half.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert read_all(half) == b""
