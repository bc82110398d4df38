"""The widget in which a prompt is written."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from claudehub.show.safe_text import plain
from claudehub.tui.prompt_history import PromptHistory

# A terminal sends the same for shift+enter as for enter, unless it speaks a newer protocol. These
# are no bindings: textual carries out a binding behind the keys that have come with it.
NEW_LINE_KEYS = ("ctrl+j", "alt+enter", "shift+enter")


class PromptBox(TextArea):
    """Several lines of text. Enter sends it as `Sent`, and the arrow keys at the first and the last
    line go through earlier prompts."""

    DEFAULT_CSS = """
    PromptBox {
        height: auto; max-height: 8; border: none; padding: 0; background: ansi_default;
        &:focus { border: none; }
        & .text-area--cursor-line { background: ansi_default; }
        & .text-area--placeholder { color: ansi_default; text-style: dim; }
        & .text-area--cursor { color: ansi_default; background: ansi_default; text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+d", "leave_or_delete", show=False),
    ]

    class Sent(Message):
        """The prompt is complete."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Ctrl-D in an empty prompt: the user wants to leave."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False)
        self.cursor_blink = False
        self.earlier_prompts = PromptHistory()

    class EarlierWanted(Message):
        """The user wants to see a prompt from before those that are known."""

    def add_earlier(self, prompts: Sequence[str]) -> None:
        """Take prompts from the past, and show the newest of them."""
        self.earlier_prompts.prepend(prompts)
        if (text := self.earlier_prompts.earlier(self.text)) is not None:
            self.put(text)

    def remember(self, prompts: Sequence[str]) -> None:
        self.earlier_prompts.take(prompts)

    def put(self, text: str) -> None:
        """Replace the text, with the cursor behind it."""
        self.text = plain(text)
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        row, _ = self.cursor_location
        if event.key == "enter" or event.key in NEW_LINE_KEYS:
            event.stop()
            event.prevent_default()
            if event.key == "enter":
                self._send()
            else:
                self.insert("\n")
            return
        earlier: str | None = None
        if event.key == "up" and row == 0:
            earlier = self.earlier_prompts.earlier(self.text)
            if earlier is None:
                self.post_message(self.EarlierWanted())
        elif event.key == "down" and row == self.document.line_count - 1:
            earlier = self.earlier_prompts.later()
        elif event.is_printable:
            self.earlier_prompts.reset()
        if earlier is None:
            await super()._on_key(event)
        else:
            event.stop()
            event.prevent_default()
            self.put(earlier)

    def _send(self) -> None:
        """Send the text. A backslash at its end asks for another line, as in a shell."""
        if self.text.endswith("\\"):
            self.put(self.text[:-1] + "\n")
        elif self.text.strip():
            text = self.text.strip("\n")
            self.earlier_prompts.reset()
            self.put("")
            self.post_message(self.Sent(text))

    def action_leave_or_delete(self) -> None:
        if self.text:
            self.action_delete_right()
        else:
            self.post_message(self.Left())
