"""How fast the load comes: hub, agents and soak together stay below a part of a core."""

import time

import psutil

RATE_MIN, RATE_MAX, RATE_FIRST = 0.3, 15.0, 4.0  # actions a second
FASTER, SLOWER = 1.05, 0.85


class Pace:
    """Actions a second, changed at each look at the processor time that was used since the last."""

    def __init__(self, cores: float) -> None:
        self.cores = cores
        self.rate = RATE_FIRST
        self._rate_max = RATE_MAX
        self.used: list[float] = []
        self._own = psutil.Process()
        self._last: tuple[int, float, float] | None = None

    def hold(self) -> None:
        """Get no faster from now on, so that figures of different times can be compared."""
        self._rate_max = min(self._rate_max, self.rate)

    def look(self, pid: int) -> None:
        """Change the rate after the processor time of the server, its ended children and the
        soak."""
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            self._last = None
            return
        own = self._own.cpu_times()
        spent = sum((times.user, times.system, times.children_user, times.children_system))
        spent += own.user + own.system
        now = time.monotonic()
        before, self._last = self._last, (pid, now, spent)
        if before is None or before[0] != pid:
            return
        used = (spent - before[2]) / max(now - before[1], 0.1)
        self.used.append(used)
        factor = FASTER if used < self.cores else SLOWER
        self.rate = min(max(self.rate * factor, RATE_MIN), self._rate_max)
