"""Feed the service manager's watchdog, only while the Hub answers, and show it what goes on."""

import threading
from collections.abc import Callable
from typing import assert_never

from actors import messages
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Timers
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from actors.server.service_manager import ServiceManager

# Without a watchdog the Hub is asked for what `systemctl status` shows.
STATUS_PERIOD_S = 30.0
# A shorter watchdog, which nobody can want, is fed this often, and no oftener.
PERIOD_MIN_S = 0.1


class Liveness(Actor):
    """It asks the Hub twice within the watchdog's time. An answer counts if it comes before the
    next question: a Hub that lags behind further than that is no longer alive. `died` is called
    when this actor fails."""

    rule = Rule.EXIT

    def __init__(
        self,
        *,
        hub: Ref,
        service: ServiceManager,
        timers: Timers,
        died: Callable[[str], None],
    ) -> None:
        super().__init__(parent=None, name="liveness")
        self._hub = hub
        self._service = service
        self._timers = timers
        self._died = died
        watchdog_s = service.watchdog_s
        asked_s = STATUS_PERIOD_S if watchdog_s is None else watchdog_s / 2
        self._period_s = min(max(asked_s, PERIOD_MIN_S), threading.TIMEOUT_MAX)
        self._asked = 0
        self._shown = ""

    def started(self) -> None:
        self._ask()

    def failed(self, reason: str) -> None:
        self._died(f"{self} failed: {reason}")

    def on_receive(self, message: messages.LivenessMessage) -> None:
        match message:
            case messages._LivenessDue():
                self._ask()
            case messages.HubIsAlive():
                self._on_answer(message)
            case _:
                assert_never(message)

    def _ask(self) -> None:
        self._asked += 1
        tell_if_alive(self._hub, messages.AreYouAlive(asker=self.actor_ref, question=self._asked))
        self._timers.after(self._period_s, self.actor_ref, messages._LivenessDue())

    def _on_answer(self, message: messages.HubIsAlive) -> None:
        if message.question != self._asked:
            return
        if self._service.watchdog_s is not None:
            self._service.alive()
        if message.doing != self._shown:
            self._shown = message.doing
            self._service.status(message.doing)
