"""Paint a question: what it is about, and what can be chosen."""

from textual.strip import Strip

from claudehub.tui import styles
from claudehub.tui.layout import indented, line_of, wrapped
from claudehub.tui.question_form import Choice, QuestionForm
from claudehub.tui.tool_painting import paint_lines

_MARGIN = line_of(("  ", styles.PLAIN))


def paint_body(form: QuestionForm, width: int) -> list[Strip]:
    """Return all of what the question is about."""
    return indented(paint_lines(form.body, width - 4), _MARGIN, _MARGIN)


def paint_choices(form: QuestionForm, width: int, is_armed: bool) -> list[Strip]:
    """Return the choices; they are dim while keys do not count."""
    found: list[Strip] = []
    for number, choice in enumerate(form.choices):
        is_current = number == form.cursor and form.typing is None
        found += _choice(choice, width, is_current, is_armed)
    return found


def _choice(choice: Choice, width: int, is_current: bool, is_armed: bool) -> list[Strip]:
    mark = "" if choice.is_checked is None else "[x] " if choice.is_checked else "[ ] "
    key_style = styles.PROMPT if is_armed else styles.DIM
    style = styles.DIM if not is_armed else styles.BOLD if is_current else styles.PLAIN
    head = line_of(
        (styles.PROMPT_SIGN if is_current else "  ", key_style),
        (f"{choice.key or ' '} ", key_style),
        (f" {mark}{choice.label}", style),
    )
    if not choice.behind:
        return [head.crop(0, width)]
    room = width - head.cell_length - 2
    if room >= 20:
        behind = wrapped(choice.behind, room, styles.DIM)
        margin = line_of((" " * (head.cell_length + 2), styles.PLAIN))
        return indented(behind, Strip.join([head, _MARGIN]), margin)
    behind = wrapped(choice.behind, width - 6, styles.DIM)
    margin = line_of(("      ", styles.PLAIN))
    return [head.crop(0, width), *indented(behind, margin, margin)]
