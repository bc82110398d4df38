"""Which lines of a list of entries are on the screen.

The place is an entry and a line in it, not a number of lines from the top: entries are laid out
only when they are shown, and may come and go at both ends.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from claudehub.tui.entries import Entry, Order

Row = tuple[int, int]
"""The index of an entry, and a line of it."""


@dataclass(slots=True)
class Anchor:
    """What stands at the top of the screen."""

    order: Order
    line: int


class Viewport:
    """`anchor` is None while the view follows the end. `height_of` returns how many lines the
    entry with an index has, at least one."""

    def __init__(self, height_of: Callable[[int], int]) -> None:
        self.entries: Sequence[Entry] = ()
        self.height = 1
        self.anchor: Anchor | None = None
        self._height_of = height_of

    def rows(self) -> list[Row]:
        """Return what each line of the screen shows, from the top. A view that has reached the end
        follows it from now on."""
        if self.anchor is None:
            return self._last_rows()
        index, line = self._place(self.anchor)
        found = self._rows_from(index, line)
        if len(found) < self.height:
            self.anchor = None
            return self._last_rows()
        return found

    def scroll(self, lines: int) -> bool:
        """Move down, or up for a negative number. Return False if the first line is reached."""
        rows = self.rows()
        if not rows:
            return False
        index, line = rows[0]
        line += lines
        while line < 0 and index > 0:
            index -= 1
            line += self._height_of(index)
        is_inside = line >= 0
        line = max(line, 0)
        while index < len(self.entries) - 1 and line >= (height := self._height_of(index)):
            line -= height
            index += 1
        if self.anchor is not None or lines < 0:
            self._anchor_at(index, line)
            if self.rows() == self._last_rows() and lines > 0:
                self.anchor = None
        return is_inside

    def show(self, order: Order) -> None:
        """Bring the entry into view, with its first line near the middle if it is elsewhere."""
        index = self.index_of(order)
        rows = self.rows()
        if (index, 0) in rows:
            return
        self._anchor_at(index, 0)
        self.rows()
        if self.anchor is not None:
            self.scroll(-(self.height // 3))

    def to_start(self) -> None:
        if self.entries:
            self._anchor_at(0, 0)
            self.rows()

    def to_end(self) -> None:
        self.anchor = None

    def index_of(self, order: Order) -> int:
        """Return the index of the entry, or of the one that has come next to its place."""
        found = bisect_left(self.entries, order, key=lambda entry: entry.order)
        return min(found, max(len(self.entries) - 1, 0))

    def _anchor_at(self, index: int, line: int) -> None:
        self.anchor = Anchor(self.entries[index].order, line)

    def _place(self, anchor: Anchor) -> Row:
        index = self.index_of(anchor.order)
        if not self.entries or self.entries[index].order != anchor.order:
            return index, 0
        return index, min(anchor.line, self._height_of(index) - 1)

    def _rows_from(self, index: int, line: int) -> list[Row]:
        found: list[Row] = []
        while index < len(self.entries) and len(found) < self.height:
            height = self._height_of(index)
            last = min(height, line + self.height - len(found))
            found.extend((index, at) for at in range(line, last))
            index, line = index + 1, 0
        return found

    def _last_rows(self) -> list[Row]:
        found: list[Row] = []
        index = len(self.entries) - 1
        while index >= 0 and len(found) < self.height:
            height = self._height_of(index)
            first = max(height - (self.height - len(found)), 0)
            found[:0] = [(index, at) for at in range(first, height)]
            index -= 1
        return found
