"""What updates and lines of the CLI say in one line, besides text of the agent, tool calls and
questions."""

from dataclasses import dataclass
from typing import Any

from claudehub.client.updates import (
    ExecutionQueued,
    FilesChanged,
    Gap,
    HistoryGone,
    JsonObject,
    ProjectDeleted,
    SessionReset,
    Status,
    Update,
)
from claudehub.show import words
from claudehub.show.safe_text import one_line, string


@dataclass(frozen=True, slots=True)
class Note:
    """A line of safe text. `is_warning`: something is not as it should be. `tool_use_id` names the
    tool call that says the same by itself."""

    text: str
    is_warning: bool = False
    tool_use_id: str = ""


def note_of(update: Update) -> Note | None:
    """Return what an update of the hub says, or None if it is none of these."""
    match update:
        case ExecutionQueued():
            return Note(f"waits, at place {update.queue_position} of the queue")
        case SessionReset():
            return Note(words.session_reset(update))
        case FilesChanged():
            return Note(words.files_changed(update))
        case Status(status="error"):
            return Note("the project is in error: it takes no prompts", is_warning=True)
        case Gap():
            return Note(words.gap(update), is_warning=True)
        case HistoryGone():
            return Note(words.history_gone(update), is_warning=True)
        case ProjectDeleted():
            by = f", by {one_line(update.by)}" if update.by else ""
            return Note(f"the project is deleted{by}", is_warning=True)
    return None


def note_of_line(line: JsonObject) -> Note | None:
    """Return what a line of the CLI says, or None if it says nothing to people."""
    if line.get("type") != "system":
        return None
    match line.get("subtype"):
        case "permission_denied":
            tool_use_id = string(line.get("tool_use_id") or "")
            return Note(words.permission_denied(line), tool_use_id=tool_use_id)
        case "status" if line.get("status") == "compacting":
            return Note("the conversation is made shorter")
        case "compact_boundary":
            return Note("from here on the agent knows what came before as a summary")
        case "task_notification":
            return _told("background: ", line.get("summary"))
        case "model_fallback":
            model = line.get("fallback_model") or line.get("to") or line.get("model")
            return _told("another model is used: ", model or "the fallback")
        case "informational":
            return _told("", line.get("content") or line.get("message"))
    return None


def _told(before: str, text: Any) -> Note | None:
    return Note(before + one_line(string(text))) if text else None
