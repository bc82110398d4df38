"""All projects as lines of text, for output that is no terminal. It needs no textual."""

from claudehub.client.updates import JsonObject, ProjectChanged, Update
from claudehub.show.safe_text import string
from claudehub.show.tools import summary_of
from claudehub.tui.board import Group, group_of


def change_words(update: Update) -> str:
    """Return a change in one line."""
    if not isinstance(update, ProjectChanged):
        return f"{update.project_id}: deleted"
    project = update.project
    group = group_of(project)
    words = {Group.EXECUTING: "executing", Group.ERROR: "in error", Group.IDLE: "idle"}.get(group)
    if words is None:
        words = f"waits for you: {ask_words(project.pending_permissions[0])}"
    waiting = f", {len(project.queue)} in the queue" if project.queue else ""
    return f"{project.project_id}: {words}{waiting}"


def ask_words(permission: JsonObject) -> str:
    """Return a pending permission in one line."""
    tool_input = permission.get("input")
    tool = string(permission.get("tool") or "a tool")
    return str(summary_of(tool, tool_input if isinstance(tool_input, dict) else {}))
