"""Updates as text for a terminal."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

_SUMMARY_LENGTH = 100
# An agent's output must not move the cursor, set the title, or show a command in another order than
# the real one (the directional controls of Unicode, CVE-2021-42574).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Remove control characters, except newline and tab."""
    return _CONTROL.sub("", text)


def shortened(text: str, length: int) -> str:
    """Return the beginning and the end, and state the length of the omitted part: nothing may hide
    behind a length that is not shown."""
    if len(text) <= length:
        return text
    head = length * 3 // 4
    left_out = len(text) - length
    return f"{text[:head]} [… {left_out} characters are not shown …] {text[head + left_out :]}"


def local_time(timestamp: str) -> str:
    """Return an update's time in the local time zone, for people."""
    return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"


def _text_of(content: Any) -> str:
    """Return the text of content blocks; a block without text shows its kind."""
    blocks = content if isinstance(content, list) else []
    return " ".join(block.get("text") or f"({block.get('type')})" for block in blocks)


class Renderer:
    """Print updates. Print partial text as it arrives, and do not repeat it with the whole message.

    `echo(text, nl)` prints. With `with_time`, each line begins with the update's local time.
    """

    def __init__(self, echo: Callable[..., Any], *, with_time: bool = False) -> None:
        self._echo = echo
        self._with_time = with_time
        self._timestamp = ""
        self._message_id: str | None = None
        self._streamed: set[str] = set()
        self._in_line = False

    def show(self, update: dict[str, Any]) -> None:  # noqa: C901 - one case a kind
        data = update["data"]
        self._timestamp = update.get("timestamp", "")
        match update["update_type"]:
            case "prompt":
                self._line(f"> {data.get('prompt') or _text_of(data.get('content'))}")
            case "claude_delta":
                self._delta(data)
            case "claude":
                self._claude(data)
            case "claude_text":
                self._line(data["text"])
            case "execution_queued":
                self._line(f"[queued, at place {data['position']}]")
            case "permission_request":
                self._line(f"[asks: {data['tool']} {str(data['input'])[:_SUMMARY_LENGTH]}]")
            case "permission_resolved":
                self._line(f"[{data['decision']}, by {data['by']}]")
            case "execution_finished":
                self._finished(data)
            case "files_changed":
                self._line(f"[changed: {', '.join(data['paths'])[:_SUMMARY_LENGTH]}]")
            case "gap":
                self._line(f"[{data['first_seq']} to {data['last_seq']} cannot be read]")
            case "session_reset" | "project_deleted" as kind:
                self._line(f"[{kind}]")

    def _finished(self, data: dict[str, Any]) -> None:
        cost = "" if data["cost_usd"] is None else f", ${data['cost_usd']:.4f}"
        self._line(f"[{data['outcome']} in {data['duration_ms'] / 1000:.1f} s{cost}]")

    def _delta(self, data: dict[str, Any]) -> None:
        event = data.get("event") or {}
        if event.get("type") == "message_start":
            self._message_id = (event.get("message") or {}).get("id")
        delta = event.get("delta") or {}
        if delta.get("type") == "text_delta":
            self._streamed.add(self._message_id or "")
            self._echo(plain(delta.get("text", "")), nl=False)
            self._in_line = True

    def _claude(self, data: dict[str, Any]) -> None:
        if data.get("type") != "assistant":
            return
        message = data.get("message") or {}
        streamed = message.get("id") in self._streamed
        for block in message.get("content") or ():
            if not isinstance(block, dict):
                continue
            if block.get("type") == "text" and not streamed:
                self._line(block.get("text", ""))
            elif block.get("type") == "tool_use":
                self._line(f"[{block.get('name')}: {str(block.get('input'))[:_SUMMARY_LENGTH]}]")
        if streamed:
            self._end_line()

    def _line(self, text: str) -> None:
        self._end_line()
        when = f"{local_time(self._timestamp)}  " if self._with_time and self._timestamp else ""
        self._echo(when + plain(text))

    def _end_line(self) -> None:
        if self._in_line:
            self._echo("")
            self._in_line = False
