"""Run the hub with faults that a test arms, and with short times. The product has no such switch.

    failing_server.py FOLDER serve …

A file FOLDER/POINT.N arms one fault at a point; it is deleted when the fault happens. Points are
`Project.start`, `Project.ProjectRequest` (a handler), `Project.release` (its first step) and
`thread timers`. `Project.start of project p` is one actor's alone.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class InjectedFault(Exception):
    """What an actor or a thread fails with."""


class Faults:
    """The faults of a folder. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def is_due(self, point: str) -> bool:
        """Return True once for each fault that is armed there."""
        with self._lock:
            for name in sorted(os.listdir(self._folder)):
                if name.rpartition(".")[0] == point:
                    (self._folder / name).unlink()
                    return True
        return False

    def meet(self, point: str) -> None:
        """Raise InjectedFault if one is armed there."""
        if self.is_due(point):
            raise InjectedFault(f"injected at {point}")

    def before(self, owner: Any, name: str, point: str) -> None:
        """Have a function of a class or a module fail before it does anything."""
        original = getattr(owner, name)

        def failing(*arguments: Any, **named: Any) -> Any:
            self.meet(point)
            return original(*arguments, **named)

        setattr(owner, name, failing)


def kinds() -> list[type[Any]]:
    """Return all classes of actors."""
    from actors.runtime.base import Actor
    from actors.server import main  # noqa: F401 - it imports all of them

    found, ahead = [], [Actor]
    while ahead:
        below = ahead.pop().__subclasses__()
        found += below
        ahead += below
    return [kind for kind in found if kind.__module__.startswith("actors.")]


def patch_actor(kind: type[Any], faults: Faults) -> None:
    name, started, on_receive = kind.__name__, kind.started, kind.on_receive
    release_steps = kind.release_steps

    def meet(actor: Any, phase: str) -> None:
        faults.meet(f"{name}.{phase}")
        faults.meet(f"{name}.{phase} of {actor}")

    def start(self: Any) -> None:
        meet(self, "start")
        started(self)

    def receive(self: Any, message: Any) -> None:
        meet(self, type(message).__name__)
        on_receive(self, message)

    def steps(self: Any) -> tuple[Callable[[], object], ...]:
        return lambda: meet(self, "release"), *release_steps(self)

    kind.started, kind.on_receive, kind.release_steps = start, receive, steps


def patch_threads(faults: Faults) -> None:
    """Have threads fail where they expect nothing."""
    from actors.frontend.listener import Listener
    from actors.frontend.readiness import Readiness, Seat
    from actors.runtime import clock
    from actors.server import caretaker
    from actors.server.stop_request import StopRequest

    faults.before(Listener, "service_actions", "thread accept")
    faults.before(Seat, "wake", "thread readiness")
    faults.before(Readiness, "_wake", "thread readiness with a turn")
    faults.before(Readiness, "_await_again", "thread readiness again")
    patch_epoll(faults)
    faults.before(clock, "tell_if_alive", "thread timers")
    faults.before(StopRequest, "_take", "thread signals")
    own = SimpleNamespace(**vars(caretaker.select))
    faults.before(own, "poll", "thread caretaker")
    caretaker.select = own  # type: ignore[assignment]


def patch_epoll(faults: Faults) -> None:
    """Have the wait for silent connections fail, at its beginning."""
    from actors.frontend import readiness

    make = readiness.select.epoll

    class Epoll:
        def __init__(self) -> None:
            self._epoll = make()

        def poll(self, **named: Any) -> Any:
            faults.meet("thread readiness at poll")
            return self._epoll.poll(**named)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._epoll, name)

    own = SimpleNamespace(**vars(readiness.select))
    own.epoll = Epoll
    readiness.select = own  # type: ignore[assignment]


def patch_compressor(faults: Faults) -> None:
    """Have the compressor's process be killed as soon as it has started."""
    from actors.feed import compression

    start: Callable[..., Any] = compression.children.start

    def start_and_kill(*arguments: Any, **named: Any) -> Any:
        child = start(*arguments, **named)
        if faults.is_due("compressor"):
            os.kill(child.pid, signal.SIGKILL)
        return child

    compression.children = SimpleNamespace(start=start_and_kill)  # type: ignore[assignment]


def shorten_times() -> None:
    from actors.feed import compression, rotator
    from actors.frontend import connection
    from actors.project import executor_link
    from actors.server import caretaker
    from actors.watch import places, watching

    rotator.FIRST_CHECK_S = rotator.CHECK_PERIOD_S = 0.1
    compression.RETRY_S, compression.POLL_S = 0.3, 0.05
    watching.WATCHER_RETRY_S = 0.3
    executor_link.GIVEN_UP_S = float(os.environ.get("GIVEN_UP_S", executor_link.GIVEN_UP_S))
    connection.EAGER_S = 0.0  # every connection waits at the readiness thread
    places.LOOK_S = caretaker.LOOK_S = 0.1


def main() -> None:
    faults = Faults(Path(sys.argv.pop(1)))
    for kind in kinds():
        patch_actor(kind, faults)
    patch_threads(faults)
    patch_compressor(faults)
    shorten_times()
    from claudehub.__main__ import main as run

    run()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
