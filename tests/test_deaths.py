"""The death of an actor: whatever is raised, and wherever, the parent, the log and the counts get
it."""

import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.messages import ActorDied
from actors.runtime import base
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.living import ARRIVALS_MAX, LIVING, ActorState, LivingActors
from actors.runtime.problems import Problems
from actors.runtime.refs import Phase
from actors.server.lookout import LATE_S, NAMED_MAX, Lookout
from tests.fakes import Probe

WAIT_S = 5.0


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("a bug in __str__")


def recurse() -> None:
    recurse()


def fail(kind: type[BaseException]) -> None:
    if kind is RecursionError:
        recurse()
    raise kind


KINDS = [ValueError, MemoryError, RecursionError, KeyboardInterrupt, SystemExit, Unspeakable]


class Poison:
    """The message that kills."""


class Mortal(Actor):
    """It dies in one phase. `gate` opens when it may handle messages."""

    def __init__(self, parent: Probe, phase: Phase | None, kind: type[BaseException]) -> None:
        super().__init__(parent=parent.actor_ref, name="mortal")
        self.phase, self.kind = phase, kind
        self.gate, self.begun = threading.Event(), threading.Event()
        self.handing_over: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.releases = 0
        self.told: list[str] = []
        self.thread: threading.Thread | None = None

    def started(self) -> None:
        self.thread = threading.current_thread()
        if self.phase is Phase.START:
            self.gate.wait(WAIT_S)
            fail(self.kind)

    def on_receive(self, message: Any) -> None:
        self.begun.set()
        self.gate.wait(WAIT_S)
        if isinstance(message, Poison):
            fail(self.kind)

    def release(self) -> None:
        self.releases += 1
        if self.phase is Phase.RELEASE:
            fail(self.kind)

    def failed(self, reason: str) -> None:
        self.told.append(reason)

    def left_over(self, message: Any) -> None:
        self.handing_over.put(message)


@pytest.fixture(autouse=True)
def stop_all() -> Iterator[None]:
    yield
    pykka.ActorRegistry.stop_all(timeout=WAIT_S)


def born(phase: Phase | None, kind: type[BaseException] = ValueError) -> tuple[Mortal, Probe]:
    parent = Probe()
    actor = Mortal(parent, phase, kind)
    pykka.ActorRegistry.register(actor.actor_ref)
    actor._start_actor_loop()
    return actor, parent


def kill(actor: Mortal) -> None:
    """Have it die, and wait until its thread is gone."""
    actor.gate.set()
    if actor.phase is Phase.HANDLER:
        tell_if_alive(actor.actor_ref, Poison())
    elif actor.phase is Phase.RELEASE:
        actor.actor_ref.stop(timeout=WAIT_S)
    actor.actor_stopped.wait(WAIT_S)
    assert actor.thread is not None
    actor.thread.join(WAIT_S)
    assert not actor.thread.is_alive()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", list(Phase))
