"""How often a child may be restarted before its supervisor gives up (Erlang's restart
intensity)."""

from collections import deque

from actors.runtime.living import LIVING

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
