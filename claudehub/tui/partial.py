"""The answer that is being written: pieces of partial output, until the whole line comes."""

from claudehub.client.lines import ClaudeLine
from claudehub.client.updates import ClaudeDelta, ExecutionFinished, Update
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
        self._is_whole = False

    def apply(self, update: Update) -> None:
        if isinstance(update, ClaudeDelta):
            if not update.data.get("parent_tool_use_id"):
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
        self._is_whole = False

    def _piece(self, update: ClaudeDelta) -> None:
        event = update.data.get("event") or {}
        match event.get("type"):
            case "message_start":
                self.forget()
            case "content_block_start":
                block = event.get("content_block") or {}
                self.activity = _ACTIVITIES.get(block.get("type", ""), "")
                self.entry = None
                self._is_whole = True
        if update.text and self._is_whole:
            self._add(update)

    def _add(self, update: ClaudeDelta) -> None:
        if self.entry is None:
            self.entry = TextEntry(order=LAST, timestamp=update.timestamp, text="")
        self.entry.text += update.text
        self.entry.changed()
