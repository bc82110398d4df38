"""Waiting threads are woken, a few at a time."""

import queue
import socket
import threading
from collections.abc import Iterator

import pytest

from actors.frontend.readiness import Readiness, Seat
from actors.frontend.socket_transport import SocketTransport
from actors.runtime.clock import SystemClock
from actors.runtime.restarts import RESTARTS_MAX
from tests.processes import wait_until

LONG_S = 20.0


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    one_turn = Readiness(SystemClock(), turns=1)
    one_turn.start()
    yield one_turn
    one_turn.stop(LONG_S)


class Waiter:
    """A connection whose thread waits once, and then keeps its turn until `end`."""

    def __init__(self, readiness: Readiness, woken: threading.Semaphore) -> None:
        self.near, self.far = socket.socketpair()
        self.seat: Seat = readiness.seat(self.near)
        self.may_end = threading.Event()
        self._woken = woken
        self.was_ready = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.was_ready = self.seat.wait(LONG_S)
        self._woken.release()
        self.may_end.wait(LONG_S)
        self.seat.leave()

    def end(self) -> None:
        self.may_end.set()
        self._thread.join()
        self.near.close()
        self.far.close()


def test_only_a_few_threads_wake_at_a_time(readiness: Readiness) -> None:
    woken = threading.Semaphore(0)
    waiters = [Waiter(readiness, woken) for _ in range(5)]
    for waiter in waiters:
        waiter.far.send(b"x")
    for _ in waiters:
        assert woken.acquire(timeout=LONG_S)
        awake = [waiter for waiter in waiters if waiter.was_ready]
        assert len(awake) == 1 and not woken.acquire(blocking=False)
        waiters.remove(awake[0])
        awake[0].end()
        waiters.append(awake[0])
        awake[0].was_ready = False


def test_a_wait_ends_in_time_and_misses_no_later_byte(readiness: Readiness) -> None:
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    assert not seat.wait(0.01)
    far.send(b"x")
    assert seat.wait(LONG_S)
    assert seat.wait(LONG_S)  # it was not read: it is there still
    near.recv(1)
    assert not seat.wait(0.0)
    far.close()
    assert seat.wait(LONG_S)
    assert near.recv(1) == b""
    seat.leave()
    near.close()


def test_a_byte_at_the_moment_of_the_timeout_is_not_missed() -> None:
    readiness = Readiness(SystemClock(), turns=2)
    readiness.start()
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    seen = 0
    for _ in range(300):
        far.send(b"x")
        while not seat.wait(0.0):
            pass
        seen += len(near.recv(10))
    assert seen == 300
    seat.leave()
    readiness.stop(LONG_S)
    near.close()
    far.close()


def test_after_the_stop_waiting_is_an_error_and_leaving_is_not() -> None:
    readiness = Readiness(SystemClock())
    readiness.start()
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    readiness.stop(LONG_S)
    with pytest.raises(OSError, match="stops"):
        seat.wait(LONG_S)
    seat.leave()
    near.close()
    far.close()


def test_a_hang_up_on_a_busy_connection_costs_nothing() -> None:
    readiness = Readiness(SystemClock())
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    far.close()
    # Once, since a hang-up cannot be left out; a second time would be for ever.
    assert len(readiness._epoll.poll(0.0)) <= 1
    assert readiness._epoll.poll(0.0) == []
    readiness.start()
    assert seat.wait(LONG_S)  # and it is seen by one who does
    seat.leave()
    readiness.stop(LONG_S)
    near.close()


def test_a_closed_socket_has_left() -> None:
    """At the stop another thread may have closed it."""
    readiness = Readiness(SystemClock())
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    near.close()
    seat.leave()
    far.close()
    readiness.start()
    readiness.stop(LONG_S)


# -- the end of a wait ---------------------------------------------------------------------------


def pair(readiness: Readiness) -> tuple[Seat, socket.socket, socket.socket]:
    near, far = socket.socketpair()
    return readiness.seat(near), near, far


