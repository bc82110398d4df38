"""Where a reader is in a project's log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The number of the last update that was read, and the log to which the number belongs.

    `str()` gives a text to keep in a file, and `parse` reads it again. An empty `log_id` stands for
    whichever log the project has now.
    """

    log_id: str
    seq: int

    def __str__(self) -> str:
        return f"{self.log_id}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what `str()` gave. Raises ValueError."""
        log_id, colon, seq = text.strip().rpartition(":")
        if not colon or not (seq.isascii() and seq.isdigit()):
            raise ValueError(f"{text[:80]!r} is no position; one looks like 5f1c09ab:42")
        return cls(log_id, int(seq))
