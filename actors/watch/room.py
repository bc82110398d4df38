"""Is there room for new prompts: MIN_FREE_BYTES."""

from pathlib import Path

from storage.disk import free_bytes
from storage.sizes import in_words

# Its name among the problems.
STORAGE = "storage"


def room_problem(folder: Path, min_free_bytes: int) -> str | None:
    """Return why prompts are refused for want of space, or None. The sentence has no number that
    changes all the time: it is logged when it begins and when it ends."""
    try:
        free = free_bytes(folder)
    except OSError as error:
        return f"the free space is not known: {error}"
    if free >= min_free_bytes:
        return None
    return f"less than MIN_FREE_BYTES ({in_words(min_free_bytes)}) is free; prompts are refused"


class StoragePlace:
    """The disk of the data folder, as a Place that is looked at. Any thread may use it."""

    name = STORAGE

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self.min_free_bytes = min_free_bytes
        self._folder = folder

    def look(self) -> str | None:
        return room_problem(self._folder, self.min_free_bytes)

    def free_bytes(self) -> int:
        """Return the free space. Raises OSError."""
        return free_bytes(self._folder)
