"""Requests of version 0, read as ours.

A request has `type`, `data` and perhaps `project_id` beside them, and no id: replies come in the
order of the requests. A request that names no project means the current one of its connection; it
has NO_PROJECT until the connection's Replier puts that in (replies.py).
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol import codec, requests
from protocol.errors import ErrorCode, RequestRefused, WireError, invalid_field
from protocol.fields import parse_time
from protocol.requests import (
    HISTORY_LIMIT_DEFAULT,
    HISTORY_LIMIT_MAX,
    USUAL,
    Body,
    Request,
    Terms,
)
from protocol.updates import UpdateType

NO_PROJECT = ""
# What the older server did at most one of at a time, and answered behind what everybody sees of it.
_EXCLUSIVE = Terms(only_if_idle=True, behind_updates=True)
_BEHIND = Terms(behind_updates=True)
# The older web page takes the next `project_state` for the answer, whatever project it is about.
_ALONE = Terms(holds_updates=True)
# Options of version 0 that are ours by the same name.
SAME_OPTIONS = (
    "model",
    "fallback_model",
    "permission_mode",
    "append_system_prompt",
    "allowed_tools",
    "disallowed_tools",
    "add_dirs",
)
# Options that have no counterpart: set, they are refused; empty or false, they are ignored.
FOREIGN_OPTIONS = ("mcp_config", "strict_mcp_config")
SKIP_PERMISSIONS = "dangerously_skip_permissions"
# The records that a `direction` of get_messages shows; any other direction shows none.
DIRECTIONS = {
    "": (UpdateType.PROMPT, UpdateType.CLAUDE),
    "all": (UpdateType.PROMPT, UpdateType.CLAUDE),
    "client": (UpdateType.PROMPT,),
    "claude": (UpdateType.CLAUDE,),
}

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request0(Request):
    """A request of version 0. `since` is that of get_messages, as it was sent."""

    since: str = ""


def decode(text: str) -> Request0:
    """Return the request in a client's message. Raise Undecodable with the answer to it."""
    try:
        message = codec.loads(text)
    except ValueError as error:
        refusal = RequestRefused(ErrorCode.INVALID_JSON, f"the message is not JSON: {error}")
        raise codec.Undecodable(refusal) from None
    if not isinstance(message, dict):
        refusal = RequestRefused(ErrorCode.INVALID_MESSAGE, "a message must be a JSON object")
        raise codec.Undecodable(refusal)
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        problem = invalid_field("type", "must be a string that names the request")
        raise codec.Undecodable(problem)
    project_id, data = message.get("project_id"), message.get("data")
    try:
        return _request(kind, project_id, data)
    except WireError as error:
        both = (data.get("project_id") if isinstance(data, dict) else None, project_id)
        named = next((each for each in both if isinstance(each, str) and each), None)
        raise codec.Undecodable(error, kind=kind[:128], project_id=named) from None


def _request(kind: str, project_id: Any, data: Any) -> Request0:
    reader = _READERS.get(kind)
    if reader is None:
        raise RequestRefused(ErrorCode.UNKNOWN_TYPE, f"unknown message type: {kind[:128]}")
    if project_id is not None and not isinstance(project_id, str):
        raise invalid_field("project_id", "must be a string")
    if kind not in _WITHOUT_DATA:
        data = {} if data is None else data
        if not isinstance(data, dict):
            raise invalid_field("data", "must be an object")
        named = _text(data, "project_id") or project_id
        data = {**data, "project_id": named or NO_PROJECT}
    body = reader(data)
    since = _text(data, "since") if kind == "get_messages" else ""
    return Request0(kind, None, body, _TERMS.get(kind, USUAL), since)


def _text(data: Data, name: str, default: str = "") -> str:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid_field(f"data.{name}", "must be a string")
    return value


def _whole_number(data: Data, name: str) -> int:
    value = data.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_field(f"data.{name}", "must be a whole number")
    return value


def _create(data: Data) -> Body:
    path = _text(data, "path")
    if not path:
        raise invalid_field("data.path", "is missing")
    fields = {"path": path, "project_id": str(uuid.uuid4())}
    return codec.validated(requests.ProjectCreate, fields)


def _execute(data: Data) -> Body:
    prompt = _text(data, "prompt")
    if not prompt:
        raise invalid_field("data.prompt", "is missing")
    fields = {**_of_project(data), "prompt": prompt, "options": _options(data.get("options"))}
    return codec.validated(requests.Execute, fields)


def _options(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid_field("data.options", "must be an object")
    for name in FOREIGN_OPTIONS:
        if given.get(name):
            raise invalid_field(f"data.options.{name}", "this server has no such option")
    options = {name: given[name] for name in SAME_OPTIONS if given.get(name) is not None}
    skip = given.get(SKIP_PERMISSIONS)
    if skip is not None and not isinstance(skip, bool):
        raise invalid_field(f"data.options.{SKIP_PERMISSIONS}", "must be true or false")
    if skip:
        options["permission_mode"] = "bypassPermissions"
    return options


def _get_messages(data: Data) -> Body:
    offset, limit = _whole_number(data, "offset"), _whole_number(data, "limit")
    if offset < 0:
        raise invalid_field("data.offset", "must be 0 or more")
    types = DIRECTIONS.get(_text(data, "direction"), ())
    if since := _text(data, "since"):
        try:
            parse_time(since)
        except ValueError as error:
            raise invalid_field("data.since", str(error)) from None
    return codec.validated(
        requests.GetRecords,
        {
            **_of_project(data),
            "update_types": tuple(map(str, types)),
            "after": since or None,
            "offset": offset,
            "limit": limit if 0 < limit <= HISTORY_LIMIT_MAX else HISTORY_LIMIT_DEFAULT,
        },
    )


def _of_project(data: Data) -> dict[str, Any]:
    return {"project_id": data["project_id"]}


_READERS: dict[str, Callable[[Any], Body]] = {
    "project_create": _create,
    "project_list": lambda _: requests.ProjectList(),
    "project_join": lambda data: codec.validated(requests.ProjectJoin, _of_project(data)),
    "project_leave": lambda data: codec.validated(requests.ProjectLeave, _of_project(data)),
    "execute": _execute,
    "agent_kill": lambda data: codec.validated(requests.AgentKill, _of_project(data)),
    "agent_new_session": lambda data: codec.validated(requests.AgentNewSession, _of_project(data)),
    "project_delete": lambda data: codec.validated(requests.ProjectDelete, _of_project(data)),
    "get_messages": _get_messages,
    "health_check": lambda _: requests.MachineCheck(),
}
_WITHOUT_DATA = ("project_list", "health_check")
_TERMS = {
    "project_create": _ALONE,
    "execute": _EXCLUSIVE,
    "agent_kill": _BEHIND,
    "agent_new_session": _EXCLUSIVE,
    "project_delete": _EXCLUSIVE,
}
