"""The widget that shows a conversation.

It lays out what is on the screen and nothing else, and writes only the lines that have changed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from claudehub.tui import styles
from claudehub.tui.entries import Entry, Order, PromptEntry, TextEntry, ThinkingEntry, ToolEntry
from claudehub.tui.finding import highlighted
from claudehub.tui.painting import Look, Painter
from claudehub.tui.tool_painting import OPEN_STATES
from claudehub.tui.viewport import Viewport

# Entries whose lines are kept: a screen shows some fifty.
PAINTED_KEPT = 400
WHEEL_LINES = 3
_BLANK = Strip([])


class ConversationView(Widget, can_focus=True):
    """Entries from `show`, with one of them selected while the view has the focus."""

    DEFAULT_CSS = "ConversationView { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "previous"),
        Binding("down,j", "select(1)", "next"),
        Binding("enter,space", "unfold", "unfold"),
        Binding("home,g", "start", "oldest"),
        Binding("end,G", "end", "latest"),
        Binding("y", "copy", "copy"),
        Binding("slash", "search", "search"),
        Binding("n", "again(1)", "next hit"),
        Binding("N", "again(-1)", "previous hit"),
    ]

    class StartReached(Message):
        """The first loaded line is shown, and the user wants to see what is before it."""

    class EndReached(Message):
        """The last loaded line is shown."""

    class Wanted(Message):
        """The user asks for something that the view cannot do alone."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.viewport = Viewport(self._height)
        self.selected: Order | None = None
        self.needle = ""
        self.now = 0.0
        self._painter = Painter()
        self._painted: OrderedDict[Order, tuple[object, list[Strip]]] = OrderedDict()
        self._toggled: set[Order] = set()
        self._are_open = False
        self._screen_lines: list[Strip] = []

    # -- what is shown

    def show(self, entries: Sequence[Entry], now: float) -> None:
        """Show these entries; `now` is the hub's time, for what still runs."""
        self.viewport.entries = entries
        self.now = now
        self.update_lines()

    def update_lines(self) -> None:
        """Lay out what is on the screen, and write the lines that differ from before."""
        height, width = self.size.height, self.size.width
        if not height or not width:
            return
        self.viewport.height = height
        lines = [self._line(index, line) for index, line in self.viewport.rows()]
        lines = [*[_BLANK] * (height - len(lines)), *lines]
        old = self._screen_lines
        self._screen_lines = lines
        if len(old) != len(lines):
            self.refresh()
            return
        changed = [y for y in range(height) if lines[y] is not old[y] and lines[y] != old[y]]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        line = self._screen_lines[y] if y < len(self._screen_lines) else _BLANK
        return line.adjust_cell_length(self.size.width, self.rich_style)

    @property
    def entry(self) -> Entry | None:
        """Return the selected entry."""
        if self.selected is None or not self.viewport.entries:
            return None
        return self.viewport.entries[self.viewport.index_of(self.selected)]

    def unfold(self, order: Order, is_open: bool = True) -> None:
        if self._is_open(order) != is_open:
            self._toggled ^= {order}
            self.update_lines()

    def toggle_all(self) -> None:
        """Unfold everything, or fold it again."""
        self._are_open = not self._are_open
        self._toggled.clear()
        self.update_lines()

    def go_to(self, order: Order) -> None:
        """Select the entry and bring it into view."""
        self.selected = order
        self.viewport.show(order)
        self.update_lines()

    def scroll_lines(self, lines: int) -> None:
        is_inside = self.viewport.scroll(lines)
        self.update_lines()
        if not is_inside:
            self.post_message(self.StartReached())
        elif self.viewport.anchor is None and lines > 0:
            self.post_message(self.EndReached())

    # -- lines

    def _is_open(self, order: Order) -> bool:
        return self._are_open != (order in self._toggled)

    def _gap(self, index: int) -> int:
        """Return 1 if an empty line separates the entry from the one before it."""
        if index == 0:
            return 0
        entry, before = self.viewport.entries[index], self.viewport.entries[index - 1]
        if isinstance(entry, PromptEntry | TextEntry):
            return 1
        return int(isinstance(before, PromptEntry | TextEntry | ThinkingEntry))

    def _height(self, index: int) -> int:
        return self._gap(index) + len(self._strips(index))

    def _strips(self, index: int) -> list[Strip]:
        entry = self.viewport.entries[index]
        is_open = self._is_open(entry.order)
        ticks = isinstance(entry, ToolEntry) and entry.state in OPEN_STATES
        tick = int(self.now) if ticks else 0
        state = (id(entry), entry.version, self.size.width, is_open, tick)
        kept = self._painted.pop(entry.order, None)
        if kept is None or kept[0] != state:
            look = Look(self.size.width, is_open, self.now)
            kept = (state, self._painter.paint(entry, look))
        self._painted[entry.order] = kept
        if len(self._painted) > PAINTED_KEPT:
            self._painted.popitem(last=False)
        return kept[1]

    def _line(self, index: int, line: int) -> Strip:
        gap = self._gap(index)
        if line < gap:
            return _BLANK
        strip = self._strips(index)[line - gap]
        entry = self.viewport.entries[index]
        if self.needle:
            strip = highlighted(strip, self.needle)
        if self.has_focus_within and entry.order == self.selected:
            mark = Strip([Segment("▌", styles.SELECTED)], 1)
            strip = strip.extend_cell_length(2)
            strip = Strip.join([strip.crop(0, 1), mark, strip.crop(2)])
        return strip

    # -- keys and the mouse

    def on_resize(self) -> None:
        self._painted.clear()
        self.update_lines()

    def on_focus(self) -> None:
        rows = self.viewport.rows()
        shown = {self.viewport.entries[index].order for index, _ in rows}
        if rows and self.selected not in shown:
            self.selected = self.viewport.entries[rows[-1][0]].order
        self.update_lines()

    def on_blur(self) -> None:
        self.update_lines()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def on_click(self, event: events.Click) -> None:
        rows = self.viewport.rows()
        at = event.y - (self.size.height - len(rows))
        if 0 <= at < len(rows):
            self.selected = self.viewport.entries[rows[at][0]].order
            self.action_unfold()

    def action_select(self, step: int) -> None:
        """Select the entry above or below, and scroll to it."""
        entries = self.viewport.entries
        if not entries:
            return
        index = self.viewport.index_of(self.selected or entries[-1].order) + step
        if index < 0:
            self.post_message(self.StartReached())
        elif index >= len(entries):
            self.viewport.to_end()
            self.post_message(self.EndReached())
        if 0 <= index < len(entries):
            self._select(index, step)
        self.update_lines()

    def _select(self, index: int, step: int) -> None:
        self.selected = self.viewport.entries[index].order
        last = self._height(index) - 1
        for _ in range(min(last + 2, self.size.height - 1)):
            rows = self.viewport.rows()
            if (index, 0 if step < 0 else last) in rows:
                return
            self.viewport.scroll(step)

    def action_unfold(self) -> None:
        if self.selected is not None:
            self.unfold(self.selected, not self._is_open(self.selected))

    def action_start(self) -> None:
        self.viewport.to_start()
        if self.viewport.entries:
            self.selected = self.viewport.entries[0].order
        self.update_lines()
        self.post_message(self.StartReached())

    def action_end(self) -> None:
        self.viewport.to_end()
        if self.viewport.entries:
            self.selected = self.viewport.entries[-1].order
        self.update_lines()
        self.post_message(self.Wanted("latest"))

    def action_copy(self) -> None:
        self.post_message(self.Wanted("copy"))

    def action_search(self) -> None:
        self.post_message(self.Wanted("search"))

    def action_again(self, step: int) -> None:
        self.post_message(self.Wanted("next" if step > 0 else "previous"))
