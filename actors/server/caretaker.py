"""What the server does for its processes all the time: it reaps orphans, and keeps the guardian.

A thread and no actor: it waits for the end of a pipe, and tells nobody. What is wrong goes on the
board that health_check shows.
"""

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable

from actors.metrics.kinds import GUARDIAN
from actors.process_tree import children
from actors.process_tree.guardian import Guardian
from actors.runtime.clock import Clock
from actors.runtime.living import LIVING
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.restarts import run_again

logger = get_logger("claudehub.agents")

# A dead orphan waits this long at most; a dead guardian is noticed at once.
LOOK_S = 1.0
# A guardian that dies again and again is started again that often in such a time, and later on.
GUARDIAN_STARTS_MAX = 3
GUARDIAN_PERIOD_S = 60.0
STOP_WAIT_S = 2.0
PART = GUARDIAN


class Caretaker:
    """`begin` starts the first guardian with `new_guardian`, and raises OSError."""

    def __init__(
        self, new_guardian: Callable[[], Guardian], clock: Clock, problems: Problems
    ) -> None:
        self._new_guardian = new_guardian
        self._clock = clock
        self._problems = problems
        self._guardian: Guardian | None = None
        self._starts: deque[float] = deque(maxlen=GUARDIAN_STARTS_MAX)
        self._stop_reading, self._stop_writing = os.pipe()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def begin(self) -> None:
        try:
            self._guardian = self._new_guardian()
        except OSError:
            self._close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Stop looking: the agents are gone. Then end the guardian."""
        os.write(self._stop_writing, b"x")
        self._thread.join(STOP_WAIT_S)
        if self._thread.is_alive():  # it uses the descriptors
            logger.error("bug: the caretaker does not stop")
            return
        self._close()
        if self._guardian is not None:
            self._guardian.stop()

    def _close(self) -> None:
        os.close(self._stop_reading)
        os.close(self._stop_writing)

    def _run(self) -> None:
        run_again("caretaker", self._look, self._clock)

    def _look(self) -> None:
        while True:
            waited = [self._stop_reading]
            if self._guardian is not None:
                waited.append(self._guardian.ended.fileno())
            poll = select.poll()
            for fd in waited:
                poll.register(fd, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(LOOK_S * 1000)]
            if self._stop_reading in ready:
                return
            try:
                self._take_care(guardian_died=bool(ready))
            except Exception as error:
                logger.exception("the caretaker has failed, and goes on")
                self._problems.note(PART, f"nobody could look after it: {error}")

    def _take_care(self, *, guardian_died: bool) -> None:
        if guardian_died:
            self._bury()
        if self._guardian is None:
            self._start_again()
        children.reap()

    def _bury(self) -> None:
        """Reap the guardian, and say how it has ended and when there is another one."""
        assert self._guardian is not None
        pid, status = self._guardian.pid, self._guardian.bury()
        self._guardian = None
        LIVING.died(PART)
        retry_s = round(self._retry_s(self._clock.monotonic()), 1)
        logger.warning("the guardian has died", pid=pid, **_end_of(status), retry_in_s=retry_s)
        when = f"started again within {retry_s:.0f} s" if retry_s else "started again at once"
        unsafe = "agents would outlive a kill -9 of the server"
        self._problems.note(PART, f"it has died, and is {when}: until then {unsafe}")

    def _retry_s(self, now_s: float) -> float:
        """Return in how many seconds another guardian may start: 0, unless they have died too often
        of late."""
        if len(self._starts) < GUARDIAN_STARTS_MAX:
            return 0.0
        return max(0.0, self._starts[0] + GUARDIAN_PERIOD_S - now_s)

    def _start_again(self) -> None:
        """Start another guardian, or leave that to a later look."""
        now_s = self._clock.monotonic()
        if self._retry_s(now_s):
            return
        try:
            self._guardian = self._new_guardian()
        except OSError as error:  # the next look tries again
            problem = f"it has died, and is tried again every {LOOK_S:g} s: {error}"
            self._problems.note(PART, problem)
            return
        self._starts.append(now_s)
        LIVING.restarted(PART)
        self._problems.note(PART, None)


def _end_of(status: int) -> dict[str, int | str]:
    """Return how a process has ended, as a field of a log line."""
    if status >= 0:
        return {"exit_code": status}
    try:
        return {"signal": signal.Signals(-status).name}
    except ValueError:  # a real-time signal
        return {"signal": -status}
