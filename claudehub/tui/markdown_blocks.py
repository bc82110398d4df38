"""Divide markdown into blocks that can be shown one by one.

A long answer grows piece by piece. Only its last block has to be laid out again.
"""

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_INDENTED = re.compile(r"[ \t]")
_MARKED = re.compile(
    r"[*_`#\[\]<>|\\~]"  # inline marks, headings, tables, quotes
    r"|^\s*(?:[-+]|\d{1,9}[.)])\s"  # lists
    r"|^(?: {4}|\t)"  # code
    r"|^ {0,3}(?:-+|=+)\s*$"  # rules and underlined headings
    r"|&\w+;|&#",
    re.MULTILINE,
)


def split_blocks(text: str) -> list[str]:
    """Return the text in blocks without the empty lines between them. A block ends at an empty
    line that is not inside a fence, and is not followed by an indented line, which may belong to
    the list before it."""
    blocks: list[str] = []
    current: list[str] = []
    fence = ""
    for line in text.split("\n"):
        is_new = not fence and current and not current[-1].strip() and line.strip()
        if is_new and not _INDENTED.match(line):
            _end(blocks, current)
            current = []
        if found := _FENCE.match(line):
            fence = _next_fence(fence, found[1], line)
        current.append(line)
    _end(blocks, current)
    return blocks


def is_plain(block: str) -> bool:
    """Return True if the block has no marks, so that it is shown as it stands."""
    return _MARKED.search(block) is None


def _end(blocks: list[str], lines: list[str]) -> None:
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    if lines:
        blocks.append("\n".join(lines))


def _next_fence(fence: str, mark: str, line: str) -> str:
    """Return the fence that is open behind a line with such a mark."""
    if not fence:
        return mark
    closes = mark[0] == fence[0] and len(mark) >= len(fence) and line.strip() == mark
    return "" if closes else fence
