"""Updates for tests of what people see, in the shape in which a hub sends them."""

import itertools
from typing import Any

from claudehub.client.reading import update_of
from claudehub.client.updates import PermissionRequest, Update
from claudehub.show.screen import Screen
from claudehub.show.transcript import Transcript

_NUMBERS = itertools.count(1)


def update(kind: str, data: dict[str, Any], *, second: float = 0, execution: str = "e") -> Update:
    """Return an update as the client library gives it. `second` is in the minute of 08:14 UTC."""
    raw = {
        "project_id": "site",
        "update_type": kind,
        "data": data,
        "timestamp": f"2026-11-23T08:14:{second:09.6f}Z",
        "seq": next(_NUMBERS),
        "execution_id": execution,
    }
    return update_of(raw, None)


def line(second: float = 0, execution: str = "e", **fields: Any) -> Update:
    return update("claude", fields, second=second, execution=execution)


def said(text: str, message_id: str = "m", **fields: Any) -> Update:
    block = {"type": "text", "text": text}
    return line(type="assistant", message={"id": message_id, "content": [block]}, **fields)


def use(
    tool: str,
    tool_input: dict[str, Any],
    tool_use_id: str = "t",
    second: float = 0,
    parent: str | None = None,
) -> Update:
    block = {"type": "tool_use", "id": tool_use_id, "name": tool, "input": tool_input}
    message = {"id": "m-" + tool_use_id, "content": [block]}
    return line(second, type="assistant", message=message, parent_tool_use_id=parent)


def outcome_of(
    content: Any,
    tool_use_id: str = "t",
    is_error: bool = False,
    second: float = 0,
    **fields: Any,
) -> Update:
    block = {
        "type": "tool_result",
        "tool_use_id": tool_use_id,
        "content": content,
        "is_error": is_error,
    }
    return line(second, type="user", message={"role": "user", "content": [block]}, **fields)


def delta(event: dict[str, Any], **fields: Any) -> Update:
    return update("claude_delta", {"type": "stream_event", "event": event, **fields})


def deltas(*texts: str, message_id: str = "m", **fields: Any) -> list[Update]:
    """Return the partial output of one text block, from its beginning."""
    pieces = [{"type": "text_delta", "text": text} for text in texts]
    return [
        delta({"type": "message_start", "message": {"id": message_id or None}}, **fields),
        delta({"type": "content_block_start", "index": 0}, **fields),
        *(delta({"type": "content_block_delta", "delta": piece}, **fields) for piece in pieces),
    ]


def request(
    tool: str, tool_input: Any, permission_id: str = "p1", **fields: Any
) -> PermissionRequest:
    data = {
        "permission_id": permission_id,
        "execution_id": "e",
        "tool": tool,
        "input": tool_input,
        "description": None,
        "suggestions": [],
        "blocked_path": None,
        **fields,
    }
    found = update("permission_request", data)
    assert isinstance(found, PermissionRequest)
    return found


def resolved(by: str, decision: str = "allow", permission_id: str = "p1", **more: Any) -> Update:
    data = {"permission_id": permission_id, "decision": decision, "by": by}
    return update("permission_resolved", data, **more)


def finished(outcome: str = "success", **fields: Any) -> Update:
    data = {
        "execution_id": "e",
        "outcome": outcome,
        "result": None,
        "session_id": "s",
        "exit_code": None,
        "stderr": "",
        "duration_ms": 1500,
        "cost_usd": 0.25,
        **fields,
    }
    return update("execution_finished", data)


def shown(*updates: Update, columns: int | None = None, **options: Any) -> str:
    """Return what a transcript writes: into a pipe, or to a terminal without colours."""
    written: list[str] = []
    width = None if columns is None else lambda: columns
    screen = Screen(written.append, columns=width)
    transcript = Transcript(screen, **options)
    for each in updates:
        transcript.show(each)
    transcript.close()
    return "".join(written)
