"""How often a child may be restarted before its supervisor gives up (Erlang's restart
intensity)."""

from collections import deque
from collections.abc import Callable

from actors.runtime.base import reason_of
from actors.runtime.clock import Clock
from actors.runtime.living import LIVING
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.actors")

RESTARTS_MAX = 3
RESTART_PERIOD_S = 60.0


class RestartIntensity:
    """Count failures: at most RESTARTS_MAX restarts in RESTART_PERIOD_S seconds. `kind` is the
    class of the actor, or the name of the thread, that is restarted."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._failures: deque[float] = deque()

    def may_restart(self, now_s: float) -> bool:
        """Note a failure at a monotonic time; return True if a restart is still allowed. The caller
        restarts it then."""
        self._failures.append(now_s)
        while self._failures[0] <= now_s - RESTART_PERIOD_S:
            self._failures.popleft()
        if len(self._failures) > RESTARTS_MAX:
            return False
        LIVING.restarted(self._kind)
        return True


def run_again(name: str, run: Callable[[], None], clock: Clock) -> None:
    """Call `run`, the work of the thread `name`, until it returns: again after each failure, as
    often as RestartIntensity allows. Raises what it failed with then."""
    restarts = RestartIntensity(f"thread {name}")
    while True:
        try:
            run()
        except Exception as error:
            if not restarts.may_restart(clock.monotonic()):
                raise
            LIVING.died(f"thread {name}")
            logger.exception(
                "a thread has failed, and goes on", thread=name, error=reason_of(error)
            )
        else:
            return
