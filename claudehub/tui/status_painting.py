"""Paint the lines above the conversation and above the prompt."""

from rich.style import Style
from textual.strip import Strip

from claudehub.show.safe_text import cut, one_line
from claudehub.show.safe_text import width as width_of
from claudehub.tui import styles
from claudehub.tui.connection import Connection
from claudehub.tui.hub_time import elapsed, seconds
from claudehub.tui.layout import line_of
from claudehub.tui.project_state import ProjectState


def header(state: ProjectState, connection: Connection, width: int, now_s: float) -> Strip:
    """Return the project, who is there, the cost, and the connection. `now_s` is local."""
    info = state.info
    name = one_line(info.name) if info is not None else state.project_id
    said, look = connection.short(now_s)
    facts = [_others(state.others) if connection.is_up else "", cost(state)]
    known = " · ".join(fact for fact in facts if fact)
    right = line_of(
        (f" {known} · " if known else " ", styles.DIM), (said, look), (" ──", styles.DIM)
    )
    path = one_line(info.path) if info is not None else ""
    room = width - right.cell_length - width_of(name) - 8
    left = line_of(
        ("── ", styles.DIM),
        (name, styles.BOLD),
        (f" {_ending(path, room)} " if room > 8 else " ", styles.DIM),
    )
    return across(left, right, width)


def across(left: Strip, right: Strip, width: int) -> Strip:
    """Return both in a line across the screen; the left one is cut if there is no room."""
    room = width - left.cell_length - right.cell_length
    if room < 0:
        return Strip.join([left.crop(0, max(width - right.cell_length, 0)), right])
    return Strip.join([left, line_of(("─" * room, styles.DIM)), right])


def rule(left: str, right: str, style: Style, width: int) -> Strip:
    """Return a line across the screen with a text near either end."""
    room = max(width - width_of(right) - 10, 1)
    head = line_of(("── ", styles.DIM), (cut(left, room), style), (" ", styles.PLAIN))
    if not left:
        head = line_of(("──", styles.DIM))
    tail = line_of((f" {right} ──" if right else "──", styles.DIM))
    return across(head, tail, width)


def activity(
    state: ProjectState, connection: Connection, doing: str, hub_now_s: float, local_s: float
) -> tuple[str, Style]:
    """Return what happens now, in words."""
    if sentence := connection.sentence(local_s):
        return sentence, styles.BAD if connection.state == "closed" else styles.WARNING
    running = state.running
    if running is None:
        is_broken = state.status == "error"
        return ("the project is in error", styles.BAD) if is_broken else ("", styles.DIM)
    began_s = seconds(running.since)
    took = "" if began_s is None else f" {elapsed(hub_now_s - began_s)}"
    if state.questions and not running.is_ending:
        return f"? waits for you{took}", styles.ASKING
    what = "ending" if running.is_ending else doing or "executing"
    return f"○ {what}{took}", styles.ACCENT


def queue_words(state: ProjectState) -> str:
    return f"{len(state.queue)} in the queue" if state.queue else ""


def cost(state: ProjectState) -> str:
    """Return what is known to have been spent; a plus says that it was more."""
    spent = state.spent
    if not spent.executions or (spent.unknown == spent.executions):
        return ""
    return f"${spent.usd:.2f}{'+' if spent.unknown else ''}"


def _others(count: int) -> str:
    if not count:
        return ""
    return "1 other here" if count == 1 else f"{count} others here"


def _ending(path: str, room: int) -> str:
    """Return the path, or its end if there is no room."""
    return path if len(path) <= room else f"…{path[len(path) - room + 1 :]}"
