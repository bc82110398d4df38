"""What every actor shares: a guarded start, a notice of death to the parent, and one release.

pykka has no supervision: an exception under `tell` ends the actor, calls no `on_stop`, and tells no
other actor. Here every failure, at the start or later, becomes an ActorDied to the parent. A
subclass handles its messages in `on_receive`; an exception there ends the actor.
"""

import errno
import queue
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import pykka

from actors.runtime.logger import bind_ids, get_logger
from actors.runtime.refs import ActorDied, Ref

logger = get_logger("claudehub.actors")


def tell_if_alive(receiver: pykka.ActorRef[Any], message: object) -> bool:
    """Tell an actor that may have ended; return False if it has."""
    try:
        receiver.tell(message)
    except pykka.ActorDeadError:
        return False
    return True


class Actor(pykka.ThreadingActor):
    """A subclass defines `on_receive`, and `started` and `release` where it needs them."""

    # The process must be able to end after a stop has run out of time; main logs what is left.
    use_daemon_thread = True

    def __init__(
        self, *, parent: Ref | None, name: str, ids: Mapping[str, str] | None = None
    ) -> None:
        """Store the arguments. The constructor runs in the caller's thread; `started` acts. `ids`
        are fields of each line that the actor's thread logs."""
        super().__init__()
        self._parent = parent
        self._name = name
        self._ids = ids or {}
        self._released = False

    @staticmethod
    def _create_actor_inbox() -> "queue.SimpleQueue[Any]":
        """Return the inbox. pykka lets a subclass choose it. SimpleQueue is written in C: a message
        costs less than half of what it costs in queue.Queue (bench/log.py, rows 2 and 11)."""
        return queue.SimpleQueue()

    def _start_actor_loop(self) -> None:
        """Take an actor that gets no thread out of pykka's registry, where it is already listed.
        Raises OSError: the system may have threads again later."""
        try:
            super()._start_actor_loop()
        except RuntimeError as error:
            self.actor_stopped.set()
            pykka.ActorRegistry.unregister(self.actor_ref)
            raise OSError(errno.EAGAIN, f"{self._name} gets no thread: {error}") from None

    def __str__(self) -> str:
        return self._name

    def started(self) -> None:
        """Begin, in the actor's own thread, before the first message."""

    def release(self) -> None:
        """Give back what the actor holds. Called once, whatever ends the actor."""

    def failed(self, reason: str) -> None:
        """Tell somebody beside the parent that the actor has failed."""

    def on_start(self) -> None:
        bind_ids(**self._ids)
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
            logger.exception("an actor could not be released", actor=self._name)

    def _report(self, error: BaseException | None, *, started: bool) -> None:
        reason = f"{type(error).__name__}: {error}"
        # pykka has logged the traceback of what has failed after the start.
        trace = None if started else error
        logger.error("an actor has failed", actor=self._name, reason=reason, exc_info=trace)
        self.failed(reason)
        if self._parent is not None:
            notice = ActorDied(
                child=self.actor_ref, name=self._name, reason=reason, started=started
            )
            tell_if_alive(self._parent, notice)
