"""Limits for one connection, one address and all together: places, requests, executions."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import freezegun
import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from actors.frontend.conversation import LOCKED_MESSAGES_MAX, HubConversation
from actors.frontend.listener import Listener
from actors.frontend.readiness import Readiness
from actors.limits import connections as connections_module
from actors.limits.connections import (
    HANDSHAKE_GRACE_S,
    HANDSHAKES_PER_ADDRESS_MAX,
    ConnectionLimit,
    PendingConnections,
)
from actors.limits.peer import Peer
from actors.limits.quotas import (
    ADDRESSES_MAX,
    BURST_S,
    EXECUTIONS_A_MINUTE,
    EXECUTIONS_IN_ALL,
    EXECUTIONS_PER_ADDRESS,
    REQUESTS_IN_ALL,
    REQUESTS_PER_ADDRESS,
    Allowance,
    Quotas,
)
from actors.runtime.clock import SystemClock
from protocol import codec
from protocol.errors import ErrorCode, RequestRefused
from tests.echo_server import STOP_S, context
from tests.fakes import FrozenClock, Probe
from tests.harness import HubProcess, WireClient
from tests.processes import wait_until
from tests.sockets import UPGRADE, read_all
from tests.test_access import Keys, close_of, enter, keys, proof_for
from tests.test_client_actor import Setup
from tests.test_gate import Locked

HERE, THERE = Peer(address="127.0.0.1"), Peer(address="192.0.2.7")

__all__ = ["keys"]  # a fixture


# -- places ----------------------------------------------------------------------------------


def test_connections_are_limited_by_max_conn() -> None:
    places = ConnectionLimit(2)
    first, second, third = (places.new(None) for _ in range(3))
    assert first.take() and second.take()
    assert not third.has_room() and not third.take()
    first.leave()
    first.leave()
    third.leave()  # has none
    assert places.new(None).take() and places.count == 2
    assert not third.take()


def test_a_closed_connection_frees_its_place() -> None:
    """Another thread checks its key, and may come too late."""
    places = ConnectionLimit(1)
    place = places.new("192.0.2.7")
    place.leave()
    assert not place.has_room() and not place.take() and places.count == 0


def test_one_address_cannot_use_all_connections() -> None:
    places = ConnectionLimit(8)
    crowd = [places.new("192.0.2.7") for _ in range(8)]
    assert [place.take() for place in crowd] == [True] * 6 + [False] * 2
    assert not crowd[-1].has_room() and places.new("192.0.2.8").take()
    crowd[0].leave()
    assert crowd[-1].take() and places.new(None).take()
    assert not places.new("192.0.2.9").has_room()


# -- handshakes ------------------------------------------------------------------------------


def test_the_oldest_handshake_makes_room_after_its_grace() -> None:
    handshakes = PendingConnections(SystemClock(), limit=2, grace_s=0.01)
    aborted: list[str] = []
    for name in ("a", "b", "c", "d"):
        assert handshakes.enter(name, None, lambda name=name: aborted.append(name))
    assert aborted == ["a", "b"] and len(handshakes) == 2
    handshakes.leave("a")  # late
    handshakes.leave("c")
    handshakes.enter("e", None, lambda: aborted.append("e"))
    assert aborted == ["a", "b"]


def test_a_crowd_waits_within_the_grace() -> None:
    handshakes = PendingConnections(SystemClock(), limit=1, grace_s=60.0)
    aborted: list[str] = []
    entered = threading.Event()
    handshakes.enter("a", None, lambda: aborted.append("a"))

    def second() -> None:
        handshakes.enter("b", None, lambda: aborted.append("b"))
        entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.is_set()
    handshakes.leave("a")
    assert entered.wait(10)
    thread.join()
    assert not aborted


def test_unfinished_handshakes_of_one_address_are_limited() -> None:
    handshakes = PendingConnections(FrozenClock())

    def enter_from(origin: str | None, name: object) -> bool:
        return handshakes.enter(name, origin, lambda: None)

    crowd = [enter_from("192.0.2.7", number) for number in range(HANDSHAKES_PER_ADDRESS_MAX + 1)]
    assert crowd == [True] * HANDSHAKES_PER_ADDRESS_MAX + [False]
    assert enter_from("192.0.2.8", "another")
    handshakes.leave(0)
    assert enter_from("192.0.2.7", "next") and not enter_from("192.0.2.7", "one more")
    # Behind a proxy everybody comes from here.
    assert all(enter_from(None, f"local {n}") for n in range(HANDSHAKES_PER_ADDRESS_MAX + 1))


@pytest.mark.parametrize(
    ("peer", "origin"),
    [
        (Peer(uid=1000), None),
        (HERE, None),
        (Peer(address="127.9.9.9"), None),
        (Peer(address="::1"), None),
        (Peer(address="::ffff:127.0.0.1"), None),
        (THERE, "192.0.2.7"),
        (Peer(address="::ffff:192.0.2.7"), "192.0.2.7"),
        (Peer(address="2001:db8:1:2:3::4"), "2001:db8:1:2::/64"),
        (Peer(address="fe80::1%eth0"), "fe80::/64"),
        (Peer(address="nonsense"), "nonsense"),
    ],
)
def test_peers_are_grouped_by_address_or_network(peer: Peer, origin: str | None) -> None:
    assert peer.origin == origin


class FarListener(Listener):
    """Everybody comes from elsewhere."""

    def peer_of(self, _request: socket.socket, client_address: Any) -> Peer:
        return THERE


@pytest.fixture
def far_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections_module.PendingConnections.__init__, "__kwdefaults__", SMALL)
    listener, readiness = FarListener("127.0.0.1", 0), Readiness(SystemClock())
    readiness.start()
    listener.start(context(1024, readiness))
    yield listener.port
    listener.stop_accepting(STOP_S)
    readiness.stop(STOP_S)


SMALL = {"limit": 256, "per_address": 2, "grace_s": HANDSHAKE_GRACE_S}


def test_an_address_with_too_many_unfinished_handshakes_is_cut_off_at_once(far_port: int) -> None:
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", far_port), 10))

        def gets_in(sock: socket.socket) -> bool:
            with contextlib.suppress(ConnectionError):
                sock.sendall(UPGRADE)
                return sock.recv(4096).startswith(b"HTTP/1.1 101")
            return False

        first, _second, third = connect(), connect(), connect()
        assert read_all(third) == b""
        assert gets_in(first)
        wait_until(lambda: gets_in(connect()))  # a moment after the answer the place is free


# -- requests and executions -----------------------------------------------------------------


def count_until_refused(allowance: Allowance, peer: Peer, *, connections: int) -> int:
    buckets = [allowance.of_connection() for _ in range(connections)]
    taken = 0
    while True:
        for bucket in buckets:
            if allowance.refusal(bucket, peer) is not None:
                return taken
            taken += 1


@pytest.mark.parametrize("peer", [HERE, THERE, Peer(uid=0)])
def test_requests_of_one_connection_are_limited(peer: Peer) -> None:
    with freezegun.freeze_time() as clock:
        allowance = Quotas(50, FrozenClock()).requests
        bucket = allowance.of_connection()
        refusals = [allowance.refusal(bucket, peer) for _ in range(101)]
        assert refusals[:100] == [None] * 100
        limited = refusals[100]
        assert limited is not None
        assert limited.message == "too many requests a second (RATE_LIMIT); try again in 0.02 s"
        assert limited.details == {"retry_after_seconds": 0.02}
        clock.tick(1)
        assert sum(allowance.refusal(bucket, peer) is None for _ in range(60)) == 50


def test_requests_of_one_address_and_of_all_are_limited() -> None:
    with freezegun.freeze_time():
        requests = Quotas(1, FrozenClock()).requests
        of_address = round(REQUESTS_PER_ADDRESS * BURST_S)
        assert count_until_refused(requests, THERE, connections=1000) == of_address
        bucket = requests.of_connection()
        limited = requests.refusal(bucket, THERE)
        assert limited is not None and " (RATE_LIMIT) from 192.0.2.7; " in limited.message
        assert limited.details["retry_after_seconds"] > 0
        assert requests.refusal(requests.of_connection(), Peer(address="192.0.2.8")) is None
        in_all = round(REQUESTS_IN_ALL * BURST_S) - of_address - 1
        assert count_until_refused(requests, HERE, connections=1000) == in_all
        last = requests.refusal(requests.of_connection(), Peer(uid=0))
        assert last is not None and "all clients together" in last.message


def test_executions_per_minute_are_limited() -> None:
    with freezegun.freeze_time() as clock:
        executions = Quotas(1, FrozenClock()).executions
        assert count_until_refused(executions, HERE, connections=1) == EXECUTIONS_A_MINUTE
        clock.tick(3600)
        of_address = EXECUTIONS_A_MINUTE * EXECUTIONS_PER_ADDRESS
        assert count_until_refused(executions, THERE, connections=50) == of_address
        clock.tick(3600)
        in_all = EXECUTIONS_A_MINUTE * EXECUTIONS_IN_ALL
        assert count_until_refused(executions, HERE, connections=500) == in_all
        clock.tick(30)
        half = count_until_refused(executions, HERE, connections=500)
        assert half == pytest.approx(in_all / 2, abs=1)


def test_addresses_are_forgotten_the_oldest_first() -> None:
    with freezegun.freeze_time():
        requests = Quotas(1_000_000, FrozenClock()).requests
        for number in range(ADDRESSES_MAX + 5):
            peer = Peer(address=f"10.0.{number >> 8}.{number & 255}")
            assert requests.refusal(requests.of_connection(), peer) is None
        assert len(requests._addresses._buckets) == ADDRESSES_MAX
        assert (
            "10.0.0.4" not in requests._addresses._buckets
            and "10.0.0.5" in requests._addresses._buckets
        )


def test_a_runaway_program_gets_rate_limited() -> None:
    setup = Setup()
    setup.too_many = RequestRefused(ErrorCode.RATE_LIMITED, "too many executions")
    setup.say("execute", project_id="p", prompt="x")
    refusal = setup.sent()[-1]["payload"]
    assert (refusal["code"], refusal["message"]) == ("rate_limited", "too many executions")
    assert setup.project.take() == []
    setup.say("ping")
    assert setup.sent()[-1]["type"] == "result"


class Asked:
    """A connection's thread, whose Client is a probe."""

    def __init__(self, quotas: Quotas, *, is_locked: bool) -> None:
        self.client = Probe()
        gate = SimpleNamespace(is_locked=is_locked, peer=THERE)
        given = SimpleNamespace(
            new_gate=lambda *_: gate, quotas=quotas, heartbeat_s=1.0, meter=None
        )
        outbox = SimpleNamespace(sent_bytes=0, is_open=True)
        self.conversation = HubConversation(given, outbox, THERE, lambda: True)  # type: ignore[arg-type]
        self.conversation._client = self.client.actor_ref

    def refused(self) -> bool:
        self.conversation.receive('{"type":"ping"}')
        self.conversation._credit.answered()
        (told,) = self.client.take()
        return isinstance(told.request, codec.Undecodable)


