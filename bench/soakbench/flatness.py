"""Does a curve rise? The slope of what was measured in calm moments, and its bound."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CALM_MIN = 5  # below this many calm moments there is no slope


@dataclass(frozen=True)
class Bound:
    """How much a curve may grow over the window: a part of its level, at least `floor`, and what
    is known to come and to end, `known`."""

    floor: float
    share: float
    known: float = 0.0

    def of(self, level: float) -> float:
        return max(self.floor, self.share * level) + self.known


@dataclass(frozen=True)
class Slope:
    """`growth` and `bound` are over the whole window, in the curve's unit."""

    name: str
    unit: str
    level: float
    per_hour: float
    growth: float
    bound: float
    moments: int

    @property
    def verdict(self) -> str:
        if self.moments < CALM_MIN:
            return "NOT SHOWN: too few calm moments"
        return "flat" if self.is_flat else "NOT FLAT"

    @property
    def is_flat(self) -> bool:
        """A curve that falls is flat, too. Too few moments are not: nothing was shown."""
        return self.moments >= CALM_MIN and self.growth <= self.bound


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs: single outliers do not move it."""
    slopes = [
        (y2 - y1) / (x2 - x1)
        for number, (x1, y1) in enumerate(points)
        for x2, y2 in points[number + 1 :]
        if x2 != x1
    ]
    return statistics.median(slopes) if slopes else 0.0


def slope_of(name: str, unit: str, points: Sequence[tuple[float, float]], bound: Bound) -> Slope:
    """Return the slope of points (seconds, value)."""
    level = statistics.median(value for _, value in points) if points else 0.0
    per_s = theil_sen(points)
    window_s = points[-1][0] - points[0][0] if points else 0.0
    return Slope(name, unit, level, per_s * 3600, per_s * window_s, bound.of(level), len(points))
