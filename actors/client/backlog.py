"""What waits for one connection: buffers of whole frames, in order, and how much of the first is
sent. No lock, no socket: the outbox's."""

from collections import deque
from dataclasses import dataclass

from protocol import frames


@dataclass(slots=True)
class Waiting:
    """One buffer. `plain` holds the same frames one for one, not compressed.

    `kept` is `plain` without what may be dropped for a slow client; None where nothing here is an
    update that is live (a reply, a page of history). `counts`: against the limit in bytes.
    """

    frames: bytes
    plain: bytes
    kept: bytes | None
    counts: bool
    is_begun: bool = False

    @property
    def counted_bytes(self) -> int:
        """As many as the updates have when they are not compressed: that is what is held."""
        return len(self.plain) if self.counts else 0

    @property
    def kept_bytes(self) -> int:
        stays = self.kept is None or self.is_begun
        return self.counted_bytes if stays else len(self.kept or b"")


@dataclass(frozen=True, slots=True)
class Dropped:
    """Updates that were not sent: frames that are not compressed, from number `skip` on."""

    plain: bytes
    skip: int


class Backlog:
    """`counted_bytes` count against the limit; `kept_bytes` is what `strip` would leave of them."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        # A deque only while something waits: an empty one takes 624 bytes of every connection.
        self._waiting: deque[Waiting] | tuple[Waiting, ...] = ()
        self._sent_of_head = 0
        self.counted_bytes = 0
        self.kept_bytes = 0
        self.reply_bytes = 0  # of both

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, waiting: Waiting, sent_bytes: int = 0) -> None:
        """`sent_bytes`: so much of it is sent already, where nothing else waits."""
        if isinstance(self._waiting, tuple):
            self._waiting = deque()
        self._waiting.append(waiting)
        self._count(waiting, 1)
        if sent_bytes:
            self.advance(sent_bytes)

    def has_room(self, update_bytes: int) -> bool:
        """Whether an update of that size may wait as well."""
        return self._fits(self.counted_bytes, update_bytes)

    def would_have_room(self, update_bytes: int) -> bool:
        """The same, once `strip` has been called."""
        return self._fits(self.kept_bytes, update_bytes)

    def _fits(self, waiting_bytes: int, update_bytes: int) -> bool:
        """Replies fill half of the room at most: a large one must not cut off who asked for it.
        (They have a limit of their own, in the Client.)"""
        if not waiting_bytes or not update_bytes:
            return True
        counted = waiting_bytes - self.reply_bytes + min(self.reply_bytes, self._limit_bytes // 2)
        return counted + update_bytes <= self._limit_bytes

    def next_bytes(self) -> memoryview:
        """What goes out next: the rest of the first buffer."""
        return memoryview(self._waiting[0].frames)[self._sent_of_head :]

    def rest_of_frame(self) -> bytes:
        """The rest of the frame that is half sent; empty between two frames."""
        if not self._sent_of_head:
            return b""
        head = self._waiting[0].frames
        return head[self._sent_of_head : frames.boundary(head, self._sent_of_head)]

    def advance(self, sent_bytes: int) -> None:
        """So much more of the first buffer is sent. What is begun cannot be dropped any more."""
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
        """Drops what may be dropped of all that is not begun. Whether something compressed went:
        then nothing may refer to it any more."""
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

    def drop(self) -> tuple[bytes, list[Dropped]]:
        """Empties it: the rest of the frame that is half sent, and what is given up."""
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
