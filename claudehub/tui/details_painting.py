"""Paint what there is to know about a project, for the panel beside the conversation."""

from textual.strip import Strip

from claudehub.show.safe_text import one_line
from claudehub.tui import styles
from claudehub.tui.connection import Connection
from claudehub.tui.hub_time import clock, day, elapsed
from claudehub.tui.layout import line_of, wrapped
from claudehub.tui.project_state import ProjectState

FILES_SHOWN = 30
QUEUE_SHOWN = 10


def details(
    state: ProjectState, connection: Connection, url: str, width: int, now_s: float
) -> list[Strip]:
    """Return the lines of the panel."""
    parts = [
        ("Queue", _queue(state, width)),
        ("Changed files", _files(state, width)),
        ("Cost", _cost(state, width)),
        ("Here", _here(state, width)),
        ("Project", _project(state, width)),
        ("Hub", _hub(connection, url, width, now_s)),
    ]
    found: list[Strip] = []
    for heading, lines in parts:
        if lines:
            found += [line_of((heading, styles.BOLD)), *lines, Strip([])]
    return found


def _queue(state: ProjectState, width: int) -> list[Strip]:
    found: list[Strip] = []
    for number, waiting in enumerate(state.queue[:QUEUE_SHOWN], 1):
        text = f"{number} {one_line(waiting.prompt)} ({one_line(waiting.by)})"
        found += wrapped(text, width)[:2]
    more = len(state.queue) - QUEUE_SHOWN
    return found + (wrapped(f"… and {more} more", width, styles.DIM) if more > 0 else [])


def _files(state: ProjectState, width: int) -> list[Strip]:
    newest = list(state.files.items())[::-1][:FILES_SHOWN]
    return [_file(one_line(path), clock(when), width) for path, when in newest]


def _file(path: str, when: str, width: int) -> Strip:
    room = width - len(when) - 1
    shown = path if len(path) <= room else f"…{path[len(path) - room + 1 :]}"
    return line_of((f"{when} ", styles.DIM), (shown, styles.PLAIN))


def _cost(state: ProjectState, width: int) -> list[Strip]:
    spent = state.spent
    if not spent.executions:
        return []
    executions = f"{spent.executions} execution{'s' if spent.executions > 1 else ''}"
    since = f"{executions} since {day(spent.since)} {clock(spent.since)}"
    found = wrapped(f"${spent.usd:.4f}", width) + wrapped(since, width, styles.DIM)
    if spent.unknown:
        found += wrapped(f"{spent.unknown} did not say what they cost", width, styles.WARNING)
    return found


def _here(state: ProjectState, width: int) -> list[Strip]:
    others = state.others
    who = "only you" if not others else "you and 1 other" if others == 1 else f"you and {others}"
    return wrapped(f"{who} others" if others > 1 else who, width)


def _project(state: ProjectState, width: int) -> list[Strip]:
    info = state.info
    if info is None:
        return []
    found = wrapped(one_line(info.path), width)
    session = one_line(state.session_id or "")[:8] or "a new one with the next prompt"
    found += wrapped(f"conversation {session}", width, styles.DIM)
    if not info.trusted:
        found += wrapped("not trusted: the folder's settings have no effect", width, styles.DIM)
    return found


def _hub(connection: Connection, url: str, width: int, now_s: float) -> list[Strip]:
    said, style = connection.short(now_s)
    found = wrapped(one_line(url), width) + wrapped(said, width, style)
    if not connection.is_up:
        found += wrapped(connection.sentence(now_s), width, styles.DIM)
    elif connection.since_s:
        found += wrapped(f"for {elapsed(now_s - connection.since_s)}", width, styles.DIM)
    return found
