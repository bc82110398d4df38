"""The server of METRICS_PORT: what it answers, and what nobody can do to it."""

import http
import os
import resource
import socket
import threading
from collections.abc import Iterator

import prometheus_client
import pytest

from actors.frontend import status_listener
from actors.frontend.status_listener import Answer, StatusListener
from actors.runtime.clock import SystemClock
from tests.harness import TIMEOUT_S
from tests.processes import wait_until
from tests.scraping import free_port, get

BODY = b"hello\n"


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection((host, port), TIMEOUT_S)
    sock.settimeout(TIMEOUT_S)
    return sock


def said(sock: socket.socket) -> bytes:
    """Return all that comes until the end of the connection."""
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def ask(port: int, request: bytes) -> bytes:
    with connect(port) as sock:
        sock.sendall(request)
        return said(sock)


def page(accept: str) -> Answer:
    return Answer(http.HTTPStatus.OK, BODY, f"text/{accept or 'plain'}")


def broken(_: str) -> Answer:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def listener() -> Iterator[StatusListener]:
    made = StatusListener("127.0.0.1", 0, SystemClock())
    made.start({"/page": page, "/broken": broken})
    yield made
    made.stop(TIMEOUT_S)


def test_a_page_is_answered_and_the_connection_ends(listener: StatusListener) -> None:
    answer = ask(listener.port, b"GET /page?x=1 HTTP/1.1\r\nHost: x\r\nACCEPT:  css \r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and body == BODY
    assert b"Content-Type: text/css\r\n" in head and b"Content-Length: 6\r\n" in head


def test_head_gets_no_body(listener: StatusListener) -> None:
    answer = ask(listener.port, b"HEAD /page HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"GET /page/ HTTP/1.1", 404),
        (b"GET http://127.0.0.1/page HTTP/1.1", 404),
        (b"POST /page HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"OPTIONS /page HTTP/1.1", 405),
        (b"GET /page", 400),
        (b"GET /page HTTP/2", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET  /page HTTP/1.1", 400),
        (b"GET /page HTTP/1.1\r\nHost: evil.example:80", 421),
        (b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\nHOST: evil.example", 421),
        (b"GET /page HTTP/1.1\r\nHost: 127.0.0.1.evil.example", 421),
        (b"GET /page HTTP/1.1\r\nHost: a b", 421),
    ],
)
def test_other_requests_are_refused(
    listener: StatusListener, request_head: bytes, status: int
) -> None:
    assert ask(listener.port, request_head + b"\r\n\r\n").split()[1] == str(status).encode()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:9464", "[::1]:9464", "10.0.0.7", "localhost", "claudehub:9464"),
        *("HUB.example.org:1", "hub.monitoring.svc.cluster.local:9464", "hub.corp.internal", ""),
    ],
)
def test_addresses_and_names_of_the_hub_are_answered(host: str) -> None:
    own = {"hub.example.org"}
    made = StatusListener("127.0.0.1", 0, SystemClock(), own.__contains__)
    made.start({"/page": page})
    answer = ask(made.port, f"GET /page HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    made.stop(TIMEOUT_S)


def test_lines_may_end_without_cr(listener: StatusListener) -> None:
    answer = ask(listener.port, b"GET /page HTTP/1.1\nHost: x\nAccept: css\n\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b"Content-Type: text/css\r\n" in answer


def test_without_descriptors_there_are_spare_ones_again_and_again(
    listener: StatusListener,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    asking = [socket.socket() for _ in range(6)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (asking[-1].fileno() + 20, before[1]))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for sock in asking:
            sock.settimeout(TIMEOUT_S)
            sock.connect(("127.0.0.1", listener.port))
            sock.sendall(b"GET /page HTTP/1.1\r\n\r\n")
            assert said(sock).endswith(BODY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)
        for sock in asking:
            sock.close()


def test_a_page_that_fails_is_an_answer(listener: StatusListener) -> None:
    assert get(listener.port, "/broken")[0] == 500
    assert get(listener.port, "/page")[0] == 200


def test_a_huge_header_is_refused(listener: StatusListener) -> None:
    """It is larger than what is read at all, so the rest may end in a reset."""
    request = b"GET /page HTTP/1.1\r\nX: " + b"x" * 50_000_000
    with connect(listener.port) as sock, pytest.raises(OSError):
        sock.sendall(request)
        said(sock)
        sock.sendall(request)
    assert get(listener.port, "/page")[0] == 200


def test_a_header_just_above_the_limit_is_told_so(listener: StatusListener) -> None:
    size = status_listener.STATUS_REQUEST_BYTES_MAX
    assert ask(listener.port, b"GET /page HTTP/1.1\r\nX: ".ljust(size, b"x")).split()[1] == b"431"


def test_a_request_that_does_not_come_ends_in_time(
    listener: StatusListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_listener, "STATUS_REQUEST_S", 0.05)
    assert ask(listener.port, b"GET /page HTTP/1.1\r\n").split()[1] == b"408"
    assert ask(listener.port, b"").split()[1] == b"408"


def test_silent_connections_keep_nobody_out(
    listener: StatusListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = status_listener.STATUS_CONNECTIONS_MAX
    silent = [connect(listener.port) for _ in range(2 * count)]
    try:
        assert get(listener.port, "/page") == (200, BODY.decode())
        assert said(silent[0]) == b""  # cut off

        def threads() -> int:
            return sum(t.name == "status request" for t in threading.enumerate())

        wait_until(lambda: threads() <= count)  # the one that was cut off ends a little later
    finally:
        for sock in silent:
            sock.close()


def test_who_reads_nothing_holds_nobody_up(
    listener: StatusListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_listener, "STATUS_ANSWER_S", 0.05)
    started = threading.Event()

    def large(_: str) -> Answer:
        started.set()
        return Answer(http.HTTPStatus.OK, b"x" * 50_000_000)

    made = StatusListener("127.0.0.1", 0, SystemClock())
    made.start({"/large": large, "/page": page})
    with connect(made.port) as deaf:
        deaf.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert started.wait(TIMEOUT_S)
        assert get(made.port, "/page")[0] == 200
        for thread in [t for t in threading.enumerate() if t.name == "status request"]:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
    made.stop(TIMEOUT_S)


def test_localhost_is_both_loopback_addresses() -> None:
    made = StatusListener("localhost", 0, SystemClock())
    made.start({"/page": page})
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if any(sock.family is family for sock in made._sockets):
            with connect(made.port, address) as sock:
                sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                assert said(sock).startswith(b"HTTP/1.1 200")
    made.stop(TIMEOUT_S)


def test_a_stop_before_the_start_closes_the_port() -> None:
    made = StatusListener("127.0.0.1", 0, SystemClock())
    made.stop(TIMEOUT_S)
    with pytest.raises(ConnectionRefusedError):
        connect(made.port)


def test_prometheus_clients_own_server_has_no_limits() -> None:
    """The reasons for a server of our own. If this fails, it may have become good enough."""
    port = free_port()
    server, thread = prometheus_client.start_http_server(port, "127.0.0.1")
    silent = [connect(port) for _ in range(3 * status_listener.STATUS_CONNECTIONS_MAX)]
    try:
        assert get(port, "/any/path")[0] == 200
        waiting = [t for t in threading.enumerate() if "process_request" in t.name]
        assert len(waiting) >= len(silent)  # a thread each, and none of them has a time limit
    finally:
        for sock in silent:
            sock.close()
        server.shutdown()
        server.server_close()
        thread.join(TIMEOUT_S)
