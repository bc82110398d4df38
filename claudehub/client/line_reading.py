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


def text_of(content: Any) -> str:
    """Return the text of content blocks; a block without text shows its kind."""
    if isinstance(content, str):
        return content
    blocks = [block for block in content or () if isinstance(block, dict)]
    return "\n".join(str(block.get("text") or f"({block.get('type')})") for block in blocks)


def claude_line(facts: Facts, line: _Data) -> Update:
    """Return a line by its kind; one of another shape is a plain ClaudeLine."""
    kind = line["type"]
    maker = _SYSTEM_LINES.get(line["subtype"]) if kind == "system" else _LINES.get(kind)
    if maker is not None:
        try:
            return maker(facts, line)
        except (KeyError, TypeError, AttributeError, ValueError):
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
