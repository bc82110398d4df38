"""What a hub says about itself in its `welcome`, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

HEARTBEAT_USUAL_S = 30.0
# A hub that pings more rarely is taken for dead too early, and joined again: nothing is lost.
HEARTBEAT_MAX_S = 24 * 3600.0
_NO_LIMIT_SAID = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Greeting:
    """The figures of a hub that the client goes by. `deprecation`: the hub will give up this
    version of the protocol; None: it will not."""

    heartbeat_s: float
    max_message_bytes: int
    max_update_bytes: int
    deprecation: str | None = None

    @classmethod
    def read(cls, welcome: Mapping[str, Any]) -> Self:
        """Read a payload. Raises ValueError for figures that no hub has."""
        if not isinstance(welcome.get("auth"), dict | None):
            raise ValueError(f"auth is {welcome['auth']!r}")
        heartbeat_s = welcome.get("heartbeat_seconds") or HEARTBEAT_USUAL_S
        if not isinstance(heartbeat_s, int | float) or not 0 < heartbeat_s < math.inf:
            raise ValueError(f"heartbeat_seconds is {heartbeat_s!r}")
        return cls(
            min(heartbeat_s, HEARTBEAT_MAX_S),
            _limit(welcome, "max_message_bytes"),
            _limit(welcome, "max_update_bytes"),
            note if isinstance(note := welcome.get("deprecation"), str) else None,
        )


def _limit(welcome: Mapping[str, Any], name: str) -> int:
    limit = welcome.get(name) or _NO_LIMIT_SAID
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"{name} is {limit!r}")
    return limit
