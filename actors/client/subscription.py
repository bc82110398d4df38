"""One client's subscription to one project: history first, then live, without a seam.

While it replays, the Client reads pages of the log and hands them on, and the project's batches are
only noted. The step to live is taken under the outbox's lock, which `offer` holds too, at the
moment when the position is the newest number offered. A batch from before that moment is in the
log, at or below that number; a batch from after it finds the subscription live. So nothing is lost,
and nothing comes twice.
"""

from collections.abc import Callable

from actors.client.outbox import Outbox, WriteResult
from protocol.dialect import Broadcast, Dialect
from protocol.inflater import Inflater

_TAKEN = WriteResult.TAKEN  # see outbox.py


class Subscription:
    """A Subscriber (actors/ports.py) that writes to an outbox.

    `overflowed` and `ended` tell the Client that it was too slow, and that the project's actor
    failed. `position` is the last number handed to the outbox.
    """

    __slots__ = (
        "_ended",
        "_final",
        "_is_over",
        "_newest",
        "_outbox",
        "_overflowed",
        "_state_frames",
        "dialect",
        "id",
        "is_live",
        "position",
        "project_id",
        "wants_ephemeral",
    )

    def __init__(
        self,
        *,
        subscriber_id: str,
        project_id: str,
        dialect: Dialect,
        outbox: Outbox,
        wants_ephemeral: bool,
        overflowed: Callable[[str, int], None],
        ended: Callable[[str], None],
    ) -> None:
        self.id = subscriber_id
        self.project_id = project_id
        self.dialect = dialect
        self.position = 0
        self._outbox = outbox
        self.wants_ephemeral = wants_ephemeral
        self._overflowed = overflowed
        self._ended = ended
        self._newest = 0
        self._is_over = False
        self.is_live = False
        self._final: Broadcast | None = None
        self._state_frames = b""

    @property
    def newest(self) -> int:
        """Return the newest number that was offered."""
        return self._newest

    def register(self, position: int, last_seq: int) -> None:
        self.position, self._newest = position, last_seq

    def offer(self, batch: Broadcast) -> None:
        with self._outbox.lock:
            if batch.last_seq is not None:
                self._newest = batch.last_seq
            if self.is_live:
                self._deliver(batch)
            elif batch.is_final:
                self._final = batch
            elif batch.state_frames:
                self._state_frames = batch.state_frames
            if batch.is_final:
                self._take_end()

    def closed(self, why: str) -> None:
        self._ended(why)

    def replayed(self, frames: bytes, position: int) -> None:
        """Write a page of history; for the Client, while the subscription is not live."""
        self._outbox.write(frames, counts=False)
        self.position = position

    def go_live(self) -> bool:
        """Step to live where the replay has reached the newest number; return True once live."""
        with self._outbox.lock:
            if not self.is_live and self.position >= self._newest:
                self.is_live = True
                self._leave_stream()  # an earlier subscription's; not all of it was sent
                if self._state_frames:
                    self._outbox.write_locked(self._state_frames, counts=False)
                    self._state_frames = b""
                if self._final is not None:
                    self._deliver(self._final)
                    self._leave_stream()
            return self.is_live

    def abandon_replay(self) -> bool:
        """Give up a replay whose log cannot be read.

        Return True if nobody waits for the rest. Either the project is deleted, and its end is
        delivered; or the client has left, or joined again, and the log may be gone since: the
        answer to that is on its way to the Client.
        """
        with self._outbox.lock:
            if self._is_over:
                return True
            if self._final is None:
                return False
            self.is_live = True
            self._deliver(self._final)
            self._leave_stream()
            return True

    def left(self) -> None:
        with self._outbox.lock:
            self._is_over = True
            self._leave_stream()

    def replaced(self) -> None:
        with self._outbox.lock:
            self._is_over = True

    def _take_end(self) -> None:
        """Note that this subscription takes the project's end to the client, which may watch, too:
        it gets the end once (actors/client/watcher.py)."""
        if self._outbox.ended is not None:
            self._outbox.ended.add(self.project_id)
        if self.is_live:
            self._leave_stream()

    def _leave_stream(self) -> None:
        inflater = self._outbox.inflater
        if inflater is not None and inflater.project_id == self.project_id:
            inflater.leave(self.project_id)

    def _deliver(self, batch: Broadcast) -> None:
        plain = batch.frames if self.wants_ephemeral else batch.kept_frames
        frames = plain
        if self._outbox.inflater is not None and plain:
            frames = self._deflated(batch, self._outbox.inflater) or plain
        # Some updates have no message in this version: then there is nothing to send.
        result = self._outbox.write_live(frames, plain, batch.kept_frames) if plain else _TAKEN
        if result is _TAKEN:
            if batch.last_seq is not None:
                self.position = batch.last_seq
        elif result is WriteResult.OVERFLOW:
            self.is_live = False
            self._overflowed(self.project_id, self.position)

    def _deflated(self, batch: Broadcast, inflater: Inflater) -> bytes | None:
        if batch.deflation is None:
            return None
        if inflater.project_id != self.project_id and not inflater.follows(self.project_id):
            return None
        messages = batch.messages if self.wants_ephemeral else batch.kept_messages
        return batch.deflation.frames(messages, inflater, with_ephemeral=self.wants_ephemeral)
