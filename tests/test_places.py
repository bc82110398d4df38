"""Places for connections, open and unfinished."""

import threading

from actors.clock import SystemClock
from actors.frontend.places import ConnectionCount, Handshakes


def test_so_many_connections_and_no_more() -> None:
    count = ConnectionCount(2)
    assert [count.admit() for _ in range(3)] == [True, True, False]
    count.leave()
    assert count.admit() and count.count == 2


def test_the_oldest_handshake_makes_room_after_its_grace() -> None:
    handshakes = Handshakes(SystemClock(), limit=2, grace_s=0.01)
    aborted: list[str] = []
    for name in ("a", "b", "c", "d"):
        handshakes.enter(name, lambda name=name: aborted.append(name))
    assert aborted == ["a", "b"] and len(handshakes) == 2
    handshakes.leave("a")  # late
    handshakes.leave("c")
    handshakes.enter("e", lambda: aborted.append("e"))
    assert aborted == ["a", "b"]


def test_a_crowd_waits_and_nobody_is_cut_off() -> None:
    handshakes = Handshakes(SystemClock(), limit=1, grace_s=60.0)
    aborted: list[str] = []
    entered = threading.Event()
    handshakes.enter("a", lambda: aborted.append("a"))

    def second() -> None:
        handshakes.enter("b", lambda: aborted.append("b"))
        entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.is_set()
    handshakes.leave("a")
    assert entered.wait(10)
    thread.join()
    assert not aborted
