"""Has logs rolled by age. It only tells: a project's owner alone touches its active segment."""

from datetime import timedelta
from typing import assert_never

from actors import messages
from actors.base import Actor
from actors.clock import Clock, Timers
from actors.directory import LocalDirectory
from actors.messages import Ref

CHECK_PERIOD_S = 3600.0


class Rotator(Actor):
    """Child of the Hub, restarted whenever it fails."""

    def __init__(
        self,
        *,
        hub: Ref,
        directory: LocalDirectory,
        rotate_days: int,
        clock: Clock,
        timers: Timers,
    ) -> None:
        super().__init__(parent=hub, name="rotator")
        self._directory = directory
        self._max_age = timedelta(days=rotate_days)
        self._clock = clock
        self._timers = timers

    def started(self) -> None:
        self._later()

    def receive(self, message: messages.RotatorMessage) -> None:
        match message:
            case messages._RotationDue():
                self._rotate()
                self._later()
            case _:
                assert_never(message)

    def _later(self) -> None:
        self._timers.after(CHECK_PERIOD_S, self.actor_ref, messages._RotationDue())

    def _rotate(self) -> None:
        before = self._clock.now() - self._max_age
        order = messages.RotateLog(created_before=f"{before:%Y%m%dT%H%M%SZ}")
        for port in self._directory.ports():
            port.tell(order)
