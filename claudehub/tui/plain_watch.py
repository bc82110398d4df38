"""All projects as lines of text, for output that is no terminal. It needs no textual."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from claudehub import aio
from claudehub.client.updates import JsonObject, ProjectChanged, Update
from claudehub.show.safe_text import string
from claudehub.show.tools import summary_of
from claudehub.tui.board import Group, group_of


def watch_lines(url: str | None, key: Path | None, echo: Callable[[str], object]) -> None:
    """Say each change of a project in a line, until Ctrl-C. Raises HubError."""

    async def run() -> None:
        async with aio.connect(url, key=key) as hub:
            await watch_plain(hub, echo)

    asyncio.run(run())


async def watch_plain(hub: aio.Hub, echo: Callable[[str], object]) -> None:
    """Say the present state of each project, and then every change, in a line each."""
    async for update in hub.watch():
        echo(change_words(update))


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
