"""Where a message for a project goes: on one machine, a dict that the Hub fills.

A Client gets a port from the directory and never learns what stands behind it.
"""

from typing import Protocol

from actors import messages
from actors.messages import ProjectMessage
from actors.runtime.base import tell_if_alive
from actors.runtime.refs import Ref
from protocol import requests
from protocol.errors import HubFault


class ProjectPort(Protocol):
    """Where messages for one project go."""

    def tell(self, message: ProjectMessage) -> bool:
        """Return False if the project cannot be reached just now."""


class Directory(Protocol):
    """What a Client knows of the projects."""

    def find(self, project_id: str) -> ProjectPort | None:
        """Return None if there is no such project."""


class LocalProject:
    """A project whose actor runs here."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def tell(self, message: ProjectMessage) -> bool:
        return tell_if_alive(self._ref, message)


class UnavailableProject:
    """A project without an actor: every request gets the same answer. With `hub`, an execute has
    the Hub try to open the project again."""

    def __init__(self, error: HubFault, hub: Ref | None = None) -> None:
        self._error = error
        self._hub = hub

    def tell(self, message: ProjectMessage) -> bool:
        if not isinstance(message, messages.ProjectRequest):
            return True
        if self._hub is not None and isinstance(message.body, requests.Execute):
            order = messages.ReviveProject(request=message, otherwise=self._error)
            if tell_if_alive(self._hub, order):
                return True
        message.reply_to.error(self._error)
        return True


class LocalDirectory:
    """The projects of this server. Only the Hub's thread writes it; any thread reads it, since each
    step is one operation on a dict."""

    def __init__(self) -> None:
        self._ports: dict[str, ProjectPort] = {}

    def find(self, project_id: str) -> ProjectPort | None:
        return self._ports.get(project_id)

    def projects(self) -> list[tuple[str, ProjectPort]]:
        return list(self._ports.items())

    def put(self, project_id: str, port: ProjectPort) -> None:
        self._ports[project_id] = port

    def remove(self, project_id: str) -> None:
        self._ports.pop(project_id, None)
