"""What the hub takes over time: memory, descriptors, threads, processes, and its latencies."""

import asyncio
import time
from dataclasses import dataclass

import psutil

LATENCIES_MAX = 500_000
PERIOD_S = 2.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One look at the server. `age_s` is that of the process. `is_calm`: no execution runs, and
    every client has joined its home projects."""

    at_s: float
    age_s: float
    life: int
    memory_mib: float
    descriptors: int
    threads: int
    processes: int
    is_calm: bool = False


class Latencies:
    """When each request was answered, and after how long."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew: the load begins."""
        self._began_s = time.monotonic()
        self.by_kind: dict[str, list[tuple[float, float]]] = {}

    def note(self, kind: str, took_s: float) -> None:
        kept = self.by_kind.setdefault(kind, [])
        if len(kept) < LATENCIES_MAX:
            kept.append((time.monotonic() - self._began_s, took_s))


def percentile(values: list[float], part: float) -> float:
    """Return the value below which a part (0 to 1) of the values lies; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Meter:
    """Samples of a server whose process may be another one next time."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew: the load begins."""
        self._began_s = time.monotonic()
        self.samples: list[Sample] = []

    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    def take(self, pid: int, life: int, *, is_calm: bool = False) -> Sample | None:
        """Look at the server; None if it is not there."""
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                sample = Sample(
                    at_s=self.now_s(),
                    age_s=time.time() - process.create_time(),
                    life=life,
                    memory_mib=process.memory_info().rss / MIB,
                    descriptors=process.num_fds(),
                    threads=process.num_threads(),
                    processes=1 + len(process.children(recursive=True)),
                    is_calm=is_calm,
                )
        except psutil.Error:
            return None
        self.samples.append(sample)
        return sample

    async def take_calm(self, pid: int, life: int) -> Sample | None:
        return await asyncio.to_thread(self.take, pid, life, is_calm=True)
