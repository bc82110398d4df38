"""How many bytes to ask the system for in one read."""

LEAST_BYTES = 4 * 1024
MOST_BYTES = 64 * 1024


class ReadSize:
    """`bytes` is what to ask for: little, until a read was full.

    Python allocates what is asked for, and gives back what did not come. Other threads allocate in
    that gap, so the next read does not fit there, and the heap grows. After four minutes of
    bench/soak.py it had 12 MiB unused when each read asked for 64 KiB, and has 4 MiB now.
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
