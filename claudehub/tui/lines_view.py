"""A widget that shows lines, some of them at a time."""

from textual.strip import Strip
from textual.widget import Widget

from claudehub.tui import styles
from claudehub.tui.layout import line_of


class LinesView(Widget):
    """Lines from `set_lines`. Of more than its limit it shows a part, and says so."""

    DEFAULT_CSS = "LinesView { height: auto; }"

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, keys: str = "shift ↑ ↓"
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._keys = keys
        self._lines: list[Strip] = []
        self._limit: int | None = None
        self._first = 0

    def set_lines(self, lines: list[Strip], limit: int | None = None) -> None:
        """Show these lines, at most `limit` of them. They are written only if they have changed."""
        if lines == self._lines and limit == self._limit:
            return
        is_taller = self._height(lines, limit) != self._height(self._lines, self._limit)
        self._lines, self._limit = lines, limit
        self._first = min(self._first, self._last_first())
        self.refresh(layout=is_taller)

    def to_start(self) -> None:
        self._first = 0

    def bring_into_view(self, line: int) -> None:
        """Scroll as little as shows this line."""
        shown = (self._limit or len(self._lines)) - 1
        self.scroll_lines(min(line - self._first, 0) or max(line - self._first - shown + 1, 0))

    def scroll_lines(self, lines: int) -> None:
        self._first = max(0, min(self._first + lines, self._last_first()))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y < len(self._shown()):
            return self._shown()[y].adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return self._height(self._lines, self._limit)

    @staticmethod
    def _height(lines: list[Strip], limit: int | None) -> int:
        return len(lines) if limit is None else min(len(lines), limit)

    def _last_first(self) -> int:
        """Return where the last part begins; a line of it says that there is more."""
        if self._limit is None or len(self._lines) <= self._limit:
            return 0
        return len(self._lines) - (self._limit - 1)

    def _shown(self) -> list[Strip]:
        if self._limit is None or len(self._lines) <= self._limit:
            return self._lines
        shown = self._lines[self._first : self._first + self._limit - 1]
        last = self._first + len(shown)
        words = f"  lines {self._first + 1} to {last} of {len(self._lines):,} ({self._keys})"
        return [*shown, line_of((words, styles.DIM))]
