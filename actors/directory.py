"""Whom to tell about a project: on one machine, a dict that the Hub fills."""

from actors import messages
from actors.messages import ProjectMessage, Ref
from actors.ports import ProjectPort
from actors.runtime.mailbox import tell_if_alive
from protocol.errors import HubFault


class LocalProject:
    """A project whose actor runs here."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def tell(self, message: ProjectMessage) -> bool:
        return tell_if_alive(self._ref, message)


class UnavailableProject:
    """A project that nobody works on: every request gets the same answer."""

    def __init__(self, error: HubFault) -> None:
        self._error = error

    def tell(self, message: ProjectMessage) -> bool:
        if isinstance(message, messages.ProjectRequest):
            message.reply_to.error(self._error)
        return True


class LocalDirectory:
    """Written by the Hub's thread, read by any: each step is one operation on a dict."""

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
