"""One connection: its requests in order, its subscriptions, its replays and its close.

`actor.py` has the inbox; the classes beside it decide without one. `outbox.py` is the write path,
the only place that sends. `subscription.py` takes the step from history to live, `watcher.py` that
from the list of all projects to their changes.
"""

from actors.client.actor import Client

__all__ = ["Client"]
