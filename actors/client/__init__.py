"""One connection: its requests in order, its subscriptions, its replays and its close.

`actor.py` is the mailbox. Beside it, without one: `outbox.py` the write path, the only place that
sends, with `backlog.py` (what waits there), `transport.py` (where it goes) and `inflater.py` (what
the peer can inflate); `subscription.py` the step from history to live;
`replay.py` and `history.py` pages of the log, with `one_reader.py` (one reader at a time);
`replies.py` answers in order; `memberships.py` which projects are joined.
"""

from actors.client.actor import Client

__all__ = ["Client"]
