"""Hostile and broken peers: after them the server answers, and its threads, descriptors and memory
are as before."""

import contextlib
import os
import random
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.harness import HubProcess
from tests.sockets import UPGRADE, connected, frame, read_all, upgraded

MEMORY_GROWTH_MAX = 40 * 1024 * 1024
LOOKS_MAX = 3000
CONNECTS = 2000


@pytest.fixture
def hub(share_hub: Any) -> HubProcess:
    shared: HubProcess = share_hub(MAX_CONN="1000", AUTH_TIMEOUT="1s")
    with shared.client() as client:  # what is loaded once is loaded
        if not client.request("project_list")["projects"]:
            client.request("project_create", path=shared.folder("p"))
        client.request("project_join", project_id="p")
    return shared


def descriptors_of(process: psutil.Process) -> int:
    """Only root may count them (docs/security.md); for others the threads have to do."""
    return process.num_fds() if os.geteuid() == 0 else 0


@contextlib.contextmanager
def nothing_stays(hub: HubProcess) -> Iterator[None]:
    """And the server answers all the while: each look is a request."""
    process = psutil.Process(hub.pid)
    with hub.client() as client:
        client.request("ping")
        before = (process.num_threads(), descriptors_of(process))
        memory = process.memory_info().rss
        yield
        for _ in range(LOOKS_MAX):
            client.request("health_check")
            now = (process.num_threads(), descriptors_of(process))
            if now <= before:
                break
        assert now <= before
        assert process.memory_info().rss - memory < MEMORY_GROWTH_MAX


def random_bytes(hub: HubProcess) -> None:
    chooser = random.Random(5)
    for number in range(60):
        with connected(hub, secure=bool(number % 3)) as sock, contextlib.suppress(OSError):
            sock.sendall(chooser.randbytes(chooser.randrange(1, 30_000)))
            sock.settimeout(2)
            read_all(sock)


def random_frames(hub: HubProcess) -> None:
    chooser = random.Random(6)
    for _ in range(60):
        with upgraded(hub) as sock, contextlib.suppress(OSError):
            sock.sendall(chooser.randbytes(chooser.randrange(1, 5_000)))
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)


def half_handshakes(hub: HubProcess) -> None:
    for size in range(1, len(UPGRADE), 5):
        with connected(hub) as sock, contextlib.suppress(OSError):
            sock.sendall(UPGRADE[:size])


def slow_handshakes(hub: HubProcess) -> None:
    """More than may be unfinished; each says a byte now and then."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connected(hub, secure=False)) for _ in range(300)]
        for position in range(3):
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.sendall(UPGRADE[position : position + 1])
            with hub.client() as client:  # others still come in
                assert client.request("ping") == {}
        for sock in socks:
            with contextlib.suppress(OSError):
                read_all(sock)


def empty_fragments(hub: HubProcess) -> None:
    with upgraded(hub) as sock, contextlib.suppress(OSError):
        sock.sendall(frame(1, b"{", fin=False))
        for _ in range(200):
            sock.sendall(frame(0, b"", fin=False) * 1000)
        read_all(sock)


def pings(hub: HubProcess) -> None:
    with upgraded(hub) as sock, contextlib.suppress(OSError):
        for _ in range(100):
            sock.sendall(frame(9, b"x" * 100) * 1000)
        read_all(sock)


def half_frames(hub: HubProcess) -> None:
    for size in (1, 2, 5, 9, 500):
        with upgraded(hub) as sock:
            sock.sendall(frame(1, b'{"type":"ping","payload":"' + b"x" * 900 + b'"}')[:size])


def huge_announcements(hub: HubProcess) -> None:
    for length in ((1 << 20) + 1, 1 << 31, (1 << 63) - 1):
        with upgraded(hub) as sock:
            sock.sendall(struct.pack("!BBQ", 0x81, 0xFF, length) + bytes(4) + b"x" * 1000)
            read_all(sock)


def connects_and_drops(hub: HubProcess) -> None:
    """Half of them with a reset."""
    for number in range(CONNECTS if hub.tls is None else CONNECTS // 4):
        sock = connected(hub, secure=bool(number % 2))
        if number % 4 < 2:
            with contextlib.suppress(OSError):
                sock.sendall(UPGRADE)
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def deep_nesting(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        for opening in (b"[", b'{"a":'):
            sock.sendall(frame(1, opening * 100_000))
            assert b"invalid_json" in sock.recv(65536)


ATTACKS: list[Callable[[HubProcess], None]] = [
    random_bytes,
    random_frames,
    half_handshakes,
    slow_handshakes,
    empty_fragments,
    pings,
    half_frames,
    huge_announcements,
    connects_and_drops,
    deep_nesting,
]


OVER_TLS = [
    random_bytes,
    random_frames,
    half_handshakes,
    slow_handshakes,
    pings,
    connects_and_drops,
]
CASES = [("ws", attack) for attack in ATTACKS] + [("wss", attack) for attack in OVER_TLS]


@pytest.mark.parametrize(
    ("tls", "attack"),
    CASES,
    indirect=["tls"],
    ids=[f"{tls}-{attack.__name__}" for tls, attack in CASES],
)
def test_hostile_peers_leave_the_server_as_it_was(
    hub: HubProcess, attack: Callable[[HubProcess], None]
) -> None:
    with nothing_stays(hub):
        attack(hub)