def test_a_death_is_told_counted_and_logged_whatever_was_raised(
    phase: Phase, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    bystander, _ = born(None)
    actor, parent = born(phase, kind)
    before = LIVING.deaths.get("Mortal", 0)
    kill(actor)
    (notice,) = parent.take()
    assert isinstance(notice, ActorDied)
    assert (notice.phase, notice.started) == (phase, phase is not Phase.START)
    assert notice.reason.startswith(kind.__name__)
    assert notice.last_message == ("Poison" if phase is Phase.HANDLER else "")
    assert actor.told == [notice.reason] and actor.releases == 1
    assert LIVING.deaths["Mortal"] == before + 1
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert f"an actor has died actor=mortal kind=Mortal during={phase}" in line
    assert kind.__name__ in line and ("message=Poison" in line) is (phase is Phase.HANDLER)
    assert not tell_if_alive(actor.actor_ref, "late")
    assert pykka.ActorRegistry.get_by_urn(actor.actor_urn) is None
    assert bystander.actor_ref.is_alive()


@pytest.mark.parametrize("phase", list(Phase))
def test_what_the_surroundings_lack_at_a_start_is_no_bug(
    phase: Phase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, for example. In a handler it is one: there it should have been expected."""
    monkeypatch.setattr(Mortal, "not_bugs", (LookupError,))
    actor, parent = born(phase, KeyError)
    kill(actor)
    (notice,) = parent.take()
    assert isinstance(notice, ActorDied) and actor.told == [notice.reason]
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    is_start = phase is Phase.START
    assert ("an actor cannot start" in record.getMessage()) is is_start
    assert ("Traceback" in caplog.text) is not is_start


@pytest.mark.parametrize("phase", [Phase.START, Phase.HANDLER])
def test_messages_behind_a_death_are_handed_over_in_order_and_not_handled(phase: Phase) -> None:
    actor, _ = born(phase)
    if phase is Phase.HANDLER:
        tell_if_alive(actor.actor_ref, Poison())
    for number in range(3):
        assert tell_if_alive(actor.actor_ref, number)
    stopped = actor.actor_ref.stop(block=False)
    kill(actor)
    left = [actor.handing_over.get(timeout=WAIT_S) for _ in range(3)]
    assert left == [0, 1, 2]
    assert stopped.get(timeout=WAIT_S) is True  # whoever waits for the stop goes on


def test_a_message_that_cannot_be_handed_over_keeps_no_other_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    actor, _ = born(Phase.START)
    kept = actor.left_over

    def picky(message: Any) -> None:
        if message == "bad":
            raise SystemExit
        kept(message)

    monkeypatch.setattr(actor, "left_over", picky)
    for message in ("bad", "good"):
        tell_if_alive(actor.actor_ref, message)
    kill(actor)
    assert actor.handing_over.get(timeout=WAIT_S) == "good"
    assert any("a message was left without an answer" in r.getMessage() for r in caplog.records)


def test_a_death_is_told_although_the_log_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    class Broken:
        def error(self, event: str, **fields: Any) -> None:
            if "exc_info" in fields:
                raise MemoryError
            lines.append(f"{event} {fields['actor']}")

    monkeypatch.setattr(base, "logger", Broken())
    actor, parent = born(Phase.HANDLER)
    kill(actor)
    assert len(parent.take()) == 1
    assert lines == ["an actor has died mortal"]


def test_a_release_that_fails_after_a_death_is_one_death(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    actor, parent = born(Phase.HANDLER)
    monkeypatch.setattr(actor, "release", lambda: fail(ZeroDivisionError))
    kill(actor)
    (notice,) = parent.take()
    assert notice.reason == "ValueError: "
    assert any("the release of a dead actor has failed" in r.getMessage() for r in caplog.records)


# -- what the living do --------------------------------------------------------------------------


def state_of(actor: Mortal) -> ActorState:
    return next(s for s in LIVING.states() if s.name == str(actor) and s.kind == "Mortal")


def test_looks_tell_how_long_a_message_is_handled_and_how_long_others_wait() -> None:
    actor, _ = born(None)
    LIVING.look(100.0)
    assert state_of(actor).handling is None
    actor.actor_ref.tell("first")
    assert actor.begun.wait(WAIT_S)
    LIVING.look(101.0)
    actor.actor_ref.tell("second")
    LIVING.look(102.0)
    actor.actor_ref.tell("third")
    LIVING.look(105.0)
    state = state_of(actor)
    assert (state.handling, state.handling_s) == ("str", 4.0)
    assert (state.inbox_length, state.waiting_s, state.handled) == (2, 3.0, 0)
    actor.gate.set()
    actor.actor_ref.stop(timeout=WAIT_S)
    assert actor.handled == 3
    LIVING.look(106.0)
    assert all(s.name != "mortal" for s in LIVING.states())


class Still:
    """An actor that handles one message for ever, while others come."""

    def __init__(self) -> None:
        self.actor_urn = "still"
        self.handling: type | None = str
        self.handled = 0
        self.waiting = 0

    def inbox_length(self) -> int:
        return self.waiting


def test_a_look_remembers_a_bounded_number_of_arrivals_and_the_oldest_first() -> None:
    living, still = LivingActors(), Still()
    living.entered(still)
    for second in range(10 * ARRIVALS_MAX):
        still.waiting += 1
        living.look(float(second))
    (state,) = living.states()
    assert (state.handling_s, state.waiting_s) == (639.0, 639.0)
    assert len(living._seen[still].arrivals) == ARRIVALS_MAX
    still.handled, still.waiting = still.waiting, 0
    living.look(700.0)
    (state,) = living.states()
    assert (state.handling_s, state.waiting_s) == (0.0, 0.0)


def test_counts_are_by_kind() -> None:
    living = LivingActors()
    for kind in ("Hub", "Client", "Client"):
        living.died(kind)
    living.restarted("Client")
    assert living.deaths == {"Hub": 1, "Client": 2} and living.restarts == {"Client": 1}


def test_an_actor_that_gets_nowhere_is_a_problem_until_it_goes_on() -> None:
    living, still, problems = LivingActors(), Still(), Problems()
    lookout = Lookout(problems, living)
    living.entered(still)
    still.waiting = 2
    lookout.look(0.0)
    lookout.look(LATE_S - 1)
    assert problems.now() == []
    lookout.look(LATE_S)
    assert problems.now() == [f"{still}: it has been handling one str for over {LATE_S:g} s"]
    still.handled = 1
    lookout.look(LATE_S + 1)
    assert problems.now() == [f"{still}: messages wait in its inbox for over {LATE_S:g} s"]
    still.handling, still.handled, still.waiting = None, 3, 0
    lookout.look(LATE_S + 2)
    assert problems.now() == []


def test_a_machine_that_stands_still_has_a_bounded_number_of_problems() -> None:
    living, problems = LivingActors(), Problems()
    lookout = Lookout(problems, living)
    for _ in range(2 * NAMED_MAX):
        living.entered(Still())
    lookout.look(0.0)
    lookout.look(LATE_S)
    assert len(problems.now()) == NAMED_MAX


def test_each_step_of_a_release_runs_and_each_failure_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    actor, parent = born(None)
    done: list[str] = []
    steps = (
        lambda: fail(ValueError),
        lambda: done.append("second"),
        lambda: fail(SystemExit),
        lambda: done.append("last"),
    )
    monkeypatch.setattr(actor, "release", lambda: Actor.release(actor))
    monkeypatch.setattr(actor, "release_steps", lambda: steps)
    actor.phase = Phase.RELEASE
    kill(actor)
    assert done == ["second", "last"]
    (notice,) = parent.take()
    assert (notice.phase, notice.reason) == (Phase.RELEASE, "ValueError: ")
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert any("one more step of a release has failed" in s and "SystemExit" in s for s in lines)
    assert any("an actor has died" in s and "ValueError" in s for s in lines)
