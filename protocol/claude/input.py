"""The lines that the hub writes to the CLI's standard input, with their newlines. Pure."""

from collections.abc import Sequence
from typing import Any

from protocol.claude.settings import Rules
from protocol.codec import dumps


def user_line(content: str | Sequence[dict[str, Any]], uuid: str) -> bytes:
    """Return a prompt: text, or content blocks. `uuid` must be new: both versions silently drop a
    repeated one."""
    line = {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "session_id": "default",
        "uuid": uuid,
    }
    return dumps(line) + b"\n"


def end_session_line(request_id: str) -> bytes:
    """Ask the CLI to end at once, with its background work."""
    return _request(request_id, "end_session")


def interrupt_line(request_id: str) -> bytes:
    """Ask the CLI to stop the turn, or to take back a line that waits for it. (An older CLI than
    2.1.331 starts the line and stops it.)"""
    return _request(request_id, "interrupt", cancel_queued=True)


def set_model_line(request_id: str, model: str | None) -> bytes:
    """Ask for a model; None: the default model. The CLI accepts any name; a wrong one fails at the
    API."""
    return _request(request_id, "set_model", **({} if model is None else {"model": model}))


def set_mode_line(request_id: str, mode: str) -> bytes:
    """Ask for a permission mode. 2.1.197 accepts any word, so the caller checks it."""
    return _request(request_id, "set_permission_mode", mode=mode)


def permissions_line(request_id: str, rules: Rules) -> bytes:
    """Send rules in place of those that were sent before; empty rules take them back."""
    setting = rules.as_setting() if rules else None
    return _request(request_id, "apply_flag_settings", settings={"permissions": setting})


def _request(request_id: str, subtype: str, **fields: Any) -> bytes:
    request = {"subtype": subtype, **fields}
    line = {"type": "control_request", "request_id": request_id, "request": request}
    return dumps(line) + b"\n"


def allow_tool_line(
    request_id: str, tool_input: dict[str, Any], permissions: Sequence[dict[str, Any]]
) -> bytes:
    """Answer can_use_tool with yes; the CLI does not ask for `permissions` again."""
    answer: dict[str, Any] = {"behavior": "allow", "updatedInput": tool_input}
    if permissions:
        answer["updatedPermissions"] = list(permissions)
    return _response(request_id, answer)


def deny_tool_line(request_id: str, message: str) -> bytes:
    """Answer can_use_tool with no: the tool fails with that text, and the turn continues."""
    return _response(request_id, {"behavior": "deny", "message": message})


def _response(request_id: str, answer: dict[str, Any]) -> bytes:
    response = {"subtype": "success", "request_id": request_id, "response": answer}
    return dumps({"type": "control_response", "response": response}) + b"\n"


def refuse_control_line(request_id: str, why: str = "not supported by this host") -> bytes:
    """Refuse a control request that this hub does not support."""
    response = {"subtype": "error", "request_id": request_id, "error": why}
    return dumps({"type": "control_response", "response": response}) + b"\n"
