"""Waiting threads are woken, a few at a time."""

import socket
import threading
from collections.abc import Iterator

import pytest

from actors.frontend.readiness import Readiness, Seat

LONG_S = 20.0


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    one_turn = Readiness(turns=1)
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
    readiness = Readiness(turns=2)
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
    readiness = Readiness()
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
    readiness = Readiness()
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
    readiness = Readiness()
    near, far = socket.socketpair()
    seat = readiness.seat(near)
    near.close()
    seat.leave()
    far.close()
    readiness.start()
    readiness.stop(LONG_S)
