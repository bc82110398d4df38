"""What waits for one connection: buffers of whole frames, in order, and how much of the first is
sent. No lock and no socket: the outbox has those."""

from collections import deque
from dataclasses import dataclass

from protocol import frames


@dataclass(slots=True, eq=False, weakref_slot=True)
class Waiting:
    """One buffer. `plain` holds the same frames one for one, uncompressed.

    `kept` is `plain` without what may be dropped for a slow client; None if the buffer holds no
    live update (a reply, a page of history). `counts`: it counts against the limit in bytes.
    """

    frames: bytes
    plain: bytes
    kept: bytes | None
    counts: bool
    is_begun: bool = False

    @property
    def counted_bytes(self) -> int:
        """Return the uncompressed size: memory holds both."""
        return len(self.plain) if self.counts else 0

    @property
    def kept_bytes(self) -> int:
        stays = self.kept is None or self.is_begun
        return self.counted_bytes if stays else len(self.kept or b"")


@dataclass(frozen=True, slots=True)
class Dropped:
    """Updates that were not sent: uncompressed frames, from number `skip` on."""

    plain: bytes
    skip: int


class Backlog:
    """`counted_bytes` count against the limit; `kept_bytes` is what `strip` would leave of them."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        # A deque only while something waits: an empty deque costs 624 bytes for every connection.
        self._waiting: deque[Waiting] | tuple[Waiting, ...] = ()
        self._sent_of_head = 0
        self.counted_bytes = 0
        self.kept_bytes = 0
        self.reply_bytes = 0  # the replies in both

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, waiting: Waiting, sent_bytes: int = 0) -> None:
        """Add a buffer; `sent_bytes` of it are already sent, if nothing else waits."""
        if isinstance(self._waiting, tuple):
            self._waiting = deque()
        self._waiting.append(waiting)
        self._count(waiting, 1)
        if sent_bytes:
            self.advance(sent_bytes)

    def has_room(self, update_bytes: int, held_bytes: int = 0) -> bool:
        """Return True if an update of that size may wait as well, beside what is held elsewhere."""
        return self._fits(self.counted_bytes + held_bytes, update_bytes)

    def would_have_room(self, update_bytes: int) -> bool:
        """Return True if it might wait after `strip`."""
        return self._fits(self.kept_bytes, update_bytes)

    def _fits(self, waiting_bytes: int, update_bytes: int) -> bool:
        """Compare with the limit. Replies fill at most half of the room: a large one must not cut
        off the client that asked for it. (The Client has a limit for replies.)"""
        if not waiting_bytes or not update_bytes:
            return True
        counted = waiting_bytes - self.reply_bytes + min(self.reply_bytes, self._limit_bytes // 2)
        return counted + update_bytes <= self._limit_bytes

    def next_bytes(self) -> memoryview:
        """Return what goes out next: the rest of the first buffer."""
        return memoryview(self._waiting[0].frames)[self._sent_of_head :]

    def rest_of_frame(self) -> bytes:
        """Return the rest of the frame that is half sent; empty between two frames."""
        if not self._sent_of_head:
            return b""
        head = self._waiting[0].frames
        return head[self._sent_of_head : frames.boundary(head, self._sent_of_head)]

    def advance(self, sent_bytes: int) -> None:
        """Note that more of the first buffer is sent. A buffer that has begun cannot be dropped any
        more."""
        head = self._waiting[0]
        if not self._sent_of_head and not head.is_begun:
            self._count(head, -1)
            head.is_begun = True
            self._count(head, 1)
        self._sent_of_head += sent_bytes
        if self._sent_of_head == len(head.frames):
            self._take_head()
            self._sent_of_head = 0
            self._count(head, -1)

    def strip(self) -> bool:
        """Drop what may be dropped from all buffers that have not begun. Return True if compressed
        frames went: later frames must not refer to them."""
        broken = False
        begun = [self._take_head()] if self._sent_of_head else []
        for waiting in self._waiting:
            if waiting.kept is not None:
                broken = broken or waiting.frames is not waiting.plain
                self._count(waiting, -1)
                waiting.frames = waiting.plain = waiting.kept
                self._count(waiting, 1)
        self._waiting = deque([*begun, *(w for w in self._waiting if w.frames)])
        return broken

    def withdraw(self, waiting: Waiting) -> None:
        """Take out a buffer that has not begun and does not count."""
        left = deque(other for other in self._waiting if other is not waiting)
        self._waiting = left or ()

    def drop(self) -> tuple[bytes, list[Dropped]]:
        """Empty it; return the rest of the frame that is half sent, and what is given up."""
        rest = self.rest_of_frame()
        dropped = []
        if self._waiting:
            begun = frames.count_before(self._waiting[0].frames, self._sent_of_head + len(rest))
            dropped = [Dropped(w.plain, 0) for w in self._waiting]
            dropped[0] = Dropped(self._waiting[0].plain, begun)
        self.clear()
        return rest, dropped

    def clear(self) -> None:
        self._waiting = ()
        self._sent_of_head = self.counted_bytes = self.kept_bytes = self.reply_bytes = 0

    def _take_head(self) -> Waiting:
        assert isinstance(self._waiting, deque)
        head = self._waiting.popleft()
        if not self._waiting:
            self._waiting = ()
        return head

    def _count(self, waiting: Waiting, sign: int) -> None:
        self.counted_bytes += sign * waiting.counted_bytes
        self.kept_bytes += sign * waiting.kept_bytes
        if waiting.kept is None:
            self.reply_bytes += sign * waiting.counted_bytes
