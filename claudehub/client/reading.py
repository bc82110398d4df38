"""Make values of what a hub sends. What does not have the expected shape becomes a plain Update:
a newer hub must not break an older client."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from claudehub.client.line_reading import (
    Facts,
    checked,
    claude_line,
    is_number,
    is_object,
    is_string,
    maybe,
    text_of,
)
from claudehub.client.position import Position
from claudehub.client.updates import (
    ClaudeDelta,
    ExecutionFinished,
    ExecutionQueued,
    ExecutionStarted,
    FilesChanged,
    Gap,
    HistoryGone,
    OutputText,
    PermissionRequest,
    PermissionResolved,
    ProjectChanged,
    ProjectDeleted,
    ProjectInfo,
    Prompt,
    QueuedPrompt,
    SessionReset,
    Status,
    Update,
)

_Data = Mapping[str, Any]


def update_of(raw: Mapping[str, Any], position: Position | None) -> Update:
    """Return the payload of an update as a value. `position` is where its reader is behind it."""
    data = raw.get("data")
    if not isinstance(data, dict):
        data = {}
    execution_id = raw.get("execution_id") or data.get("execution_id")
    if not isinstance(execution_id, str):
        execution_id = None
    facts: Facts = (
        raw["project_id"],
        raw.get("seq"),
        _timestamp(raw.get("timestamp")),
        execution_id,
        position,
        raw,
    )
    try:
        maker = _MAKERS.get(raw["update_type"])
        if maker is not None:
            return checked(maker(facts, data), _CHECKS)
    except (KeyError, TypeError, AttributeError, ValueError):
        pass  # not the shape of this version: the reader gets it as it is
    return Update(*facts)


def _timestamp(value: Any) -> str:
    """Return a time as it came, or nothing if it is none."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return ""
    return str(value)


def project_info(raw: Mapping[str, Any]) -> ProjectInfo:
    """Return the hub's `project` object as a value."""
    queue = tuple(
        QueuedPrompt(entry["execution_id"], entry["prompt"], entry["client_id"])
        for entry in raw.get("queue") or ()
    )
    return ProjectInfo(
        raw["project_id"],
        raw["name"],
        raw["path"],
        raw["status"],
        raw.get("session_id"),
        raw.get("execution_id"),
        queue,
        tuple(raw.get("pending_permissions") or ()),
        raw.get("subscribers") or 0,
        raw.get("first_seq") or 1,
        raw.get("last_seq") or 0,
        raw.get("created_at") or "",
        raw.get("last_active") or "",
        bool(raw.get("trusted")),
        tuple(raw.get("untrusted_files") or ()),
        raw,
    )


def waiting_requests(info: ProjectInfo) -> list[PermissionRequest]:
    """Return what waits for an answer, as the updates that it came with. What a newer hub describes
    in another way is left out."""
    found = (
        update_of({"project_id": info.id, "update_type": "permission_request", "data": data}, None)
        for data in info.pending_permissions
    )
    return [update for update in found if isinstance(update, PermissionRequest)]


def history_gone(project_id: str, details: Mapping[str, Any]) -> HistoryGone:
    """Return what stands in the place of updates that the log no longer holds."""
    log_id, first, last = details["log_id"], details["first_seq"], details["last_seq"]
    raw = {"project_id": project_id, "update_type": "history_gone", "data": details}
    position = Position(log_id, first - 1)
    return HistoryGone(project_id, None, "", None, position, raw, log_id, first, last)


def changed(project: Mapping[str, Any]) -> ProjectChanged:
    """Return a project of a list as the update that would tell of it."""
    raw = {
        "project_id": project["project_id"],
        "update_type": "project_changed",
        "data": {"project": project},
        "timestamp": project.get("last_active", ""),
    }
    return ProjectChanged(
        raw["project_id"], None, raw["timestamp"], None, None, raw, project_info(project)
    )


def deleted(project_id: str) -> ProjectDeleted:
    """Return what tells that a project was deleted while this client was away."""
    raw = {"project_id": project_id, "update_type": "project_deleted", "data": {"by": None}}
    return ProjectDeleted(project_id, None, "", None, None, raw, None)


