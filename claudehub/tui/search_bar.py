"""The line in which a search is typed."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from claudehub.tui import styles
from claudehub.tui.layout import line_of
from claudehub.tui.lines_view import LinesView


class SearchBar(Horizontal):
    """It posts `Wanted` with a step: -1 for the hit before, 1 for the one behind."""

    DEFAULT_CSS = """
    SearchBar { height: 1; display: none; }
    SearchBar > .label { width: 9; }
    SearchBar > .status { width: 44; }
    SearchBar > Input {
        width: 1fr; height: 1; border: none; padding: 0; background: ansi_default;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "find(-1)", "older hit"),
        Binding("down", "find(1)", "newer hit"),
        Binding("escape", "close", "close"),
    ]

    class Wanted(Message):
        """Look for the next hit."""

        def __init__(self, needle: str, step: int) -> None:
            super().__init__()
            self.needle = needle
            self.step = step

    class Closed(Message):
        """The search is over."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = LinesView(classes="label")
        self._input = Input(compact=True)
        self._status = LinesView(classes="status")

    def compose(self) -> ComposeResult:
        self._input.cursor_blink = False
        self._label.set_lines([line_of((" search ", styles.ACCENT))])
        yield self._label
        yield self._input
        yield self._status

    @property
    def needle(self) -> str:
        return self._input.value.strip()

    def open(self) -> None:
        self.display = True
        self.say("enter ↑ older · ↓ newer · esc")
        self.screen.set_focus(self._input)

    def say(self, text: str) -> None:
        """Say how the search goes."""
        self._status.set_lines([line_of((text, styles.DIM))])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_find(-1)

    def action_find(self, step: int) -> None:
        if self.needle:
            self.post_message(self.Wanted(self.needle, step))

    def action_close(self) -> None:
        self.display = False
        self.post_message(self.Closed())
