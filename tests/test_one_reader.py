"""History is read by one client at a time, and the turn rests as long as a page took."""

import threading

import pytest

from actors.client import history as module
from actors.client.history import one_reader
from actors.runtime.clock import SystemClock
from tests.test_rotator import SteppedClock


def test_a_second_reader_waits() -> None:
    inside, go_on, second = threading.Event(), threading.Event(), threading.Event()

    def first_reader() -> None:
        with one_reader(SystemClock()):
            inside.set()
            assert go_on.wait(10)
            assert not second.is_set()

    def second_reader() -> None:
        with one_reader(SystemClock()):
            second.set()

    threads = [threading.Thread(target=first_reader), threading.Thread(target=second_reader)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    assert not second.wait(0.05)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert second.is_set()


def test_the_lock_rests_as_long_as_the_read_took(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    class Resting:
        def wait(self, seconds: float) -> None:
            assert module._reading.locked()
            rests.append(seconds)

    monkeypatch.setattr(module, "_never", Resting())
    clock = SteppedClock()
    with one_reader(clock):
        clock.pass_time(0.25)
    with pytest.raises(OSError, match="planned"), one_reader(clock):
        clock.pass_time(0.5)
        raise OSError("planned")
    assert rests == [0.25, 0.5]
    assert not module._reading.locked()
