"""What every actor shares, started for real; timers too. Few and threaded."""

import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.messages import ActorDied
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import TIDY_LEAST, SystemClock, ThreadTimers, timestamp
from actors.runtime.living import LIVING
from actors.server import shutdown
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


class Lasting(Actor):
    """An actor whose release lasts until `may_end`, and then fails."""

    def __init__(self, made: list["Lasting"]) -> None:
        super().__init__(parent=None, name="lasting")
        made.append(self)
        self.in_release, self.may_end = threading.Event(), threading.Event()
        self.handed_over: queue.SimpleQueue[object] = queue.SimpleQueue()

    def on_receive(self, message: Any) -> None:
        raise RuntimeError(message)

    def release(self) -> None:
        self.in_release.set()
        assert self.may_end.wait(WAIT_S)
        raise ValueError("in release")

    def left_over(self, message: Any) -> None:
        self.handed_over.put(message)


def lasting() -> Lasting:
    made: list[Lasting] = []
    Lasting.start(made)
    return made[0]


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


def test_a_reference_does_not_keep_an_actor_in_memory() -> None:
    """A client's timers hold references to it, for an hour when its key expires."""

    class Guest(Actor):
        pass

    reference, is_gone = Guest.start(parent=None, name="a guest"), threading.Event()
    weakref.finalize(reference._actor_weakref(), is_gone.set)
    reference.stop(timeout=WAIT_S)
    assert is_gone.wait(WAIT_S)
    assert not tell_if_alive(reference, "late")


def test_stamps_have_a_fixed_width() -> None:
    assert len(timestamp(SystemClock().now())) == 27


def test_an_actor_without_a_thread_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match="gets no thread"):
        Actor.start(parent=None, name="x")
    assert pykka.ActorRegistry.get_all() == []


# -- the end -------------------------------------------------------------------------------------


class Late:
    """What pykka looks at before it puts: the actor lives then, and has ended before the put."""

    def __init__(self, actor: Lasting) -> None:
        self._actor = actor
        self._stopped = actor.actor_ref.actor_stopped

    def is_set(self) -> bool:
        actor = self._actor
        actor.actor_ref.actor_stopped = self._stopped
        actor.may_end.set()
        actor.actor_ref.stop(block=False)
        assert LIVING.wait_until_left(lambda one: one is actor, WAIT_S) == []
        return False


def test_a_message_that_comes_at_the_last_moment_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor = lasting()
    monkeypatch.setattr(actor.actor_ref, "actor_stopped", Late(actor))
    assert tell_if_alive(actor.actor_ref, "late")
    assert actor.handed_over.get(timeout=WAIT_S) == "late"
    assert actor.inbox_length() == 0


def test_tellers_and_the_actor_hand_each_message_over_once() -> None:
    actor = lasting()
    tellers, each = 4, 200
    told: list[list[int]] = [[] for _ in range(tellers)]

    def tell(teller: int) -> None:
        for number in range(each):
            if tell_if_alive(actor.actor_ref, teller * each + number):
                told[teller].append(teller * each + number)

    threads = [threading.Thread(target=tell, args=(teller,)) for teller in range(tellers)]
    actor.may_end.set()
    tell_if_alive(actor.actor_ref, -1)  # what it dies of
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert LIVING.wait_until_left(lambda one: one is actor, WAIT_S) == []
    handed_over = [actor.handed_over.get_nowait() for _ in range(actor.handed_over.qsize())]
    assert sorted(map(int, map(str, handed_over))) == sorted(n for numbers in told for n in numbers)


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_stop_waits_until_a_death_in_a_release_is_logged(
    *, has_begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """pykka calls an actor stopped, and forgets it, before its release."""
    actor, over = lasting(), threading.Event()
    if has_begun:
        actor.actor_ref.stop(block=False)
        assert actor.in_release.wait(WAIT_S)

    hub = Probe()
    hub.actor_stopped.set()

    def stop() -> None:
        shutdown.stop_actors(hub.actor_ref, lambda: 0.0, stays=[])
        over.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    assert actor.in_release.wait(WAIT_S)
    assert not over.wait(0.05)  # it would be over at once
    actor.may_end.set()
    stopping.join(WAIT_S)
    assert over.is_set()
    (line,) = [r.getMessage() for r in caplog.records if "an actor has died" in r.getMessage()]
    assert "actor=lasting" in line and "ValueError: in release" in line


def test_an_actor_that_is_stopped_last_lives_until_then() -> None:
    actor = lasting()
    hub = Probe()
    hub.actor_stopped.set()
    shutdown.stop_actors(hub.actor_ref, lambda: 0.0, stays=[actor.actor_ref])
    assert actor.actor_ref.is_alive()
    actor.may_end.set()
    shutdown.stop_actor(actor.actor_ref, WAIT_S)
    assert LIVING.wait_until_left(lambda one: one is actor, 0.0) == []


def test_an_actor_that_does_not_end_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    actor = lasting()
    shutdown.stop_actor(actor.actor_ref, 0.0)
    assert "bug: an actor is still alive actor=lasting" in caplog.text
    actor.may_end.set()
    assert LIVING.wait_until_left(lambda one: one is actor, WAIT_S) == []
