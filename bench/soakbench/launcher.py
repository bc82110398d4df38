"""Run the hub with seams that the product does not have: a clock that steps, actors that fail.

    launcher.py SOCKET serve …

One line on the Unix socket is one command: `step SECONDS` moves the wall clock from now on, `fail
CLASS` makes the next message of an actor of that class raise. The monotonic clock stays.
"""

import socket
import sys
import threading
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


class InjectedFault(Exception):
    """What an actor fails with."""


class Seams:
    """What was asked for and has not happened yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: Counter[str] = Counter()
        self._step = timedelta()

    def follow(self, command: str) -> None:
        name, _, value = command.strip().partition(" ")
        with self._lock:
            if name == "step":
                self._step += timedelta(seconds=float(value))
            elif name == "fail":
                self._failing[value] += 1

    def step(self) -> timedelta:
        with self._lock:
            return self._step

    def is_due(self, actor: str) -> bool:
        """Return True once for each asked failure."""
        if not self._failing[actor]:  # without the lock: nearly every message
            return False
        with self._lock:
            if not self._failing[actor]:
                return False
            self._failing[actor] -= 1
            return True


def patch_clock(seams: Seams) -> None:
    from actors.runtime.clock import SystemClock

    original = SystemClock.now

    def now(self: SystemClock) -> datetime:
        return original(self) + seams.step()

    SystemClock.now = now  # type: ignore[method-assign]


def patch_actor(actor: type[Any], seams: Seams) -> None:
    original, name = actor.on_receive, actor.__name__

    def on_receive(self: Any, message: Any) -> Any:
        if seams.is_due(name):
            raise InjectedFault(f"the soak has made a {name} fail")
        return original(self, message)

    actor.on_receive = on_receive


def listen(path: str, seams: Seams) -> None:
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)

    def serve() -> None:
        while True:
            peer, _ = listener.accept()
            with peer, peer.makefile() as lines:
                for line in lines:
                    seams.follow(line)

    threading.Thread(target=serve, name="soak seams", daemon=True).start()


def main() -> None:
    from actors.client.actor import Client
    from actors.executor.actor import Executor
    from actors.feed.rotator import Rotator
    from actors.project.actor import Project
    from actors.watch.project_files import FileWatcher

    seams = Seams()
    patch_clock(seams)
    for actor in (Client, Project, Executor, Rotator, FileWatcher):
        patch_actor(actor, seams)
    listen(sys.argv.pop(1), seams)
    from claudehub.__main__ import main as run

    run()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    main()
