"""The Hub's part of the server's stop: projects first, then clients, each with a time limit."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from websockets.frames import CloseCode

from actors import messages
from actors.hub.registry import Registry
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref

logger = get_logger("claudehub.hub")

# Beyond the time that ending an execution takes: to log the ends, flush and close.
STOP_PROJECTS_MARGIN_S = 8.0
STOP_CLIENTS_S = 4.0
# This many clients are told at once, more in slices: each wakes a thread or two, and thousands that
# want the interpreter's lock block each other.
CLIENTS_AT_ONCE = 256
SLICE_S = 0.1
_PROJECTS, _SLICE, _CLIENTS = "projects", "slice", "clients"


class Stopping:
    """Made when the stop begins; `finish` is called once, when nothing is left or the time is
    over."""

    def __init__(
        self,
        *,
        hub: Ref,
        registry: Registry,
        clients: Mapping[str, Ref],
        timers: Timers,
        kill_grace_s: float,
        done: threading.Event,
        finish: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._clients = clients
        self._timers = timers
        self._kill_grace_s = kill_grace_s
        self._done = done
        self._finish = finish
        self._closing_clients = False
        self._untold: deque[Ref] = deque()

    def begin(self) -> None:
        """End the executions, log and send their ends, flush and close the logs."""
        for entry in self._registry.values():
            if entry.ref is not None:
                tell_if_alive(entry.ref, messages.StopProject())
        self._after(2 * self._kill_grace_s + STOP_PROJECTS_MARGIN_S, _PROJECTS)
        self.go_on()

    def go_on(self) -> None:
        """Continue: a project or a client is gone."""
        if any(entry.ref is not None for entry in self._registry.values()):
            return
        if not self._closing_clients:
            self._close_clients()
        if not self._clients:
            self._end()

    def on_step_due(self, step: str) -> None:
        if step == _SLICE:
            self._tell_some()
            return
        if step == _CLIENTS:
            logger.warning("clients did not close in time", count=len(self._clients))
            self._end()
            return
        late = [e.meta.project_id for e in self._registry.values() if e.ref is not None]
        if late:
            logger.error("projects did not close in time", projects=late)
            self._close_clients()

    def _close_clients(self) -> None:
        """Close all clients under one deadline; thousands, in slices before it."""
        self._closing_clients = True
        self._untold.extend(self._clients.values())
        self._tell_some()

    def _tell_some(self) -> None:
        for _ in range(min(CLIENTS_AT_ONCE, len(self._untold))):
            close_client(self._untold.popleft())
        if self._untold:
            self._after(SLICE_S, _SLICE)
        else:
            self._after(STOP_CLIENTS_S, _CLIENTS)

    def _after(self, delay_s: float, step: str) -> None:
        self._timers.after(delay_s, self._hub, messages._StopStepDue(step=step))

    def _end(self) -> None:
        if not self._done.is_set():
            self._done.set()
            self._finish()


def close_client(client: Ref) -> None:
    """Tell a client that the server stops."""
    close = messages.CloseClient(code=CloseCode.GOING_AWAY, reason="the server is shutting down")
    tell_if_alive(client, close)
