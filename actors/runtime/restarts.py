"""How often a child may be restarted before its supervisor gives up (Erlang's intensity)."""

from collections import deque

RESTARTS_MAX = 3
RESTART_PERIOD_S = 60.0


class RestartIntensity:
    """Counts failures; at most RESTARTS_MAX restarts in RESTART_PERIOD_S seconds."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque()

    def may_restart(self, now_s: float) -> bool:
        """Notes a failure at a monotonic time; whether a restart is still allowed."""
        self._failures.append(now_s)
        while self._failures[0] <= now_s - RESTART_PERIOD_S:
            self._failures.popleft()
        return len(self._failures) <= RESTARTS_MAX
