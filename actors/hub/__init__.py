"""The root of the tree: projects and clients, and their ends."""

from actors.hub.actor import Hub, HubSettings

__all__ = ["Hub", "HubSettings"]
