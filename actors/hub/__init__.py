"""The root of the tree: projects and clients, and their ends.

`actor.py` is the mailbox; `registry.py` which projects there are and which may be made;
`nursery.py` their actors; `opening.py` the metadata of projects that begin; `gathering.py` one
answer from many projects; `health.py` the answer to health_check; `warmth.py` which processes
are kept; `stopping.py` the order in
which everything ends.
"""

from actors.hub.actor import Hub, HubSettings

__all__ = ["Hub", "HubSettings"]
