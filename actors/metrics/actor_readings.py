"""What a scrape shows of all actors, by their kinds: the names of their classes."""

from collections.abc import Iterator

from actors.metrics import catalogue
from actors.metrics.meter import Reading
from actors.runtime.living import LivingActors


def actor_readings(living: LivingActors) -> Iterator[Reading]:
    """Yield it, in the scrape's thread. No actor is asked: `living` has watched them."""
    for state in living.states():
        kind = (state.kind,)
        yield catalogue.ACTORS, kind, 1
        yield catalogue.INBOX, kind, state.inbox_length
        yield catalogue.INBOX_LARGEST, kind, state.inbox_length
        yield catalogue.INBOX_AGE, kind, state.waiting_s
        yield catalogue.HANDLING, kind, state.handling_s
    for name, count in living.deaths.items():
        yield catalogue.DEATHS, (name,), count
    for name, count in living.restarts.items():
        yield catalogue.RESTARTS, (name,), count
