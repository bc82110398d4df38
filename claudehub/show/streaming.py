"""How partial output and whole lines belong together: a text that has streamed is not shown
again."""

from claudehub.client.updates import ClaudeDelta


class Streaming:
    """One text at a time, of the agent itself.

    A text streams only if its beginning was seen: pieces may have been dropped for a slow client,
    and a stream may begin in the middle. Else the whole line shows it.
    """

    def __init__(self) -> None:
        self._message_id: str | None = None
        self._is_open = False
        self._text = ""

    def piece(self, update: ClaudeDelta) -> str:
        """Take a piece; return the text to show, which may be empty."""
        event = update.data.get("event")
        if not isinstance(event, dict) or update.data.get("parent_tool_use_id"):
            return ""  # a subagent's text comes as whole lines, not mixed into the agent's
        match event.get("type"):
            case "message_start":
                self._begin(update.message_id)
            case "content_block_start":
                self._begin(update.message_id or self._message_id)
        if not self._is_open or not update.text:
            return ""
        if update.message_id not in (None, self._message_id):
            self._is_open = False  # the beginning of this one was dropped
            return ""
        self._text += update.text
        return update.text

    def rest(self, message_id: str | None, text: str) -> str | None:
        """Take the whole text of a block; return what has not been shown of it, or None if the
        pieces shown are no beginning of it, so that it must be shown anew."""
        streamed, self._text = self._text if self.has_begun(message_id) else "", ""
        self._is_open = False
        if text.startswith(streamed):
            return text.removeprefix(streamed)
        # White space at the end may differ; nobody sees it.
        return "" if streamed.rstrip() == text.rstrip() else None

    def has_begun(self, message_id: str | None) -> bool:
        """Return whether pieces of this message's present text have been shown."""
        return bool(self._text) and self._message_id in (None, message_id)

    def _begin(self, message_id: str | None) -> None:
        self._message_id, self._is_open, self._text = message_id, True, ""
