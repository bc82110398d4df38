"""The frames of version 0, and the objects in them."""

import re
from collections.abc import Mapping
from typing import Any

from protocol.codec import dumps, loads, loads_line
from protocol.updates import ProjectStatus

IDLE, EXECUTING, ERROR = "IDLE", "EXECUTING", "ERROR"
STATES = {
    ProjectStatus.IDLE: IDLE,
    ProjectStatus.EXECUTING: EXECUTING,
    ProjectStatus.ERROR: ERROR,
}


_DATA = b'"data":'
# How usual lines of the CLI begin: reading all of a line's JSON costs as much as handing it to
# fifty subscribers.
_USUAL_LINE = re.compile(rb'\{\s*"type"\s*:\s*("(?:[^"\\]|\\.)*")')


def parts(payload: bytes) -> tuple[bytes, bytes]:
    """Return the payload of an update without its data, as an object, and its data, which comes
    last. The data is as it was stored: numbers and the order of keys are the CLI's."""
    at = payload.index(_DATA)
    return payload[:at].rstrip(b",") + b"}", payload[at + len(_DATA) : -1]


def type_of(line: bytes) -> bytes | None:
    """Return the `type` of a line of the CLI as JSON; None if it has none, or no string."""
    if usual := _USUAL_LINE.match(line):
        return usual[1]
    try:
        value = loads_line(line)
    except ValueError:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    return dumps(kind) if isinstance(kind, str) else None


def read_head(head: bytes) -> dict[str, Any]:
    """Return the fields of an update beside its data."""
    found: dict[str, Any] = loads(head)
    return found


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
