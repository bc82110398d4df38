"""Which actors run, what each does at present, and how often actors and threads have died.

An actor pays two assignments and one addition for a message, and reads no clock. Times come from
`look`, which somebody calls once a second: they are exact to the time between two looks. Any thread
may ask.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# Of one actor so many arrivals are remembered. With more, the ages of messages that have come last
# are taken for younger than they are.
ARRIVALS_MAX = 64


class Observed(Protocol):
    """An actor, as it is seen from here. `handling` is the type of the message that it handles,
    None while it waits; `handled` counts the messages that it has finished."""

    actor_urn: str
    handling: type | None
    handled: int

    def inbox_length(self) -> int:
        """Return how many messages wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorState:
    """What one actor does. `kind` is its class. `handling` is the type of the message that it has
    been handling for `handling_s` seconds, None if it waits. The oldest of its `inbox_length`
    messages has waited for `waiting_s` seconds; 0 if none waits."""

    kind: str
    name: str
    handled: int
    handling: str | None
    handling_s: float
    inbox_length: int
    waiting_s: float


@dataclass(slots=True)
class _Seen:
    """What the looks have found of one actor. `arrivals`: by a time, so many messages had come."""

    handled: int = -1
    since_s: float = 0.0
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)


class LivingActors:
    """The actors of this process. pykka's registry has an actor until its release begins. Here it
    stays until the release is over and a death is logged. The lock guards the counts."""

    def __init__(self) -> None:
        self._seen: dict[Observed, _Seen] = {}
        self._looked_s = 0.0
        self._lock = threading.Lock()
        self._left = threading.Condition()
        self._deaths: Counter[str] = Counter()
        self._restarts: Counter[str] = Counter()

    # -- who lives ---------------------------------------------------------------------------

    def entered(self, actor: Observed) -> None:
        self._seen[actor] = _Seen()

    def left(self, actor: Observed) -> None:
        with self._left:
            self._seen.pop(actor, None)
            self._left.notify_all()

    def wait_until_left(
        self, is_awaited: Callable[[Observed], bool], timeout_s: float
    ) -> list[str]:
        """Wait until all of these have left; return the names of those that have not."""

        with self._left:
            self._left.wait_for(lambda: not any(map(is_awaited, self._seen.copy())), timeout_s)
            return [str(actor) for actor in self._seen.copy() if is_awaited(actor)]

    def look(self, now_s: float) -> None:
        """Note what every actor does at a monotonic time."""
        self._looked_s = now_s
        for actor, seen in self._seen.copy().items():
            handled, waiting = actor.handled, actor.inbox_length()
            if actor.handling is None:
                seen.handled = -1
            elif handled != seen.handled:
                seen.handled, seen.since_s = handled, now_s
            arrivals = seen.arrivals
            # What is being handled has left the inbox.
            taken = handled + (actor.handling is not None)
            while arrivals and arrivals[0][1] <= taken:
                arrivals.popleft()
            arrived = taken + waiting
            if waiting and len(arrivals) < ARRIVALS_MAX and _is_news(arrivals, arrived):
                arrivals.append((now_s, arrived))

    def states(self) -> list[ActorState]:
        """Return what every actor does; times are those of the last look."""
        return [self._state(actor, seen) for actor, seen in self._seen.copy().items()]

    def _state(self, actor: Observed, seen: _Seen) -> ActorState:
        handling, now_s = actor.handling, self._looked_s
        is_same = handling is not None and seen.handled == actor.handled
        arrivals = list(seen.arrivals)
        waiting = actor.inbox_length()
        return ActorState(
            kind=type(actor).__name__,
            name=str(actor),
            handled=actor.handled,
            handling=None if handling is None else handling.__name__,
            handling_s=max(0.0, now_s - seen.since_s) if is_same else 0.0,
            inbox_length=waiting,
            waiting_s=max(0.0, now_s - arrivals[0][0]) if waiting and arrivals else 0.0,
        )

    # -- who has died ------------------------------------------------------------------------

    def died(self, kind: str) -> None:
        """Count the death of an actor or a thread of that kind."""
        with self._lock:
            self._deaths[kind] += 1

    def restarted(self, kind: str) -> None:
        """Count that another actor or thread of that kind has been started in place of a dead
        one."""
        with self._lock:
            self._restarts[kind] += 1

    @property
    def deaths(self) -> Mapping[str, int]:
        """Return how many have died, by kind."""
        with self._lock:
            return dict(self._deaths)

    @property
    def restarts(self) -> Mapping[str, int]:
        """Return how many have been started in place of dead ones, by kind."""
        with self._lock:
            return dict(self._restarts)


def _is_news(arrivals: deque[tuple[float, int]], arrived: int) -> bool:
    return not arrivals or arrived > arrivals[-1][1]


# One for the process, as pykka's own registry.
LIVING = LivingActors()
