"""The prompts that were sent before, for the arrow keys."""

from collections.abc import Sequence


class PromptHistory:
    """The place in a list of earlier prompts, whoever sent them. The draft is kept as the newest
    entry."""

    def __init__(self) -> None:
        self._prompts: list[str] = []
        self._place: int | None = None
        self._draft = ""

    def take(self, prompts: Sequence[str]) -> None:
        """Take the prompts, oldest first. One that was sent twice in a row counts once. While
        somebody looks through them, they stay as they are."""
        if self._place is None:
            self._prompts = [
                text for n, text in enumerate(prompts) if n == 0 or text != prompts[n - 1]
            ]

    def earlier(self, text: str) -> str | None:
        """Return the prompt before the one that is shown, or None if there is none."""
        if self._place is None:
            if not self._prompts:
                return None
            self._draft, self._place = text, len(self._prompts)
        if self._place == 0:
            return None
        self._place -= 1
        return self._prompts[self._place]

    def later(self) -> str | None:
        """Return the next prompt, or the draft behind the newest, or None at the draft."""
        if self._place is None:
            return None
        self._place += 1
        if self._place < len(self._prompts):
            return self._prompts[self._place]
        self._place = None
        return self._draft

    def prepend(self, prompts: Sequence[str]) -> None:
        """Take prompts from before those that are known, oldest first."""
        self._prompts[:0] = prompts
        if self._place is not None:
            self._place += len(prompts)

    def reset(self) -> None:
        """Go back to the draft: a prompt was sent, or the text was changed."""
        self._place = None
