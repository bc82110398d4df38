"""The last line of a screen: the keys, or for some seconds a sentence."""

from rich.style import Style
from textual.timer import Timer

from claudehub.show.safe_text import cut, one_line
from claudehub.tui import styles
from claudehub.tui.keys import Key, key_line
from claudehub.tui.layout import line_of
from claudehub.tui.lines_view import LinesView

NOTICE_S = 6.0


class BottomLine(LinesView):
    """It shows what `show_keys` was given last, and before that what `say` says."""

    DEFAULT_CSS = "BottomLine { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._pressable: list[Key] = []
        self._notice: tuple[str, Style] | None = None
        self._timer: Timer | None = None

    def show_keys(self, keys: list[Key]) -> None:
        self._pressable = keys
        self._paint()

    def say(self, text: str, style: Style = styles.DIM) -> None:
        """Show a sentence in the place of the keys, for some seconds."""
        self._notice = (one_line(text), style)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(NOTICE_S, self._forget)
        self._paint()

    def _forget(self) -> None:
        self._notice = None
        self._paint()

    def on_resize(self) -> None:
        self._paint()

    def _paint(self) -> None:
        width = self.size.width
        if self._notice is not None:
            text, style = self._notice
            self.set_lines([line_of((" " + cut(text, width - 2), style))])
        else:
            self.set_lines([key_line(self._pressable, width)])
