"""The frames of version 0, and the objects in them."""

from collections.abc import Mapping
from typing import Any

from protocol.codec import dumps
from protocol.updates import ProjectStatus

IDLE, EXECUTING, ERROR = "IDLE", "EXECUTING", "ERROR"
STATES = {
    ProjectStatus.IDLE: IDLE,
    ProjectStatus.EXECUTING: EXECUTING,
    ProjectStatus.ERROR: ERROR,
}


def frame(kind: str, project_id: str | None, data: Mapping[str, Any] | bytes) -> bytes:
    """Return a message of the server; `data` is an object, or its text. `project_id` is the project
    that it is about, None if it is about none."""
    about = b"" if project_id is None else b'"project_id":%b,' % dumps(project_id)
    text = data if isinstance(data, bytes) else dumps(data)
    return b'{"type":"%b",%b"data":%b}' % (kind.encode("ascii"), about, text)


def project_state(project: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of `project_state` for our `project` object."""
    session_id = project["session_id"]
    return {
        "id": project["project_id"],
        "path": project["path"],
        "state": STATES[project["status"]],
        **({} if session_id is None else {"session_id": session_id}),
        "created_at": project["created_at"],
        "last_active": project["last_active"],
    }
