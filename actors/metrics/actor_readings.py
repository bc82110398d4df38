"""What a scrape shows of all actors, by their kinds: the names of their classes."""

from collections.abc import Iterator

from actors.metrics import catalogue
from actors.metrics.meter import Reading
from actors.runtime.living import LivingActors


def actor_readings(living: LivingActors) -> Iterator[Reading]:
    """Yield it, in the scrape's thread. No actor is asked: `living` has watched them."""
    kinds = set()
    for state in living.states():
        kind = (state.kind,)
        kinds.add(state.kind)
        yield catalogue.ACTORS, kind, 1
        yield catalogue.INBOX, kind, state.inbox_length
        yield catalogue.INBOX_LARGEST, kind, state.inbox_length
        yield catalogue.INBOX_AGE, kind, state.waiting_s
        yield catalogue.HANDLING, kind, state.handling_s
    deaths, restarts = living.deaths, living.restarts
    for name in sorted(kinds | deaths.keys() | restarts.keys()):
        yield catalogue.DEATHS, (name,), deaths.get(name, 0)
        yield catalogue.RESTARTS, (name,), restarts.get(name, 0)
