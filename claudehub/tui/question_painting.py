"""Paint a question: what it is about, and what can be chosen."""

from dataclasses import dataclass

from textual.strip import Strip

from claudehub.show.safe_text import cut
from claudehub.show.safe_text import width as width_of
from claudehub.tui import styles
from claudehub.tui.layout import indented, line_of, wrapped
from claudehub.tui.question_form import Choice, QuestionForm
from claudehub.tui.tool_painting import paint_lines

BESIDE_COLUMNS_MIN = 20
_KEY_COLUMNS = 5
_MARGIN = line_of(("  ", styles.PLAIN))
_INDENT = line_of(("      ", styles.PLAIN))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the explanation of a choice stands, and how much room it has there."""

    columns: int
    lines: int
    is_beside: bool


def paint_body(form: QuestionForm, width: int, lines_max: int) -> list[Strip]:
    """Return all of what the question is about, and whole what the choices show folded."""
    found = indented(paint_lines(form.body, width - 4), _MARGIN, _MARGIN)
    for choice in form.choices:
        if _is_folded(choice, width, lines_max):
            text = wrapped(f"{choice.label}: {choice.behind}", width - 4, styles.DIM)
            found += indented(text, _MARGIN, _MARGIN)
    return found


def paint_choices(form: QuestionForm, width: int, is_armed: bool, lines_max: int) -> list[Strip]:
    """Return the choices in at most `lines_max` lines each, which is 1 or 2. They are dim while
    keys do not count."""
    found: list[Strip] = []
    for number, choice in enumerate(form.choices):
        is_current = number == form.cursor and form.typing is None
        found += _choice(choice, width, is_current, is_armed, lines_max)
    return found


def _choice(
    choice: Choice, width: int, is_current: bool, is_armed: bool, lines_max: int
) -> list[Strip]:
    key_style = styles.PROMPT if is_armed else styles.DIM
    style = styles.DIM if not is_armed else styles.BOLD if is_current else styles.PLAIN
    head = line_of(
        (styles.PROMPT_SIGN if is_current else "  ", key_style),
        (f"{choice.key or ' '} ", key_style),
        (f" {_label(choice)}", style),
    )
    place = _place(choice, width, lines_max)
    if not choice.behind or not place.lines:
        return [head.crop(0, width)]
    behind = _folded(choice.behind, place)
    if place.is_beside:
        margin = line_of((" " * (head.cell_length + 2), styles.PLAIN))
        return indented(behind, Strip.join([head, _MARGIN]), margin)
    return [head.crop(0, width), *indented(behind, _INDENT, _INDENT)]


def _label(choice: Choice) -> str:
    mark = "" if choice.is_checked is None else "[x] " if choice.is_checked else "[ ] "
    return f"{mark}{choice.label}"


def _place(choice: Choice, width: int, lines_max: int) -> _Place:
    """Return the place beside the label, or the one below it if there is little room."""
    beside = width - _KEY_COLUMNS - width_of(_label(choice)) - 2
    if beside >= BESIDE_COLUMNS_MIN:
        return _Place(beside, lines_max, is_beside=True)
    return _Place(max(width - _INDENT.cell_length, 1), lines_max - 1, is_beside=False)


def _is_folded(choice: Choice, width: int, lines_max: int) -> bool:
    place = _place(choice, width, lines_max)
    return bool(choice.behind) and len(wrapped(choice.behind, place.columns)) > place.lines


def _folded(text: str, place: _Place) -> list[Strip]:
    """Return the text in the lines that there are; an ellipsis stands for the rest."""
    found = wrapped(text, place.columns, styles.DIM)
    if len(found) <= place.lines:
        return found
    # Two lines that were wrapped do not fit into one: so cut puts its ellipsis there.
    last = " ".join(strip.text for strip in found[place.lines - 1 : place.lines + 1])
    return [*found[: place.lines - 1], line_of((cut(last, place.columns), styles.DIM))]
