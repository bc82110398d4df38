"""What does not work at present, for health_check and the log."""

import threading

from actors.runtime.logger import get_logger

logger = get_logger("claudehub.health")


class Problems:
    """One sentence for each part of the server that does not work.

    Any thread may use it: some parts are no actors, and some start before the Hub.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sentences: dict[str, str] = {}

    def note(self, part: str, sentence: str | None) -> None:
        """Note what is wrong with a part, and log it; None: it works (again)."""
        with self._lock:
            before = self._sentences.get(part)
            if sentence is None:
                self._sentences.pop(part, None)
            else:
                self._sentences[part] = sentence
        if sentence is not None and sentence != before:
            logger.warning("something does not work", part=part, problem=sentence)
        elif sentence is None and before is not None:
            logger.info("it works again", part=part)

    def of(self, part: str) -> str | None:
        """Return what is wrong with a part, or None."""
        with self._lock:
            return self._sentences.get(part)

    def now(self) -> list[str]:
        """Return the sentences, each behind the name of its part."""
        with self._lock:
            return [f"{part}: {sentence}" for part, sentence in self._sentences.items()]