def leave(seat: Seat, *sockets: socket.socket) -> None:
    seat.leave()
    for sock in sockets:
        sock.close()


def test_a_wait_ends_in_time_although_no_turn_is_free(readiness: Readiness) -> None:
    seat, near, far = pair(readiness)
    other, *others = pair(readiness)
    others[1].send(b"x")
    assert other.wait(LONG_S)  # it keeps the only turn
    far.send(b"x")
    ended: queue.SimpleQueue[bool] = queue.SimpleQueue()
    waiting = threading.Thread(target=lambda: ended.put(seat.wait(0.01)))
    waiting.start()
    assert ended.get(timeout=LONG_S) is False
    other.end_turn()
    assert seat.wait(LONG_S)  # the turn is there for the next wait
    waiting.join()
    leave(seat, near, far)
    leave(other, *others)


def test_what_has_come_is_read_although_no_turn_is_free(readiness: Readiness) -> None:
    """A pong that is not read in time would look like none."""
    seat, near, far = pair(readiness)
    other, *others = pair(readiness)
    others[1].send(b"x")
    assert other.wait(LONG_S)
    far.send(b"pong")
    transport = SocketTransport(near, user_timeout_s=LONG_S, seat=seat)
    assert transport.receive_some_time(10, 0.0) == b"pong"
    assert transport.receive_some_time(10, 0.0) is None
    leave(seat, near, far)
    leave(other, *others)


def test_who_is_woken_when_the_time_is_over_has_the_turn_and_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readiness = Readiness(SystemClock(), turns=1)
    seat, near, far = pair(readiness)
    disarm = readiness.disarm

    def woken_first(one: Seat) -> bool:
        readiness._turns.get()
        readiness._hand_turn_to(one.fd)
        return disarm(one)

    monkeypatch.setattr(readiness, "disarm", woken_first)
    assert seat.wait(0.0)
    assert readiness._turns.empty()
    seat.end_turn()
    assert readiness._turns.qsize() == 1
    readiness._turns.get()
    readiness._hand_turn_to(seat.fd)  # it waits no longer, so the turn is given back
    assert readiness._turns.qsize() == 1
    leave(seat, near, far)
    readiness.start()
    readiness.stop(LONG_S)


def test_a_seat_that_cannot_wait_is_woken_by_nobody() -> None:
    """Its descriptor may belong to another connection by then, and a turn would be lost."""
    readiness = Readiness(SystemClock())
    seat, near, far = pair(readiness)
    readiness.remove(seat)
    with pytest.raises(FileNotFoundError):
        seat.wait(LONG_S)
    assert readiness._waiting == {}
    leave(seat, near, far)
    readiness.start()
    readiness.stop(LONG_S)


# -- failures ------------------------------------------------------------------------------------


class Broken(Exception):
    pass


@pytest.mark.parametrize("place", ["wake", "_wake", "_await_again"])
def test_after_a_failure_nobody_is_forgotten_and_no_turn_is_lost(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are ready in one look, and an event comes once."""
    readiness = Readiness(SystemClock(), turns=2)
    woken = threading.Semaphore(0)
    waiters = [Waiter(readiness, woken) for _ in range(4)]
    wait_until(lambda: len(readiness._waiting) == len(waiters))
    for waiter in waiters:
        waiter.far.send(b"x")
        waiter.may_end.set()
    owner = Seat if place == "wake" else Readiness
    original, failures = getattr(owner, place), iter(range(RESTARTS_MAX))

    def failing(*arguments: object) -> object:
        if next(failures, None) is not None:
            raise Broken
        return original(*arguments)

    monkeypatch.setattr(owner, place, failing)
    readiness.start()
    for _ in waiters:
        assert woken.acquire(timeout=LONG_S)
    for waiter in waiters:
        waiter.end()
        assert waiter.was_ready
    assert next(failures, None) is None
    assert readiness._turns.qsize() == 2
    readiness.stop(LONG_S)
