"""Paint a tool call: one line with its state and time, and below it what belongs to it."""

from rich.style import Style
from textual.strip import Strip

from claudehub.show import words
from claudehub.show.diffs import EDITING_TOOLS, edit_diff, other_fields
from claudehub.show.lines import Kind, Line
from claudehub.show.safe_text import string
from claudehub.show.tools import summary_of
from claudehub.tui import styles
from claudehub.tui.entries import ToolEntry, ToolState
from claudehub.tui.hub_time import elapsed, seconds
from claudehub.tui.layout import folded, indented, line_of, right_aligned, wrapped

DIFF_LINES_FOLDED = 6
FAILURE_LINES_FOLDED = 3
UNFOLDED_LINES_MAX = 2_000
OPEN_STATES = (ToolState.ASKING, ToolState.RUNNING)
_STATES: dict[ToolState, tuple[str, Style]] = {
    ToolState.ASKING: ("?", styles.ASKING),
    ToolState.RUNNING: ("○", styles.ACCENT),
    ToolState.DONE: ("✓", styles.GOOD),
    ToolState.FAILED: ("✗", styles.BAD),
    ToolState.REFUSED: ("⊘", styles.WARNING),
    ToolState.UNFINISHED: ("◌", styles.WARNING),
}
_LINE_STYLES = {
    Kind.ADDED: styles.ADDED,
    Kind.REMOVED: styles.REMOVED,
    Kind.CONTEXT: styles.PLAIN,
    Kind.SKIPPED: styles.DIM,
    Kind.NOTE: styles.DIM,
    Kind.FILE: styles.FILE,
    Kind.COMMAND: styles.COMMAND,
    Kind.HEADING: styles.BOLD,
}
_SIGNS = {Kind.ADDED: "+ ", Kind.REMOVED: "- ", Kind.CONTEXT: "  "}
_SIGN_MARGIN = line_of(("  ", styles.PLAIN))
_MARGIN = line_of(("    ", styles.PLAIN))
_HINT = " (enter)"


def paint_tool(entry: ToolEntry, width: int, is_open: bool, now: float) -> list[Strip]:
    """Return the call's line, and below it a diff, a failure, or if it is open all of it."""
    strips = [_head(entry, width, now)]
    for lines, limit in _parts(entry, width - 4, is_open):
        shown = folded(lines, UNFOLDED_LINES_MAX if is_open else limit, "" if is_open else _HINT)
        strips += indented(shown, _MARGIN, _MARGIN)
    return strips


def paint_lines(lines: list[Line], width: int) -> list[Strip]:
    """Return lines of a diff or of a question with their colours, wrapped."""
    found: list[Strip] = []
    for line in lines:
        style = _LINE_STYLES.get(line.kind, styles.PLAIN)
        sign = _SIGNS.get(line.kind)
        if sign is None:
            found += wrapped(line.text, width, style)
        else:
            found += indented(
                wrapped(line.text, width - 2, style), line_of((sign, style)), _SIGN_MARGIN
            )
    return found


def _head(entry: ToolEntry, width: int, now: float) -> Strip:
    sign, style = _STATES[entry.state]
    summary = summary_of(entry.name, entry.input) if entry.name else None
    verb, detail = (summary.verb, summary.detail) if summary else ("the result of a call", "")
    left = line_of((f"{sign} ", style), (verb, styles.BOLD), (f" {detail}", styles.PLAIN))
    word = "" if entry.answered and entry.state is ToolState.REFUSED else _word(entry.state)
    facts = [entry.answered, word, _time(entry, now)]
    right = line_of((" · ".join(fact for fact in facts if fact), styles.DIM))
    return right_aligned(left, right, width)


def _word(state: ToolState) -> str:
    """Return what the sign does not say."""
    return {
        ToolState.ASKING: "waits for an answer",
        ToolState.REFUSED: "denied",
        ToolState.UNFINISHED: "not finished",
        ToolState.FAILED: "failed",
    }.get(state, "")


def _time(entry: ToolEntry, now: float) -> str:
    began = seconds(entry.timestamp)
    if began is None or not entry.name or entry.state is ToolState.ASKING:
        return ""
    if entry.state is ToolState.RUNNING:
        return elapsed(now - began) if now > began + 1 else ""
    ended = seconds(entry.ended)
    return words.duration(ended - began) if ended is not None else ""


def _parts(entry: ToolEntry, width: int, is_open: bool) -> list[tuple[list[Strip], int]]:
    """Return what stands below the call, each with how many lines are shown if it is folded."""
    found: list[tuple[list[Strip], int]] = []
    is_shown_below = entry.state is ToolState.ASKING and not is_open
    if entry.name in EDITING_TOOLS and not is_shown_below:
        diff = edit_diff(entry.name, entry.input) or []
        found.append((paint_lines(diff, width), DIFF_LINES_FOLDED))
    if is_open:
        found.append((_input(entry, width), 0))
    if entry.state is ToolState.FAILED and not is_open:
        found.append((wrapped(entry.result, width, styles.BAD), FAILURE_LINES_FOLDED))
    elif is_open and entry.result:
        style = styles.BAD if entry.state is ToolState.FAILED else styles.DIM
        found.append((wrapped(entry.result.rstrip("\n"), width, style), 0))
    return found


def _input(entry: ToolEntry, width: int) -> list[Strip]:
    """Return the whole input, a field a line, but for what a diff has shown."""
    fields = other_fields(entry.name, entry.input)
    found: list[Strip] = []
    for name, value in fields.items():
        text = string(value)
        is_command = entry.name == "Bash" and name == "command"
        if is_command and "\n" not in text and len(text) < width // 2:
            continue  # it stands in the first line
        shown = f"$ {text}" if is_command else f"{name}: {text}"
        found += wrapped(shown, width, styles.COMMAND if is_command else styles.PLAIN)
    return found