def _prompt(facts: Facts, data: _Data) -> Update:
    text = data.get("prompt")
    if text is None:
        text = text_of(data["content"])
    return Prompt(*facts, text, data.get("key"), data["client_id"], data.get("user"))


def _delta(facts: Facts, data: _Data) -> Update:
    event = data.get("event") or {}
    delta = event.get("delta") or {}
    text = delta.get("text", "") if delta.get("type") == "text_delta" else ""
    message_id = (event.get("message") or {}).get("id") or data.get("api_message_id")
    return ClaudeDelta(*facts, text, message_id)


def _permission_request(facts: Facts, data: _Data) -> Update:
    return PermissionRequest(
        *facts,
        data["permission_id"],
        data["tool"],
        data.get("input") or {},
        data.get("description"),
        data.get("suggestions") or [],
        data.get("blocked_path"),
        data.get("tool_use_id"),
        data.get("reason"),
    )


def _finished(facts: Facts, data: _Data) -> Update:
    return ExecutionFinished(
        *facts,
        data["outcome"],
        data.get("result"),
        data.get("session_id"),
        data.get("exit_code"),
        data.get("stderr") or "",
        data.get("duration_ms") or 0,
        data.get("cost_usd"),
    )


_MAKERS: dict[str, Callable[[Facts, _Data], Update]] = {
    "prompt": _prompt,
    "execution_queued": lambda f, d: ExecutionQueued(*f, d["position"]),
    "execution_started": lambda f, d: ExecutionStarted(
        *f, d.get("session_id"), d.get("origin", "prompt")
    ),
    "claude": claude_line,
    "claude_delta": _delta,
    "claude_text": lambda f, d: OutputText(*f, d["text"], bool(d.get("truncated"))),
    "permission_request": _permission_request,
    "permission_resolved": lambda f, d: PermissionResolved(
        *f, d["permission_id"], d["decision"], d["by"]
    ),
    "session_reset": lambda f, d: SessionReset(*f, d.get("old_session_id"), d["reason"]),
    "execution_finished": _finished,
    "files_changed": lambda f, d: FilesChanged(*f, d["paths"], bool(d.get("truncated"))),
    "status": lambda f, d: Status(*f, d["status"]),
    "gap": lambda f, d: Gap(*f, d["first_seq"], d["last_seq"]),
    "project_changed": lambda f, d: ProjectChanged(*f, project_info(d["project"])),
    "project_deleted": lambda f, d: ProjectDeleted(*f, d.get("by")),
}
_maybe_string = maybe(is_string)
# What the classes of updates.py promise, as far as whoever shows them relies on it.
_CHECKS: dict[type, dict[str, Callable[[Any], bool]]] = {
    Prompt: {
        "text": is_string,
        "key": _maybe_string,
        "client_id": is_string,
        "user": _maybe_string,
    },
    ExecutionQueued: {"queue_position": is_number},
    ExecutionStarted: {"session_id": _maybe_string, "origin": is_string},
    ClaudeDelta: {"text": is_string, "message_id": _maybe_string},
    OutputText: {"text": is_string},
    PermissionRequest: {
        "permission_id": is_string,
        "tool": is_string,
        "input": is_object,
        "suggestions": lambda value: isinstance(value, list),
        "tool_use_id": _maybe_string,
    },
    PermissionResolved: {"permission_id": is_string, "decision": is_string, "by": is_string},
    SessionReset: {"old_session_id": _maybe_string, "reason": is_string},
    ExecutionFinished: {
        "outcome": is_string,
        "result": _maybe_string,
        "session_id": _maybe_string,
        "exit_code": maybe(is_number),
        "stderr": is_string,
        "duration_ms": is_number,
        "cost_usd": maybe(is_number),
    },
    FilesChanged: {"paths": lambda value: isinstance(value, list)},
    Status: {"status": is_string},
    Gap: {"first_seq": is_number, "last_seq": is_number},
    ProjectDeleted: {"by": _maybe_string},
}
