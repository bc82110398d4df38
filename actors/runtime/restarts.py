"""How often a child may be restarted before its supervisor gives up (Erlang's restart
intensity)."""

from collections import deque

RESTARTS_MAX = 3
RESTART_PERIOD_S = 60.0


class RestartIntensity:
    """Count failures: at most RESTARTS_MAX restarts in RESTART_PERIOD_S seconds."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque()

    def may_restart(self, now_s: float) -> bool:
        """Note a failure at a monotonic time; return True if a restart is still allowed."""
        self._failures.append(now_s)
        while self._failures[0] <= now_s - RESTART_PERIOD_S:
            self._failures.popleft()
        return len(self._failures) <= RESTARTS_MAX
