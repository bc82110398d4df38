"""How far the opening of the projects is: the Hub notes it, main waits for it."""

import threading
from collections.abc import Callable

from actors.server.stop_request import StopRequest

POLL_S = 0.05
QUIET_S = 2.0
BETWEEN_LINES_S = 2.0
# Without any progress. A log of many gigabytes behind a lost checkpoint takes minutes.
STALLED_S = 600.0


class StartProgress:
    """`say(done, total)` is called now and then, once the opening takes longer than QUIET_S."""

    def __init__(self, say: Callable[[int, int], None]) -> None:
        self._say = say
        self._all_open = threading.Event()
        self._state = (0, 0)

    def note(self, done: int, total: int) -> None:
        """Note the progress; any thread may call it."""
        self._state = (done, total)
        if done == total:
            self._all_open.set()

    @property
    def total(self) -> int:
        """Return how many projects there are to open."""
        return self._state[1]

    def wait(self, stop_request: StopRequest) -> None:
        """Wait until every project is open or has failed, or until a stop is requested."""
        waited_s = stalled_s = 0.0
        line_due_s, seen = QUIET_S, self._state
        while not self._all_open.wait(POLL_S) and not stop_request.wait(0):
            waited_s += POLL_S
            stalled_s = stalled_s + POLL_S if self._state == seen else 0.0
            seen = self._state
            if waited_s >= line_due_s:
                self._say(*seen)
                line_due_s += BETWEEN_LINES_S
            if stalled_s > STALLED_S:
                stop_request.fail("the projects did not open in time")
        if line_due_s > QUIET_S and self._all_open.is_set():
            self._say(*self._state)
