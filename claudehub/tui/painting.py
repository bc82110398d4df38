"""Paint entries as lines of a terminal."""

from collections import OrderedDict
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from claudehub.show.safe_text import one_line
from claudehub.tui import styles
from claudehub.tui.entries import (
    EndEntry,
    Entry,
    NoteEntry,
    NoteKind,
    PromptEntry,
    TextEntry,
    ThinkingEntry,
    ToolEntry,
)
from claudehub.tui.hub_time import clock
from claudehub.tui.layout import folded, indented, line_of, markdown, right_aligned, wrapped
from claudehub.tui.markdown_blocks import split_blocks
from claudehub.tui.tool_painting import paint_tool

# Painted blocks of text that are kept; a screen has some fifty.
BLOCKS_KEPT = 500
PROMPT_LINES_FOLDED = 8
THOUGHT_LINES_FOLDED = 2
OUTPUT_LINES_FOLDED = 3
ERROR_LINES_FOLDED = 6
UNFOLDED_LINES_MAX = 2_000
_MARGIN = line_of(("  ", styles.PLAIN))
_SUBAGENT = line_of(("│ ", styles.DIM))
_OUTCOME_STYLES = {
    "success": styles.GOOD,
    "interrupted": styles.WARNING,
    "cancelled": styles.WARNING,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How entries are painted. `now` is the hub's time in seconds, for what still runs."""

    width: int
    is_open: bool = False
    now: float = 0.0


class Painter:
    """Paint one entry after the other; blocks of markdown are kept for the next time."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[str, int], list[Strip]] = OrderedDict()

    def paint(self, entry: Entry, look: Look) -> list[Strip]:
        """Return the lines of the entry, at least one."""
        inner = Look(look.width - 2, look.is_open, look.now) if entry.parent else look
        strips = self._paint(entry, inner) or [_MARGIN]
        if entry.parent:
            strips = indented(strips, _SUBAGENT, _SUBAGENT)
        return [s if s.cell_length <= look.width else s.crop(0, look.width) for s in strips]

    def _paint(self, entry: Entry, look: Look) -> list[Strip]:
        match entry:
            case PromptEntry():
                return _prompt(entry, look)
            case TextEntry():
                return self._text(entry, look)
            case ThinkingEntry():
                return _thinking(entry, look)
            case ToolEntry():
                return paint_tool(entry, look.width, look.is_open, look.now)
            case NoteEntry():
                return _note(entry, look)
            case EndEntry():
                return _end(entry, look)
        return []

    def _text(self, entry: TextEntry, look: Look) -> list[Strip]:
        strips: list[Strip] = []
        for block in split_blocks(entry.text):
            if strips:
                strips.append(Strip([]))
            strips += self._block(block, look.width - 2)
        return indented(strips, _MARGIN, _MARGIN)

    def _block(self, block: str, width: int) -> list[Strip]:
        key = (block, width)
        found = self._blocks.pop(key, None)
        if found is None:
            found = markdown(block, width)
        self._blocks[key] = found
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return found


def _limit(look: Look, folded_lines: int) -> int:
    return UNFOLDED_LINES_MAX if look.is_open else folded_lines


def _fold(strips: list[Strip], look: Look, folded_lines: int) -> list[Strip]:
    hint = "" if look.is_open else " (enter)"
    return folded(strips, _limit(look, folded_lines), hint)


def _prompt(entry: PromptEntry, look: Look) -> list[Strip]:
    who = f"{one_line(entry.by)} {clock(entry.timestamp)}"
    if entry.place is not None:
        who = f"waits at place {entry.place} · {who}"
    right = line_of((who, styles.WARNING if entry.place is not None else styles.DIM))
    strips = _fold(wrapped(entry.text, look.width - 2, styles.BOLD), look, PROMPT_LINES_FOLDED)
    strips = indented(strips, line_of((styles.PROMPT_SIGN, styles.PROMPT)), _MARGIN)
    if strips[0].cell_length + right.cell_length < look.width:
        strips[0] = right_aligned(strips[0], right, look.width)
    else:
        strips.insert(0, right_aligned(Strip([]), right, look.width))
    return strips


def _thinking(entry: ThinkingEntry, look: Look) -> list[Strip]:
    strips = _fold(wrapped(entry.text, look.width - 2, styles.THOUGHT), look, THOUGHT_LINES_FOLDED)
    return indented(strips, line_of(("∴ ", styles.DIM)), _MARGIN)


def _note(entry: NoteEntry, look: Look) -> list[Strip]:
    if entry.kind is NoteKind.RULE:
        return [_rule(one_line(entry.text), styles.DIM, look.width)]
    sign, style, lines = _NOTES[entry.kind]
    strips = _fold(wrapped(entry.text, look.width - 2, style), look, lines)
    return indented(strips, line_of((sign, style)), _MARGIN)


def _end(entry: EndEntry, look: Look) -> list[Strip]:
    style = _OUTCOME_STYLES.get(entry.outcome, styles.BAD)
    strips = [
        right_aligned(
            line_of(("■ ", style), (entry.words, style)),
            line_of((clock(entry.timestamp), styles.DIM)),
            look.width,
        )
    ]
    text_style = styles.PLAIN if entry.outcome == "success" else styles.BAD
    for text, text_look in ((entry.result, text_style), (entry.stderr.rstrip(), styles.DIM)):
        if text:
            lines = _fold(wrapped(text, look.width - 2, text_look), look, ERROR_LINES_FOLDED)
            strips += indented(lines, _MARGIN, _MARGIN)
    return strips


def _rule(text: str, style: Style, width: int) -> Strip:
    """Return a text in a line across the view."""
    head = line_of(("── ", styles.DIM), (text, style), (" ", styles.PLAIN))
    rest = max(width - head.cell_length, 0)
    return Strip.join([head.crop(0, width), Strip([Segment("─" * rest, styles.DIM)])])


_NOTES: dict[NoteKind, tuple[str, Style, int]] = {
    NoteKind.INFO: ("· ", styles.DIM, OUTPUT_LINES_FOLDED),
    NoteKind.WARNING: ("! ", styles.WARNING, ERROR_LINES_FOLDED),
    NoteKind.OUTPUT: ("» ", styles.DIM, OUTPUT_LINES_FOLDED),
}
