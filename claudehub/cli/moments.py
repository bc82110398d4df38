"""Times as a user types them."""

import re
from datetime import UTC, datetime

import click
import durationpy

from claudehub.show.safe_text import plain

_SECONDS = re.compile(r"\d+(\.\d+)?")


def moment(text: str, now: datetime) -> str:
    """Return a time as the log writes it. Read RFC 3339, a local date, or a duration back from
    `now`. Raises ValueError."""
    try:
        found = now - durationpy.from_str(text)
    except (durationpy.DurationError, ValueError):
        try:
            found = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(
                f"{plain(text)!r} is no time; examples: 2h, 2026-11-24, 2026-11-24T08:00:00Z"
            ) from None
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class MomentType(click.ParamType[str]):
    """A time, or how long ago."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SecondsType(click.ParamType[float]):
    """A length of time: seconds, or a duration such as 5m. Gives seconds."""

    name = "duration"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if _SECONDS.fullmatch(value):
            return float(value)
        try:
            return durationpy.from_str(value).total_seconds()
        except (durationpy.DurationError, ValueError):
            self.fail(f"{plain(value)!r} is no length of time; examples: 90, 5m, 1h30m", param, ctx)


MOMENT, SECONDS = MomentType(), SecondsType()
