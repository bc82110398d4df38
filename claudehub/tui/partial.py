"""The answer that is being written: pieces of partial output, until the whole line comes."""

from claudehub.client.lines import ClaudeLine
from claudehub.client.updates import ClaudeDelta, ExecutionFinished, Update
from claudehub.show.streaming import Streaming
from claudehub.tui.entries import LAST, TextEntry

_ACTIVITIES = {"thinking": "thinking", "tool_use": "preparing a tool call", "text": "writing"}


class Partial:
    """What the agent is about to say. `entry` is None while nothing of it is known.

    Pieces are not stored, and the first to be lost. So a text is shown only if its beginning was
    seen, and the whole line, which always comes, replaces it.
    """

    def __init__(self) -> None:
        self.entry: TextEntry | None = None
        self.activity = ""
        self._streaming = Streaming()

    def apply(self, update: Update) -> None:
        if isinstance(update, ClaudeDelta):
            self._piece(update)
        elif isinstance(update, ClaudeLine):
            if update.line.get("type") == "assistant" and not update.parent_tool_use_id:
                self.entry = None
                self.activity = ""
        elif isinstance(update, ExecutionFinished):
            self.forget()

    def forget(self) -> None:
        """Drop what is shown: the connection was lost, or the execution has ended."""
        self.entry = None
        self.activity = ""
        self._streaming = Streaming()

    def _piece(self, update: ClaudeDelta) -> None:
        event = update.data.get("event")
        if not isinstance(event, dict) or update.data.get("parent_tool_use_id"):
            return
        text = self._streaming.piece(update)
        if event.get("type") in ("message_start", "content_block_start"):
            block = event.get("content_block") or {}
            self.activity = _ACTIVITIES.get(block.get("type", ""), "")
            self.entry = None
        if text:
            if self.entry is None:
                self.entry = TextEntry(order=LAST, timestamp=update.timestamp, text="")
            self.entry.text += text
            self.entry.changed()
