"""What actors know of each other: a reference, and the notice that a child has died."""

from dataclasses import dataclass
from typing import Any

import pykka

Ref = pykka.ActorRef[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorDied:
    """To a parent: a child failed, at its start (`started` is False) or later."""

    child: Ref
    name: str
    reason: str
    started: bool