def test_strangers_use_no_allowance_of_others() -> None:
    """Whatever they ask for, and however many they are."""
    with freezegun.freeze_time():
        quotas = Quotas(1, FrozenClock())
        for _ in range(2 * REQUESTS_IN_ALL):
            stranger = Asked(quotas, is_locked=True)
            assert [stranger.refused() for _ in range(3)] == [False, False, True]
        friend = Asked(quotas, is_locked=False)
        assert [friend.refused() for _ in range(3)] == [False, False, True]


def test_a_refused_execution_is_not_counted(tmp_path: Path) -> None:
    """The client has no key, or a read-only one."""
    locked = Locked(tmp_path, 'claudehub="read-only"')
    locked.setup.too_many = RequestRefused(ErrorCode.RATE_LIMITED, "counted")
    assert locked.ask("execute", project_id="p", prompt="x") == "unauthenticated"
    locked.enter()
    assert locked.ask("execute", project_id="p", prompt="x") == "forbidden"


# -- over real sockets -----------------------------------------------------------------------


def test_strangers_take_no_place_from_clients_with_keys(start_hub: Any, keys: Keys) -> None:
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file), MAX_CONN="2", AUTH_TIMEOUT="1h")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(hub.client())
        inside = [stack.enter_context(hub.client()) for _ in range(3)]
        for client in inside[:2]:
            assert enter(client, keys.key) == "ann@laptop"
        refusal = inside[2].refused("authenticate", **proof_for(inside[2], keys.key))
        assert "MAX_CONN" in refusal["message"]
        with pytest.raises(InvalidStatus) as refused:
            hub.client()
        assert refused.value.response.status_code == 503
        inside[0].close()
        wait_until(lambda: enters(inside[2], keys))


def enters(client: WireClient, keys: Keys) -> bool:
    answer = client.ask("authenticate", **proof_for(client, keys.key))
    return bool(answer["type"] == "result")


def test_a_stranger_is_closed_after_a_number_of_messages(start_hub: Any, keys: Keys) -> None:
    hub: HubProcess = start_hub(AUTHORIZED_KEYS=str(keys.file), AUTH_TIMEOUT="1h")
    with hub.client() as client:
        for _ in range(LOCKED_MESSAGES_MAX):
            assert client.refused("ping")["code"] == "unauthenticated"
        client.send({"type": "ping"})
        assert close_of(client) == (CloseCode.POLICY_VIOLATION, "too many messages without a key")
