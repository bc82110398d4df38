"""The list of all keys."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.strip import Strip

from claudehub.tui import styles
from claudehub.tui.keys import Key
from claudehub.tui.layout import line_of, wrapped
from claudehub.tui.lines_view import LinesView

_KEY_COLUMNS = 22


class HelpScreen(ModalScreen[None]):
    """Keys by where they work. Any of the usual keys closes it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: ansi_default; }
    HelpScreen > LinesView {
        width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        border: round ansi_blue; background: ansi_default;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,ctrl+g,q,enter,space", "dismiss", "close"),
    ]

    def __init__(self, parts: list[tuple[str, list[Key]]]) -> None:
        super().__init__()
        self._parts = parts
        self._lines = LinesView()

    def compose(self) -> ComposeResult:
        yield self._lines

    def on_resize(self) -> None:
        width = min(self.size.width, 76) - 4 - _KEY_COLUMNS
        found: list[Strip] = []
        for heading, keys in self._parts:
            found.append(line_of((heading, styles.PROMPT)))
            for key, what in keys:
                for number, strip in enumerate(wrapped(what, width)):
                    left = "" if number else key
                    found.append(
                        Strip.join([line_of((f"{left:<{_KEY_COLUMNS}}", styles.BOLD)), strip])
                    )
        self._lines.set_lines(found)
