"""The Hub's side of its Rotator: it starts it, and starts it again when it has failed."""

from collections.abc import Callable

from actors import messages
from actors.directory import LocalDirectory
from actors.feed.rotator import RotationSettings, Rotator
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.runtime.restarts import RestartIntensity

# A Rotator that could not be started is tried again after this time.
ROTATOR_RETRY_S = 10.0


class Rotation:
    """For the Hub's thread only. `died` is called when the Rotator has failed too often."""

    def __init__(
        self,
        *,
        hub: Ref,
        directory: LocalDirectory,
        settings: Callable[[], RotationSettings],
        clock: Clock,
        timers: Timers,
        problems: Problems,
        died: Callable[[str], None],
    ) -> None:
        self._hub = hub
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._problems = problems
        self._died = died
        self._rotator: Ref | None = None
        self._restarts = RestartIntensity("Rotator")

    def start(self) -> None:
        try:
            self._rotator = Rotator.start(
                hub=self._hub,
                directory=self._directory,
                settings=self._settings(),
                clock=self._clock,
                timers=self._timers,
                problems=self._problems,
            )
        except OSError as error:  # no thread can be started
            self._problems.note("rotator", f"logs do not roll: {error}")
            self._timers.after(ROTATOR_RETRY_S, self._hub, messages._RotatorDue())
        else:
            self._problems.note("rotator", None)

    def on_died(self, message: messages.ActorDied) -> bool:
        """Return True if it was the Rotator that died; it is started again."""
        if self._rotator is None or message.child.actor_urn != self._rotator.actor_urn:
            return False
        if self._restarts.may_restart(self._clock.monotonic()):
            self.start()
        else:
            self._died("the rotator failed too often")
        return True

    def change(self, change: messages.ChangeSettings) -> None:
        if self._rotator is not None:
            tell_if_alive(self._rotator, change)

    def stop(self) -> None:
        if self._rotator is not None:
            self._rotator.stop(block=False)
