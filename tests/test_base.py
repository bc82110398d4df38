"""What every actor shares, started for real; timers too. Few and threaded."""

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.messages import ActorDied
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import TIDY_LEAST, SystemClock, ThreadTimers, timestamp
from tests.fakes import Probe

WAIT_S = 5.0


class Fragile(Actor):
    """An actor that fails at the place named by `where`."""

    def __init__(self, parent: Any, where: str, made: list["Fragile"]) -> None:
        super().__init__(parent=parent, name="fragile")
        made.append(self)
        self.where = where
        self.releases = 0
        self.ended = threading.Event()

    def started(self) -> None:
        if self.where == "start":
            raise ValueError("at the start")

    def release(self) -> None:
        self.releases += 1
        self.ended.set()
        if self.where == "release":
            raise ValueError("in release")

    def on_receive(self, message: Any) -> None:
        raise RuntimeError(message)


@pytest.fixture(autouse=True)
def stop_all() -> Iterator[None]:
    yield
    pykka.ActorRegistry.stop_all(timeout=WAIT_S)


def started(where: str) -> tuple[Fragile, Probe]:
    parent = Probe()
    made: list[Fragile] = []
    Fragile.start(parent.actor_ref, where, made)
    return made[0], parent


@pytest.mark.parametrize(
    ("where", "reason"), [("start", "ValueError: at the start"), ("run", "RuntimeError: boom")]
)
def test_a_dead_actor_tells_its_parent_and_releases_once(where: str, reason: str) -> None:
    actor, parent = started(where)
    tell_if_alive(actor.actor_ref, "boom")
    assert actor.actor_stopped.wait(WAIT_S) and actor.ended.wait(WAIT_S)
    notice = parent.actor_inbox.get(timeout=WAIT_S).message  # type: ignore[call-arg]
    assert isinstance(notice, ActorDied)
    assert (notice.reason, notice.started) == (reason, where == "run")
    assert actor.releases == 1
    assert not tell_if_alive(actor.actor_ref, "late")


def test_a_stopped_actor_releases_once_and_tells_nobody() -> None:
    actor, parent = started("nowhere")
    actor.actor_ref.stop(timeout=WAIT_S)
    assert actor.releases == 1
    assert parent.take() == []


def test_timers_tell_in_order_unless_cancelled() -> None:
    timers, probe = ThreadTimers(SystemClock()), Probe()
    timers.start()
    late = timers.after(0.02, probe.actor_ref, "second")
    timers.after(0.01, probe.actor_ref, "first")
    timers.after(0.015, probe.actor_ref, "never").cancel()
    received = [probe.actor_inbox.get(timeout=WAIT_S).message for _ in range(2)]  # type: ignore[call-arg]
    assert received == ["first", "second"]
    late.cancel()
    timers.stop(WAIT_S)


def test_a_cancelled_timer_keeps_nothing_in_memory() -> None:
    """A time limit of an hour kept the actor and the message of an execution that took a second."""

    class Message:
        pass

    timers, probe = ThreadTimers(SystemClock()), Probe()
    message = Message()
    is_there = weakref.ref(message)
    timers.after(3600, probe.actor_ref, message).cancel()
    del message
    assert is_there() is None
    kept = [timers.after(3600, probe.actor_ref, number) for number in range(10)]
    for _ in range(5 * TIDY_LEAST):
        timers.after(3600, probe.actor_ref, "x").cancel()
    assert len(timers._due) <= TIDY_LEAST + len(kept)
    assert sum(entry.delivery is not None for _, _, entry in timers._due) == len(kept)


def test_stamps_have_a_fixed_width() -> None:
    assert len(timestamp(SystemClock().now())) == 27


def test_an_actor_without_a_thread_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="gets no thread"):
        Actor.start(parent=None, name="x")
    assert pykka.ActorRegistry.get_all() == []
