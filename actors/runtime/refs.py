"""What actors know of each other: a reference, and the notice that a child has died."""

import enum
from dataclasses import dataclass
from typing import Any

import pykka

Ref = pykka.ActorRef[Any]


class Phase(enum.StrEnum):
    """Where in its life an actor has died."""

    START = "start"
    HANDLER = "handler"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorDied:
    """To a parent: a child failed, at its start (`started` is False) or later. `last_message` is
    the type of the message that it handled then."""

    child: Ref
    name: str
    reason: str
    started: bool
    phase: Phase = Phase.HANDLER
    last_message: str = ""
