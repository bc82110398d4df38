"""What every actor shares: its thread's loop, a notice of death to the parent, and one release.

pykka has no supervision: an exception under `tell` ends the actor, calls no `on_stop`, and tells no
other actor; one that is no Exception (SystemExit, KeyboardInterrupt) stops all actors. So the loop
here is our own. Whatever is raised, at the start, in a handler or in the release, ends this actor
alone, becomes one line in the log and an ActorDied to the parent, and is counted. Messages that the
actor has not handled are offered to `left_over`.
"""

import errno
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar

import pykka
from pykka.messages import _ActorStop

from actors.runtime.living import LIVING
from actors.runtime.logger import bind_ids, get_logger
from actors.runtime.refs import ActorDied, Phase, Ref
from actors.runtime.supervision import Rule

logger = get_logger("claudehub.actors")


class Inbox(queue.SimpleQueue[Any]):
    """An actor's inbox. `take_late` is set once the actor has ended: it takes what is left. A
    reference to an actor keeps its inbox in memory, so `take_late` keeps the actor only where it
    needs it."""

    take_late: Callable[[Any], None] | None = None

    def hand_over(self) -> None:
        """Give what is left to `take_late`. Any thread may call it."""
        take_late = self.take_late
        assert take_late is not None
        for message in self.rest():
            take_late(message)

    def rest(self) -> Iterator[Any]:
        """Take the messages that wait. Tellers may do so at the same time, at the end: so each
        message is taken once, and none is waited for."""
        while True:
            try:
                envelope = self.get_nowait()
            except queue.Empty:
                return
            if envelope.message.__class__ is not _ActorStop:
                yield envelope.message
            elif envelope.reply_to is not None:
                envelope.reply_to.set(None)


def tell_if_alive(receiver: pykka.ActorRef[Any], message: object) -> bool:
    """Tell an actor that may have ended; return False if it has. If it returns True, the actor
    handles the message, or `left_over` takes it."""
    try:
        receiver.tell(message)
    except pykka.ActorDeadError:
        return False
    if receiver.actor_stopped.is_set():
        _hand_over_late(receiver)
    return True


def _hand_over_late(receiver: pykka.ActorRef[Any]) -> None:
    """Empty the inbox of an actor that has ended between pykka's look and its put: nobody else
    would find the message. An actor sets `take_late` before it empties its inbox the last time, so
    either it finds the message, or the teller finds `take_late`."""
    inbox = receiver.actor_inbox
    if isinstance(inbox, Inbox) and inbox.take_late is not None:
        inbox.hand_over()


