"""The root of the tree: projects and clients, and their ends.

`actor.py` has the inbox; the classes beside it decide without one. `registry.py` knows the
projects, `project_actors.py` starts and ends their actors, `startup.py` opens them when the server
starts, `watchers.py` shows their changes. `draining.py` lets what runs end before a stop, and
`stopping.py` ends everything in order.
"""

from actors.hub.actor import Hub
from actors.hub.settings import MAX_UPDATE_BYTES_LEAST, HubSettings

__all__ = ["MAX_UPDATE_BYTES_LEAST", "Hub", "HubSettings"]
