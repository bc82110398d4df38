"""Lay out text and renderables as lines of a terminal."""

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from claudehub.show.safe_text import plain
from claudehub.tui.markdown import STYLES, ConversationMarkdown
from claudehub.tui.markdown_blocks import is_plain
from claudehub.tui.styles import DIM, PLAIN

# Longer blocks are shown as they stand: laying out markdown takes time.
MARKDOWN_CHARACTERS_MAX = 20_000
_CONSOLE = Console(file=io.StringIO(), width=80, theme=STYLES, legacy_windows=False, _environ={})


def line_of(*parts: tuple[str, Style]) -> Strip:
    """Return one line of safe texts with styles."""
    return Strip([Segment(text, style) for text, style in parts if text])


def wrapped(text: str, width: int, style: Style = PLAIN) -> list[Strip]:
    """Return safe text in lines of that width, broken between words. An empty line stays."""
    found: list[Strip] = []
    for line in plain(text).expandtabs(4).split("\n"):
        if len(line) <= width and line.isascii():
            found.append(Strip([Segment(line, style)], len(line)))
        else:
            pieces = Text(line).wrap(_CONSOLE, width)
            found += [Strip([Segment(piece.plain.rstrip(), style)]) for piece in pieces]
    return found


def markdown(block: str, width: int) -> list[Strip]:
    """Return one block of markdown, made safe."""
    if len(block) > MARKDOWN_CHARACTERS_MAX or is_plain(block):
        return wrapped(block, width)
    return rendered(ConversationMarkdown(plain(block)), width)


def rendered(renderable: RenderableType, width: int) -> list[Strip]:
    lines = _CONSOLE.render_lines(renderable, _CONSOLE.options.update(width=width), pad=False)
    strips = [_trimmed(line) for line in lines]
    while strips and not strips[-1].text.strip():
        strips.pop()
    while strips and not strips[0].text.strip():
        strips.pop(0)
    return strips


def indented(strips: Iterable[Strip], first: Strip, others: Strip) -> list[Strip]:
    """Return the lines with one margin before the first and another before the others."""
    return [Strip.join([others if n else first, strip]) for n, strip in enumerate(strips)]


def folded(strips: list[Strip], limit: int, hint: str) -> list[Strip]:
    """Return the first lines, and one that says how many more there are."""
    if len(strips) <= limit + 1:
        return strips
    more = f"… {len(strips) - limit:,} more lines{hint}"
    return [*strips[:limit], line_of((more, DIM))]


def right_aligned(left: Strip, right: Strip, width: int) -> Strip:
    """Return both in one line of that width; the left one is cut if there is no room."""
    room = width - right.cell_length - 1
    return Strip.join([left.adjust_cell_length(max(room, 0)), _SPACE, right])


def _trimmed(line: list[Segment]) -> Strip:
    """Return the line without the spaces that fill it up."""
    segments = list(line)
    while segments and not segments[-1].text.strip() and not _has_look(segments[-1].style):
        segments.pop()
    if segments and not _has_look(segments[-1].style):
        segments[-1] = Segment(segments[-1].text.rstrip(), segments[-1].style)
    return Strip(segments)


def _has_look(style: Style | None) -> bool:
    return style is not None and bool(style.bgcolor or style.underline or style.reverse)


_SPACE = Strip([Segment(" ")], 1)
