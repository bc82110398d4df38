"""The hub's times: for people, and as seconds."""

import time
from datetime import datetime

from claudehub.show import words


def local_now() -> float:
    """Return the time of this machine, in seconds since 1970."""
    return time.time()


def clock(timestamp: str) -> str:
    """Return the time of day in the local time zone, or nothing for a time that is not known."""
    when = _datetime(timestamp)
    return f"{when.astimezone():%H:%M}" if when is not None else ""


def day(timestamp: str) -> str:
    """Return the date in the local time zone."""
    when = _datetime(timestamp)
    return f"{when.astimezone():%Y-%m-%d}" if when is not None else ""


def when(timestamp: str, now_s: float) -> str:
    """Return the time of day for today, and the date for another day."""
    found = _datetime(timestamp)
    if found is None:
        return ""
    is_today = found.astimezone().date() == datetime.fromtimestamp(now_s).astimezone().date()
    return clock(timestamp) if is_today else day(timestamp)


def seconds(timestamp: str) -> float | None:
    """Return the time in seconds since 1970, or None if it is not known."""
    when = _datetime(timestamp)
    return when.timestamp() if when is not None else None


def elapsed(duration_s: float) -> str:
    """Return a duration for what still goes on: it changes once a second."""
    whole = max(int(duration_s), 0)
    return f"{whole} s" if whole < 10 else words.duration(whole)


class HubClock:
    """The present time of the hub, whose clock may differ from the one here. What has just come
    was written shortly before; the shortest delay counts."""

    def __init__(self) -> None:
        self._behind_s: float | None = None

    def saw(self, timestamp: str, local_s: float) -> None:
        """Take the timestamp of an update that has come live."""
        if (written_s := seconds(timestamp)) is not None:
            behind_s = local_s - written_s
            if self._behind_s is None or behind_s < self._behind_s:
                self._behind_s = behind_s

    def now(self, local_s: float) -> float:
        return local_s - (self._behind_s or 0.0)


def _datetime(timestamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(timestamp)
    except ValueError:
        return None
