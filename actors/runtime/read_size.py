"""How many bytes to ask the system for in one read."""

LEAST_BYTES = 4 * 1024
MOST_BYTES = 64 * 1024


class ReadSize:
    """`bytes` is what to ask for: little, until a read was full.

    Python allocates what is asked for, and gives back what did not come. What other threads
    allocate in that gap keeps the next reads out of it, so the heap grows: asking for 64 KiB each
    time, bench/soak.py had 12 MiB of unused heap after four minutes, and so 4.
    """

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = LEAST_BYTES

    def note(self, size_bytes: int) -> None:
        """Learn from what has come."""
        if size_bytes >= self.bytes:
            self.bytes = MOST_BYTES
        elif size_bytes < LEAST_BYTES:
            self.bytes = LEAST_BYTES
