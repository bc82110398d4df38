"""Make values of the CLI's lines."""

from collections.abc import Callable, Mapping
from typing import Any

from claudehub.client.lines import (
    ApiRetry,
    ClaudeLine,
    ClaudeText,
    RateLimit,
    Result,
    Thinking,
    ToolResult,
    ToolUse,
)
from claudehub.client.position import Position
from claudehub.client.updates import Update

Facts = tuple[str, int | None, str, str | None, Position | None, Mapping[str, Any]]
_Data = Mapping[str, Any]


# Beyond this no number of the protocol makes sense, and arithmetic with it may overflow.
_NUMBER_MAX = 1e15


def is_number(value: Any) -> bool:
    """Return whether the value is a number to calculate with; NaN and infinity are none."""
    return isinstance(value, int | float) and abs(value) <= _NUMBER_MAX


def is_string(value: Any) -> bool:
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def maybe(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check that None passes, too."""
    return lambda value: value is None or check(value)


def checked(update: Update, checks: Mapping[type, Mapping[str, Callable[[Any], bool]]]) -> Update:
    """Return the update. Raises TypeError where a field has not the type that its class names."""
    for name, check in checks.get(type(update), {}).items():
        if not check(getattr(update, name)):
            raise TypeError(name)
    return update


def text_of(content: Any) -> str:
    """Return the text of content blocks; a block without text shows its kind."""
    if isinstance(content, str):
        return content
    listed = content if isinstance(content, list) else ()
    blocks = [block for block in listed if isinstance(block, dict)]
    return "\n".join(str(block.get("text") or f"({block.get('type')})") for block in blocks)


def claude_line(facts: Facts, line: _Data) -> Update:
    """Return a line by its kind; one of another shape is a plain ClaudeLine."""
    kind = line["type"]
    try:
        maker = _SYSTEM_LINES.get(line["subtype"]) if kind == "system" else _LINES.get(kind)
        if maker is not None:
            return checked(maker(facts, line), _CHECKS)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        pass  # a newer CLI may write it otherwise; the line itself is all there
    return ClaudeLine(*facts, line)


def _assistant(facts: Facts, line: _Data) -> Update:
    """Return the line by what it holds. The CLI writes a line a block; of several kinds in one
    line, text counts before a tool call, and that before thoughts."""
    blocks = line["message"]["content"]
    if texts := [block["text"] for block in blocks if block["type"] == "text"]:
        return ClaudeText(*facts, line, "".join(texts))
    for block in blocks:
        if block["type"] == "tool_use":
            return ToolUse(*facts, line, block["name"], block.get("input") or {}, block["id"])
    if thoughts := [block["thinking"] for block in blocks if block["type"] == "thinking"]:
        return Thinking(*facts, line, "".join(thoughts))
    return ClaudeLine(*facts, line)


def _user(facts: Facts, line: _Data) -> Update:
    for block in line["message"]["content"]:
        if block["type"] == "tool_result":
            text, is_error = text_of(block.get("content")), bool(block.get("is_error"))
            return ToolResult(*facts, line, block["tool_use_id"], text, is_error)
    return ClaudeLine(*facts, line)


def _result(facts: Facts, line: _Data) -> Update:
    text = line.get("result") or "; ".join(line.get("errors") or ())
    return Result(*facts, line, text, bool(line.get("is_error")))


def _api_retry(facts: Facts, line: _Data) -> Update:
    delay_s = line["retry_delay_ms"] / 1000
    status, error = line.get("error_status"), line.get("error") or ""
    return ApiRetry(*facts, line, line["attempt"], line["max_retries"], delay_s, status, error)


def _rate_limit(facts: Facts, line: _Data) -> Update:
    info = line["rate_limit_info"]
    return RateLimit(*facts, line, info["status"], info.get("rateLimitType"), info.get("resetsAt"))


_LINES: dict[str, Callable[[Facts, _Data], Update]] = {
    "assistant": _assistant,
    "user": _user,
    "result": _result,
    "rate_limit_event": _rate_limit,
}
_SYSTEM_LINES: dict[str, Callable[[Facts, _Data], Update]] = {"api_retry": _api_retry}


def _is_moment(value: Any) -> bool:
    """Return whether it may be a time; one that no calendar has is not shown."""
    return value is None or isinstance(value, int | float)


_CHECKS: dict[type, dict[str, Callable[[Any], bool]]] = {
    ToolUse: {"tool": is_string, "input": is_object, "tool_use_id": is_string},
    ToolResult: {"tool_use_id": is_string},
    Result: {"text": is_string},
    ApiRetry: {
        "attempt": is_number,
        "max_retries": is_number,
        "delay_s": is_number,
        "status": maybe(is_number),
        "error": is_string,
    },
    RateLimit: {"status": is_string, "limit": maybe(is_string), "resets_at": _is_moment},
}
