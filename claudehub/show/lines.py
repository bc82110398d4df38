"""Lines of text with a kind, which whoever shows them turns into a colour or a style."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a line is."""

    TEXT = "text"
    HEADING = "heading"
    COMMAND = "command"
    FILE = "file"
    ADDED = "added"
    REMOVED = "removed"
    CONTEXT = "context"
    SKIPPED = "skipped"
    CHOICE = "choice"
    NOTE = "note"


_MARGINS = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CONTEXT: " "}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of safe text. Lines of a diff have no sign in `text`; `str()` puts it there."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return _MARGINS.get(self.kind, "") + self.text


def lines_of(kind: Kind, text: str) -> list[Line]:
    """Return a line of that kind for each line of the text, which is safe already."""
    return [Line(kind, line) for line in text.split("\n")]


def folded(lines: Sequence[Line], limit: int) -> list[Line]:
    """Return the lines, or the first and last of them with one between that says how many are
    left out. At most `limit` lines."""
    if len(lines) <= limit:
        return list(lines)
    head = (limit - 1) * 3 // 4
    tail = limit - 1 - head
    between = f"… {len(lines) - head - tail:,} lines are not shown …"
    return [*lines[:head], Line(Kind.SKIPPED, between), *lines[len(lines) - tail :]]
