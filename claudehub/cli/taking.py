"""Wait until the hub has taken a prompt, but not for ever on one that is gone."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import claudehub
from claudehub.cli.output import say
from claudehub.cli.where import GONE_S

# A hub that works takes a prompt within milliseconds.
TAKES_LONG_S = 3.0
_TAKES_LONG = "the hub has not taken the prompt yet; I try until it does, and it runs once"


class Taking:
    """The time until a hub has taken a prompt. A hub that stops may take none for as long as
    STOP_GRACE, and the library then waits for the next one.

    It gives up after `wait_s`. Without it, the hub may take its time, but must not be gone for
    longer than GONE_S. Leaving the block then raises ConnectionLost, and the hub is closed.
    """

    def __init__(self, hub: claudehub.Hub, wait_s: float | None) -> None:
        self._hub = hub
        self._wait_s = wait_s
        self._telling = self._timer(TAKES_LONG_S, self._tell)
        # The lock is held for moments only, and never while the hub is asked for something.
        self._lock = threading.Lock()
        self._giving_up: threading.Timer | None = None
        self._why: str | None = None
        self._is_over = False

    def __enter__(self) -> Self:
        if self._wait_s is None:
            self._hub.on_state(self._changed)
            self._changed(self._hub.state)  # it may be lost already
        return self

    def sends(self) -> None:
        """Begin to count: the prompt is sent now."""
        self._telling.start()
        if self._wait_s is not None:
            self._begin(self._wait_s)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._telling.cancel()
        with self._lock:
            self._is_over = True
            self._stop()
            why = self._why
        # Also without an error: the reply may have come in the moment of giving up.
        if why is not None and (error is None or isinstance(error, claudehub.ConnectionLost)):
            raise claudehub.ConnectionLost(why) from None

    def _changed(self, state: claudehub.State) -> None:
        with self._lock:
            if state is claudehub.State.CONNECTED:
                self._stop()
        if state is claudehub.State.WAITING:
            self._begin(GONE_S)

    def _begin(self, limit_s: float) -> None:
        with self._lock:
            if not self._is_over and self._giving_up is None:
                self._giving_up = self._timer(limit_s, self._give_up)
                self._giving_up.start()

    def _stop(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        with self._lock:
            if self._is_over or self._giving_up is not threading.current_thread():
                return
            self._why = self._words()
        # Outside of the lock: it waits for the thread that calls `_changed`.
        self._hub.close()

    def _words(self) -> str:
        if self._wait_s is None:
            return (
                f"the hub is gone for {GONE_S:g} s, and has not taken the prompt: {self._hub.why}"
            )
        why = "" if self._hub.state is claudehub.State.CONNECTED else f": {self._hub.why}"
        return f"the hub has not taken the prompt for {self._wait_s:g} s{why}"

    @staticmethod
    def _tell() -> None:
        say(f"claudehub: {_TAKES_LONG}", err=True)

    @staticmethod
    def _timer(delay_s: float, action: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(delay_s, action)
        timer.daemon = True
        return timer
