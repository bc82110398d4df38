"""Every limit of a connection at, below and above its value; a refused request loses nothing
else."""

import contextlib
import json
import resource
import struct
import zlib
from typing import Any

import pytest

from actors.client.routing import Memberships
from actors.frontend.wire import CONTROL_FRAMES_PER_S, FRAGMENTS_MAX
from actors.limits.quotas import BURST_S
from tests.harness import HubProcess
from tests.sockets import UPGRADE, close_of, connected, frame, read_all, read_until, upgraded

LIMIT = 64 * 1024
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"


def ping_of(size_bytes: int) -> bytes:
    start, end = b'{"type":"ping","payload":"', b'"}'
    return start + b"x" * (size_bytes - len(start) - len(end)) + end


def deflated(message: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    whole = frame(1, data)
    return bytes([whole[0] | 0x40]) + whole[1:]


@pytest.fixture
def hub(share_hub: Any) -> HubProcess:
    shared: HubProcess = share_hub(MAX_MESSAGE_BYTES=str(LIMIT))
    return shared


@pytest.mark.parametrize("compressed", [False, True])
def test_message_bytes_are_limited_before_and_after_inflating(
    hub: HubProcess, compressed: bool
) -> None:
    with connected(hub) as sock:
        sock.sendall(UPGRADE[:-2] + DEFLATE if compressed else UPGRADE)
        read_until(sock, b"}}")
        encode = deflated if compressed else lambda message: frame(1, message)
        for size in (LIMIT - 1, LIMIT):
            sock.sendall(encode(ping_of(size)))
            assert b'"result"' in read_until(sock, b'x"}')
        sock.sendall(encode(ping_of(LIMIT + 1)))
        assert close_of(read_all(sock))[0] == 1009


def test_fragments_count_together(hub: HubProcess) -> None:
    for extra in (0, 1):
        with upgraded(hub) as sock:
            parts = [frame(1, ping_of(LIMIT // 2), fin=False)]
            parts.append(frame(0, b" " * (LIMIT // 2 + extra)))
            sock.sendall(b"".join(parts))
            if extra:
                assert close_of(read_all(sock))[0] == 1009
            else:
                assert b'"result"' in read_until(sock, b'x"}')


@pytest.mark.parametrize(("fragments", "is_good"), [(-1, True), (0, True), (1, False)])
def test_fragments_of_a_message_are_limited(hub: HubProcess, fragments: int, is_good: bool) -> None:
    empty = FRAGMENTS_MAX + fragments - 2
    with upgraded(hub) as sock:
        sock.sendall(frame(1, b'{"type":"ping"', fin=False) + frame(0, b"", fin=False) * empty)
        sock.sendall(frame(0, b"}"))
        if is_good:
            assert b'"result"' in read_until(sock, b"}}")
        else:
            assert close_of(read_all(sock)) == (
                1008,
                f"more than {FRAGMENTS_MAX} fragments in a message",
            )


def test_pings_per_second_are_limited(hub: HubProcess) -> None:
    burst = int(CONTROL_FRAMES_PER_S * BURST_S)
    with upgraded(hub) as sock:
        sock.sendall(frame(9, b"p") * (burst - 1) + frame(9, b"last"))
        read_until(sock, b"last")
        sock.sendall(frame(9, b"p") * burst * 4)
        assert close_of(read_all(sock)) == (1008, "too many pings and pongs a second")


def test_requests_above_the_rate_get_an_error_and_do_nothing(start_hub: Any) -> None:
    hub = start_hub(RATE_LIMIT="1")
    with hub.client() as client:
        for number in range(4):
            client.send({"type": "ping", "id": str(number)})
        client.send("not JSON")
        answers = [client.reply() for _ in range(5)]
        assert [answer["type"] for answer in answers] == ["result"] * 2 + ["error"] * 3
        assert {answer["payload"].get("code") for answer in answers[2:]} == {"rate_limited"}
        assert [answer.get("id") for answer in answers] == ["0", "1", "2", "3", None]


def test_joined_projects_of_a_connection_are_limited() -> None:
    joined = Memberships(limit=2)
    for number, project_id in enumerate(("a", "b")):
        assert joined.has_room(project_id, lambda _: True)
        joined.joining(project_id, number)
    assert not joined.has_room("c", lambda _: True)
    assert joined.has_room("a", lambda _: True)  # again
    joined.answered(0, joined=True)
    joined.answered(1, joined=False)
    assert sorted(joined) == ["a"]
    joined.joining("b", 2)
    joined.answered(2, joined=True)
    assert not joined.has_room("c", lambda _: True)
    assert joined.has_room("c", lambda project_id: project_id == "a")  # b is deleted
    joined.joining("c", 3)
    joined.leaving("c")
    joined.answered(3, joined=True)  # the leave went out behind it
    assert sorted(joined) == ["a"]


def test_a_leave_makes_room_for_another_project(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("left"), project_id="left")
        client.request("project_join", project_id="left")
        client.request("project_leave", project_id="left")
        info = client.request("project_join", project_id="left")["project"]
        assert info["subscribers"] == 1


def test_the_hub_stops_reading_from_a_client_that_reads_no_answers(start_hub: Any) -> None:
    """TCP then holds the client back, so the hub's memory stays limited."""
    hub = start_hub()
    with upgraded(hub, receive_buffer=16 * 1024) as sock, hub.client() as other:
        sock.settimeout(0.5)
        message = frame(1, b'{"type":"ping","payload":"' + b"x" * 60_000 + b'"}')
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += sock.send(message)
        assert sent < 32 * 1024 * 1024
        assert other.request("ping") == {}


def test_a_lack_of_descriptors_leaves_open_connections_alone(start_hub: Any) -> None:
    hub = start_hub(MAX_CONN="1000")
    held: list[Any] = []
    with hub.client() as client:
        client.request("health_check")  # the CLI has been asked for its version
        limit = resource.prlimit(hub.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(hub.pid, resource.RLIMIT_NOFILE, (40, limit[1]))
        for _ in range(60):
            held.append(connected(hub))
        wanted = "no descriptor is left"
        while wanted not in hub.errors.read_text():
            client.request("ping")
        assert client.request("health_check")["status"] == "ok"
        resource.prlimit(hub.pid, resource.RLIMIT_NOFILE, limit)
        for sock in held:
            sock.close()
        with hub.client() as late:
            assert late.request("ping") == {}
    assert hub.errors.read_text().count(wanted) == 1


def test_a_deflate_bomb_closes_with_1009(hub: HubProcess) -> None:
    with connected(hub) as sock:
        sock.sendall(UPGRADE[:-2] + DEFLATE)
        read_until(sock, b"}}")
        bomb = deflated(b"\x00" * (32 * 1024 * 1024))
        assert len(bomb) < LIMIT
        sock.sendall(bomb)
        assert close_of(read_all(sock))[0] == 1009


def test_a_close_is_answered_with_its_code(hub: HubProcess) -> None:
    with upgraded(hub) as sock:
        sock.sendall(frame(1, json.dumps({"type": "ping"}).encode()))
        sock.sendall(frame(8, struct.pack("!H", 4000) + b"bye"))
        assert close_of(read_all(sock)) == (4000, "bye")


def test_a_start_warns_of_limits_that_are_below_max_conn(start_hub: Any) -> None:
    errors = start_hub(MAX_CONN="100000000").errors.read_text()
    assert "WARNING" in errors and "MAX_CONN=100000000 needs about" in errors
    assert "docs/tuning.md" in errors
