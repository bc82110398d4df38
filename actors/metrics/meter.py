"""Count without locks where it is busy, and read it all for a scrape.

Each actor counts in a Tally of its own, which its thread alone writes. A scrape copies what the
tallies hold, in another thread. One step on a dict or a list of plain values is never half done for
another thread, so a copy is whole. Two steps may be seen apart: the sum of a histogram may lack the
value that its count already has, until the next scrape.
"""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from actors.metrics.catalogue import Metric
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.metrics")

Labels = tuple[str, ...]
Key = tuple[Metric, Labels]
# What is read at a scrape: a metric, its labels, and its value now.
Reading = tuple[Metric, Labels, float]
Read = Callable[[], Iterable[Reading]]


def _nothing() -> Iterable[Reading]:
    return ()


class Tally:
    """The counts of one thread. `read` is called at a scrape, in the scrape's thread, for values
    that are kept elsewhere; it only takes steps that are whole for every thread."""

    __slots__ = ("counts", "histograms", "read")

    def __init__(self, read: Read = _nothing) -> None:
        self.counts: dict[Key, float] = {}
        # For each bucket how many values it has (not those below it), and at the end their sum.
        self.histograms: dict[Key, list[float]] = {}
        self.read = read

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count something that happened."""
        key = (metric, labels)
        self.counts[key] = self.counts.get(key, 0) + by

    def histogram(self, metric: Metric, *labels: str) -> list[float]:
        """Return the histogram itself; a busy place keeps it, and puts values in by itself."""
        held = self.histograms.get((metric, labels))
        if held is None:
            held = self.histograms[metric, labels] = [0.0] * (len(metric.buckets) + 2)
        return held

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        held = self.histogram(metric, *labels)
        held[bisect_left(metric.buckets, value)] += 1
        held[-1] += value


@dataclass(slots=True)
class Snapshot:
    """Everything at one moment, summed up."""

    values: dict[Key, float] = field(default_factory=dict)
    histograms: dict[Key, list[float]] = field(default_factory=dict)

    def add(self, tally: Tally) -> None:
        for key, by in tally.counts.copy().items():
            self.values[key] = self.values.get(key, 0) + by
        for key, held in tally.histograms.copy().items():
            self._merge(key, held.copy())
        self._take(tally.read())

    def _merge(self, key: Key, held: list[float]) -> None:
        before = self.histograms.get(key)
        self.histograms[key] = (
            held if before is None else [a + b for a, b in zip(before, held, strict=True)]
        )

    def _take(self, readings: Iterable[Reading]) -> None:
        for metric, labels, value in readings:
            before = self.values.get((metric, labels), 0)
            self.values[metric, labels] = (
                max(before, value) if metric.is_largest else before + value
            )


class Meter:
    """All tallies of a server. Rooms have None in its place while METRICS_PORT is 0, and count
    nothing then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: set[Tally] = set()
        # What is counted by threads without a tally, and what is left of those that have ended.
        self._common = Tally()

    def tally(self, read: Read = _nothing) -> Tally:
        """Return a tally for one thread, until `retire`."""
        tally = Tally(read)
        with self._lock:
            self._tallies.add(tally)
        return tally

    def retire(self, tally: Tally) -> None:
        """Keep what a tally has counted, and nothing else of it: its actor has ended."""
        left = Snapshot()
        left.add(tally)
        with self._lock:
            if tally not in self._tallies:
                return
            self._tallies.remove(tally)
            for (metric, labels), by in left.values.items():
                if metric.kind == "counter":
                    self._common.count(metric, *labels, by=by)
            kept = self._common.histograms
            for key, held in left.histograms.items():
                before = kept.get(key, [0.0] * len(held))
                kept[key] = [a + b for a, b in zip(before, held, strict=True)]

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count something rare; any thread may call it."""
        with self._lock:
            self._common.count(metric, *labels, by=by)

    def snapshot(self) -> Snapshot:
        """Return everything. The lock is held for a moment only: a tally that retires behind it is
        still read as it was, and its counts are not yet in what the snapshot began with."""
        found = Snapshot()
        with self._lock:
            found.add(self._common)
            tallies = list(self._tallies)
        for tally in tallies:
            try:
                found.add(tally)
            except Exception:
                # What one actor shows must not hide what all others show.
                logger.exception("a part of the metrics cannot be read")
        return found


def by_label(metric: Metric, values: Iterable[str]) -> list[Reading]:
    """Return how often each value occurs, as readings of a gauge with one label."""
    counts = defaultdict[str, int](int)
    for value in values:
        counts[value] += 1
    return [(metric, (value,), count) for value, count in counts.items()]
