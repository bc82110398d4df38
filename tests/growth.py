"""How the work of a function grows with its input."""

import time
from collections.abc import Callable

# The least of some tries: other programs can only make one slower.
_TRIES = 3


def growth(work: Callable[[int], object], small: int, large: int) -> float:
    """Return how many times as much CPU time of this thread a large input takes as a small one."""
    return _cpu_s(work, large) / max(_cpu_s(work, small), 1e-4)


def _cpu_s(work: Callable[[int], object], count: int) -> float:
    tries = []
    for _ in range(_TRIES):
        before_s = time.thread_time()
        work(count)
        tries.append(time.thread_time() - before_s)
    return min(tries)
