"""Paint the board of all projects."""

from rich.style import Style
from textual.strip import Strip

from claudehub.client.updates import ProjectInfo
from claudehub.show.safe_text import cut, one_line
from claudehub.tui import styles
from claudehub.tui.board import BoardRow, Group
from claudehub.tui.hub_time import when
from claudehub.tui.layout import line_of, right_aligned
from claudehub.tui.plain_watch import ask_words

NAME_COLUMNS = 24
_GROUPS: dict[Group, tuple[str, str, Style]] = {
    Group.WAITING: ("?", "Waits for you", styles.ASKING),
    Group.EXECUTING: ("○", "Executing", styles.ACCENT),
    Group.ERROR: ("✗", "In error", styles.BAD),
    Group.IDLE: ("·", "Idle", styles.DIM),
}


def heading(group: Group, count: int) -> Strip:
    _, words, style = _GROUPS[group]
    return line_of((f" {words} ", style), (str(count), styles.DIM))


def project_line(
    row: BoardRow, width: int, name_columns: int, is_selected: bool, now_s: float
) -> Strip:
    """Return a project in one line: its name, what it does or asks, and how many are there."""
    sign, _, style = _GROUPS[row.group]
    project = row.project
    name = cut(one_line(project.name), name_columns)
    left = line_of(
        ("▌" if is_selected else " ", styles.SELECTED),
        (f"{sign} ", style),
        (name.ljust(name_columns), styles.BOLD if row.group is not Group.IDLE else styles.PLAIN),
        ("  ", styles.PLAIN),
        *_what(row),
    )
    return right_aligned(left, line_of((_facts(project, now_s), styles.DIM)), width)


def _what(row: BoardRow) -> list[tuple[str, Style]]:
    project = row.project
    match row.group:
        case Group.WAITING:
            more = len(project.pending_permissions) - 1
            return [
                (ask_words(project.pending_permissions[0]), styles.PLAIN),
                (f"  +{more} more" if more else "", styles.DIM),
            ]
        case Group.EXECUTING:
            waiting = f", {len(project.queue)} in the queue" if project.queue else ""
            return [(f"executing{waiting}", styles.PLAIN)]
        case Group.ERROR:
            return [("it cannot work; see the hub's health", styles.PLAIN)]
    return [(one_line(project.path), styles.DIM)]


def _facts(project: ProjectInfo, now_s: float) -> str:
    here = f"{project.subscribers} here · " if project.subscribers else ""
    return f"{here}{when(project.last_active, now_s)} "
