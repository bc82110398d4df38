"""The lines that the hub writes to the CLI's standard input, newline included. Pure."""

from collections.abc import Sequence
from typing import Any

from protocol.claude.settings import Rules
from protocol.codec import dumps


def user_line(content: str | Sequence[dict[str, Any]], uuid: str) -> bytes:
    """A prompt, as text or as content blocks. `uuid` must be fresh: a repeated one is dropped
    without a word (both versions)."""
    line = {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "session_id": "default",
        "uuid": uuid,
    }
    return dumps(line) + b"\n"


def end_session_line(request_id: str) -> bytes:
    """Asks the CLI to end at once, background work included."""
    return _request(request_id, "end_session")


def interrupt_line(request_id: str) -> bytes:
    """Asks the CLI to stop the turn, or to take back a line that waits for it (2.1.331; an older
    one starts it and stops it)."""
    return _request(request_id, "interrupt", cancel_queued=True)


def set_model_line(request_id: str, model: str | None) -> bytes:
    """None: the default one. Any name is accepted; a wrong one fails at the API."""
    return _request(request_id, "set_model", **({} if model is None else {"model": model}))


def set_mode_line(request_id: str, mode: str) -> bytes:
    """2.1.197 accepts any word: to be checked before."""
    return _request(request_id, "set_permission_mode", mode=mode)


def permissions_line(request_id: str, rules: Rules) -> bytes:
    """Rules in place of those that were sent before; none take them back."""
    setting = rules.as_setting() if rules else None
    return _request(request_id, "apply_flag_settings", settings={"permissions": setting})


def _request(request_id: str, subtype: str, **fields: Any) -> bytes:
    request = {"subtype": subtype, **fields}
    line = {"type": "control_request", "request_id": request_id, "request": request}
    return dumps(line) + b"\n"


def allow_tool_line(
    request_id: str, tool_input: dict[str, Any], permissions: Sequence[dict[str, Any]]
) -> bytes:
    """The answer to can_use_tool; `permissions` are not asked for again."""
    answer: dict[str, Any] = {"behavior": "allow", "updatedInput": tool_input}
    if permissions:
        answer["updatedPermissions"] = list(permissions)
    return _response(request_id, answer)


def deny_tool_line(request_id: str, message: str) -> bytes:
    """The tool fails with that text, and the turn goes on."""
    return _response(request_id, {"behavior": "deny", "message": message})


def _response(request_id: str, answer: dict[str, Any]) -> bytes:
    response = {"subtype": "success", "request_id": request_id, "response": answer}
    return dumps({"type": "control_response", "response": response}) + b"\n"


def refuse_control_line(request_id: str, why: str = "not supported by this host") -> bytes:
    """The answer to a control request that this hub does not take."""
    response = {"subtype": "error", "request_id": request_id, "error": why}
    return dumps({"type": "control_response", "response": response}) + b"\n"
