"""Lines of the Claude Code CLI as values: the updates of type `claude`."""

from dataclasses import dataclass, field
from typing import Any

from claudehub.client.updates import JsonObject, Update


@dataclass(frozen=True, slots=True, eq=False)
class ClaudeLine(Update):
    """One line of the CLI's output, as it came. Its kinds are subclasses.

    A line of an agent's subagent has a `parent_tool_use_id`.
    """

    line: JsonObject = field(repr=False)

    @property
    def parent_tool_use_id(self) -> str | None:
        return _string(self.line.get("parent_tool_use_id"))

    @property
    def message_id(self) -> str | None:
        message = self.line.get("message")
        return _string(message.get("id")) if isinstance(message, dict) else None

    @property
    def blocks(self) -> list[JsonObject]:
        """Return the content blocks of the line's message: text, tool calls, results."""
        message = self.line.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        blocks = content if isinstance(content, list) else ()
        return [block for block in blocks if isinstance(block, dict)]


@dataclass(frozen=True, slots=True, eq=False)
class ClaudeText(ClaudeLine):
    """What the agent says."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Thinking(ClaudeLine):
    """What the agent thinks. The API may show a summary, or nothing."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ToolUse(ClaudeLine):
    """The agent calls a tool."""

    tool: str
    input: JsonObject
    tool_use_id: str


@dataclass(frozen=True, slots=True, eq=False)
class ToolResult(ClaudeLine):
    """A tool has ended. `text` is what the agent is given."""

    tool_use_id: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True, eq=False)
class Result(ClaudeLine):
    """The CLI's own end of a turn; the hub's is ExecutionFinished. `text` is the agent's answer, or
    what went wrong."""

    text: str
    is_error: bool


@dataclass(frozen=True, slots=True, eq=False)
class ApiRetry(ClaudeLine):
    """The API has refused a call, and the CLI tries again after `delay_s` seconds. `status` is the
    HTTP status, or None if there was no answer."""

    attempt: int
    max_retries: int
    delay_s: float
    status: int | None
    error: str


@dataclass(frozen=True, slots=True, eq=False)
class RateLimit(ClaudeLine):
    """How much of the account's limit is used. `status` is `allowed`, `allowed_warning` or
    `rejected`; `resets_at` is in seconds since 1970."""

    status: str
    limit: str | None
    resets_at: float | None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
