"""What a program says to a question of the agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claudehub.client.errors import RequestRefused

# Somebody else was faster, or the question has run out.
TOO_LATE = frozenset({"already_answered", "permission_not_found"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What `on_permission` may return in place of `"allow"` or `"deny"`: the parameters of
    `Project.answer`."""

    decision: str
    message: str | None = None
    answers: Mapping[str, str] | None = None
    updated_input: Mapping[str, Any] | None = None
    remember: bool = False


def answer_of(said: "str | Answer | None") -> Answer | None:
    """Return what `on_permission` said as an Answer; None leaves the question to others."""
    return Answer(said) if isinstance(said, str) else said


def is_too_late(error: RequestRefused) -> bool:
    return error.code in TOO_LATE
