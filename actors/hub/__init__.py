"""The root of the tree: projects and clients, and their ends.

`actor.py` is the mailbox; `registry.py` which projects there are and which may be made;
`gathering.py` one answer from many projects; `opening.py` the metadata of projects that begin;
`stopping.py` the order in which everything ends.
"""

from actors.hub.actor import Hub, HubSettings

__all__ = ["Hub", "HubSettings"]
