"""What a key may ask for. No other place decides it."""

from dataclasses import dataclass

from protocol import requests
from protocol.errors import ErrorCode, RequestRefused

# What a read-only key may ask for. A ping keeps a connection open and asks for nothing.
READ_ONLY = (
    requests.GetMessages,
    requests.GetRecords,
    requests.Ping,
    requests.ProjectJoin,
    requests.ProjectLeave,
    requests.ProjectList,
    requests.Unwatch,
    requests.Watch,
)
# What concerns all projects, and so is not for a key that is bound to some. (A list shows only
# those, and so does `watch`.)
OF_ALL_PROJECTS = (requests.HealthCheck, requests.ProjectCreate)


@dataclass(frozen=True, slots=True)
class Rights:
    """`projects` are the ids that the key may see; None: all projects."""

    read_only: bool = False
    projects: frozenset[str] | None = None

    def check(self, body: requests.Body) -> None:
        """Raise RequestRefused (`forbidden`) if the key may not ask for that."""
        if self.read_only and not isinstance(body, READ_ONLY):
            raise _forbidden("this key may only read")
        if self.projects is None:
            return
        if isinstance(body, OF_ALL_PROJECTS):
            raise _forbidden("this key is bound to some projects, and this is about all")
        if isinstance(body, requests.ProjectTrust) and body.trusted:
            raise _forbidden("this key is bound to some projects, and may not call one trusted")
        if isinstance(body, requests.Execute) and body.options.add_dirs:
            raise _forbidden("this key is bound to some projects, and add_dirs leads out of them")
        project_id = getattr(body, "project_id", None)
        if project_id is not None and not self.sees(project_id):
            # The answer does not tell whether the project exists.
            raise _forbidden("this key is bound to other projects")

    def sees(self, project_id: str) -> bool:
        return self.projects is None or project_id in self.projects


UNLIMITED = Rights()


def _forbidden(message: str) -> RequestRefused:
    return RequestRefused(
        ErrorCode.FORBIDDEN, f"{message}; the owner of the hub gives rights (AUTHORIZED_KEYS)"
    )
