"""What every actor shares: a guarded start, notice of death to the parent, one release.

pykka has no supervision: an exception under `tell` ends the actor, `on_stop` is not called then,
and nobody is told. Here every failure, at the start or later, becomes an ActorDied to the parent.
"""

import logging
import queue
from types import TracebackType
from typing import Any

import pykka

from actors.runtime.mailbox import tell_if_alive
from actors.runtime.refs import ActorDied, Ref

logger = logging.getLogger("claudehub.actors")


class Actor(pykka.ThreadingActor):
    """Subclasses give `receive`, and `started` and `release` where they need them."""

    # The process must be able to end when a stop has run out of time; main logs what is left.
    use_daemon_thread = True

    def __init__(self, *, parent: Ref | None, name: str) -> None:
        """The constructor runs in the caller's thread: it stores, `started` acts."""
        super().__init__()
        self._parent = parent
        self._name = name
        self._released = False

    @staticmethod
    def _create_actor_inbox() -> "queue.SimpleQueue[Any]":
        """pykka's place for other queues. This one is written in C: a message costs less than half
        of what it does in queue.Queue (bench/log.py, rows 2 and 11)."""
        return queue.SimpleQueue()

    def _start_actor_loop(self) -> None:
        """pykka has registered the actor before this: one that gets no thread must not stay."""
        try:
            super()._start_actor_loop()
        except RuntimeError:
            self.actor_stopped.set()
            pykka.ActorRegistry.unregister(self.actor_ref)
            raise

    def __str__(self) -> str:
        return self._name

    def started(self) -> None:
        """The first thing in the actor's own thread. An exception ends the actor."""

    def release(self) -> None:
        """Gives back what the actor holds; called once, whatever ends it."""

    def receive(self, message: Any) -> None:
        """Handles one message. An exception ends the actor."""
        raise NotImplementedError

    def on_receive(self, message: Any) -> None:
        self.receive(message)

    def on_start(self) -> None:
        try:
            self.started()
        except Exception as error:  # noqa: BLE001 - reported to the parent, with the reason
            self._report(error, started=False)
            self._release_once()
            self.stop()

    def on_stop(self) -> None:
        self._release_once()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release_once()
        self._report(exception_value, started=True)

    def _release_once(self) -> None:
        if self._released:
            return
        self._released = True
        try:
            self.release()
        except Exception:
            logger.exception("%s: release failed", self._name)

    def failed(self, reason: str) -> None:
        """For those whose failure somebody beside the parent must hear of."""

    def _report(self, error: BaseException | None, *, started: bool) -> None:
        reason = f"{type(error).__name__}: {error}"
        logger.error("%s failed: %s", self._name, reason)
        self.failed(reason)
        if self._parent is not None:
            notice = ActorDied(
                child=self.actor_ref, name=self._name, reason=reason, started=started
            )
            tell_if_alive(self._parent, notice)