class Actor(pykka.ThreadingActor):
    """A subclass defines `on_receive`, and `started`, `release_steps` and `left_over` where it
    needs them, and declares its `rule`: what follows from its death. `not_bugs` are exceptions of
    `started` that say what the surroundings lack: they are logged without a traceback.
    `has_failed`: it ends because something was raised. `handling` and `handled` are for LIVING: see
    there."""

    rule: ClassVar[Rule]
    not_bugs: ClassVar[tuple[type[BaseException], ...]] = ()

    # The process must be able to end after a stop has run out of time; main logs what is left.
    use_daemon_thread = True

    def __init__(
        self, *, parent: Ref | None, name: str, ids: Mapping[str, str] | None = None
    ) -> None:
        """Store the arguments. The constructor runs in the caller's thread; `started` acts. `ids`
        are fields of each line that the actor's thread logs."""
        super().__init__()
        self.handling: type | None = None
        self.handled = 0
        self.has_failed = False
        self._parent = parent
        self._name = name
        self._ids = ids or {}
        self._has_ended = False

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        """Return the inbox. pykka lets a subclass choose it. SimpleQueue is written in C: a message
        costs less than half of what it costs in queue.Queue (bench/log.py, rows 2 and 11)."""
        return Inbox()

    def _start_actor_loop(self) -> None:
        """Take an actor that gets no thread out of pykka's registry, where it is already listed.
        Raises OSError: the system may have threads again later."""
        LIVING.entered(self)
        try:
            super()._start_actor_loop()
        except RuntimeError as error:
            LIVING.left(self)
            self.actor_stopped.set()
            pykka.ActorRegistry.unregister(self.actor_ref)
            raise OSError(errno.EAGAIN, f"{self._name} gets no thread: {error}") from None

    def __str__(self) -> str:
        return self._name

    def inbox_length(self) -> int:
        """Return how many messages wait. Any thread may ask."""
        return self._inbox.qsize()

    @property
    def _inbox(self) -> Inbox:
        inbox: Inbox = self.actor_inbox  # type: ignore[assignment]
        return inbox

    # -- what a subclass defines -------------------------------------------------------------

    def started(self) -> None:
        """Begin, in the actor's own thread, before the first message."""

    def release_steps(self) -> Sequence[Callable[[], object]]:
        """Return what gives back what the actor holds, in order. Called once, whatever ends the
        actor. Each step runs, also behind one that has failed, and also if `started` came to
        nothing."""
        return ()

    def failed(self, reason: str) -> None:
        """Tell somebody beside the parent that the actor has failed."""

    def left_over(self, message: Any) -> None:
        """Take a message that came before the end and was not handled: answer it, if it waits for
        an answer. Called after `release`, for a message that came at the last moment in the
        teller's thread."""

    # -- the thread --------------------------------------------------------------------------

    def _actor_loop(self) -> None:
        """Live: pykka calls this in the actor's thread. Raises nothing."""
        stop = None
        try:
            self.on_start()
            if not self._has_ended:
                stop = self._handle_messages()
        finally:
            takes_late = type(self).left_over is not Actor.left_over
            self._inbox.take_late = self._take_late if takes_late else _drop
            self._inbox.hand_over()
            if stop is not None and stop.reply_to is not None:
                stop.reply_to.set(None)
            LIVING.left(self)

    def _handle_messages(self) -> Any:
        """Handle messages until the end; return the envelope that asked for it, None after a
        death."""
        get = self.actor_inbox.get
        try:
            while True:
                envelope = get()
                message = envelope.message
                kind = message.__class__
                if kind is _ActorStop:
                    break
                self.handling = kind
                self.on_receive(message)
                self.handling = None
                self.handled += 1
                del envelope, message  # an idle actor keeps no message alive
        except BaseException as error:  # noqa: BLE001 - reported to the parent, with the reason
            self.on_failure(type(error), error, error.__traceback__)
            return None
        self.on_stop()
        return envelope

    def _take_late(self, message: Any) -> None:
        """Hand over what was told before the end."""
        try:
            self.left_over(message)
        except BaseException as error:  # noqa: BLE001 - the others must be handed over, too
            kind = type(message).__name__
            self._log_fault("a message was left without an answer", error, message=kind)

    # -- start and end -----------------------------------------------------------------------

    def on_start(self) -> None:
        self.handling = ActorStart
        try:
            bind_ids(**self._ids)
            self.started()
        except BaseException as error:  # noqa: BLE001 - reported to the parent, with the reason
            self._end(error, Phase.START)
        self.handling = None

    def release(self) -> None:
        """Run all steps of the release. Log each failure but the first one, and raise that."""
        first: BaseException | None = None
        for step in self.release_steps():
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - the other steps must run, too
                if first is None:
                    first = error
                else:
                    self._log_fault("one more step of a release has failed", error)
        if first is not None:
            raise first

    def on_stop(self) -> None:
        self._end(None, Phase.RELEASE)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(exception_value, Phase.HANDLER)

    def _end(self, error: BaseException | None, phase: Phase) -> None:
        """End once: take no more messages, release, then report what was raised."""
        if self._has_ended:
            return
        self._has_ended = True
        self.has_failed = error is not None
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        handling, self.handling = self.handling, ActorRelease
        try:
            self.release()
        except BaseException as fault:  # noqa: BLE001 - reported
            if error is not None:
                self._log_fault("the release of a dead actor has failed", fault)
            error, phase = error or fault, Phase.RELEASE if error is None else phase
        if error is not None:
            named = handling if phase is Phase.HANDLER else None
            self._report(error, phase, "" if named is None else named.__name__)

    def _report(self, error: BaseException, phase: Phase, message: str) -> None:
        """Tell of a death: first those who act on it, since a log may fail, too."""
        reason = reason_of(error)
        LIVING.died(type(self).__name__)
        if self._parent is not None:
            notice = ActorDied(
                child=self.actor_ref,
                name=self._name,
                reason=reason,
                started=phase is not Phase.START,
                phase=phase,
                last_message=message,
            )
            tell_if_alive(self._parent, notice)
        try:
            self.failed(reason)
        except BaseException as fault:  # noqa: BLE001 - the death is logged all the same
            self._log_fault("nobody could be told of a death", fault)
        fields = {"message": message} if message else {}
        if phase is Phase.START and isinstance(error, self.not_bugs):
            ids = {"actor": self._name, "kind": type(self).__name__}
            logger.error("an actor cannot start", **ids, error=reason_of(error))
        else:
            self._log_fault("an actor has died", error, during=phase.value, **fields)

    def _log_fault(self, event: str, error: BaseException, **fields: object) -> None:
        facts = {"actor": self._name, "kind": type(self).__name__, **fields}
        try:
            logger.error(event, **facts, error=reason_of(error), exc_info=error)
        except BaseException as fault:  # noqa: BLE001 - without memory; a shorter line may go
            logger.error(event, actor=self._name, error=type(error).__name__, log=str(type(fault)))


def _drop(message: Any) -> None:
    """Take a message that nobody waits for."""


class ActorStart:
    """What an actor handles while it is in `started`, for LIVING."""


class ActorRelease:
    """What an actor handles while it is in `release`, for LIVING."""


def reason_of(error: BaseException) -> str:
    """Return the type of an exception and what it says, also of one that cannot say it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a bug in a __str__, or no memory
        return type(error).__name__
