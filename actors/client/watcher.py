"""One client's view of all projects: the list first, then what changes, without a hole.

The Hub makes the list and offers changes from that moment on. They are held here until the Client
has written the list, because replies go in the order of the requests. Meanwhile, and while the
socket is full, one project has one change that waits: a newer one takes its place.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from actors.client.backlog import Waiting
from actors.client.outbox import Outbox, WriteResult
from protocol.dialect import Broadcast, Dialect
from protocol.updates import UpdateType


class ClientWatcher:
    """A Watcher (actors/ports.py) that writes to an outbox, for one `watch`. `overflowed` tells the
    Client that it was too slow; `sent` is called for updates that were written.

    A project that ends before the list is written is taken out of the list. After that its end goes
    out, unless a subscription of the client has it: the outbox's `ended` says so.
    """

    def __init__(
        self,
        *,
        client_id: str,
        dialect: Dialect,
        outbox: Outbox,
        overflowed: Callable[[], None],
        sent: Callable[[UpdateType, int], None] | None = None,
    ) -> None:
        self.id = client_id
        self.dialect = dialect
        self._outbox = outbox
        self._overflowed = overflowed
        self._sent = sent
        self._is_on = self._is_live = False
        self._listed: frozenset[str] = frozenset()
        self._gone: set[str] = set()  # of those: what has ended since
        self._held: dict[str, Broadcast] = {}
        self._waiting = WeakValueDictionary[str, Waiting]()  # in the outbox, not sent

    # -- in the Hub's thread -----------------------------------------------------------------

    def begin(self, listed: frozenset[str]) -> None:
        with self._outbox.lock:
            self._is_on, self._listed = True, listed
            self._outbox.ended = set()

    def offer(self, project_id: str, batch: Broadcast) -> None:
        with self._outbox.lock:
            if is_live := self._is_live:
                self._write(project_id, batch)
            elif self._is_on:
                self._held[project_id] = batch
        if is_live:
            self._count(UpdateType.PROJECT_CHANGED)

    def offer_last(self, project_id: str, batch: Broadcast, *, is_known: bool) -> None:
        with self._outbox.lock:
            ended = self._outbox.ended
            has_it = ended is not None and project_id in ended
            if has_it and ended is not None:
                ended.discard(project_id)
            is_wanted = self._is_live and is_known and not has_it
            if self._is_live:
                self._write_last(project_id, batch, is_wanted=is_wanted)
            else:
                self._held.pop(project_id, None)
                if project_id in self._listed:
                    self._gone.add(project_id)
        if is_wanted:
            self._count(UpdateType.PROJECT_DELETED)

    def end(self) -> None:
        with self._outbox.lock:
            self._is_on = self._is_live = False
            self._held.clear()
            self._outbox.ended = None

    # -- in the Client's thread --------------------------------------------------------------

    def go_live(self, framed: Callable[[dict[str, Any]], bytes], payload: dict[str, Any]) -> None:
        """Write the result, and what has changed since it was made; from now on changes go out at
        once. `framed` makes the frames of a payload."""
        gone: frozenset[str] = frozenset()
        while True:
            shown = {**payload, "projects": _without(payload["projects"], gone)}
            frame = framed(shown)
            with self._outbox.lock:
                if gone == (gone := self._ended_since()):
                    self._outbox.write_locked(frame, counts=True)
                    released = self._release()
                    break
        self._count(UpdateType.PROJECT_CHANGED, released)

    def _count(self, update_type: UpdateType, count: int = 1) -> None:
        """Count what was written; without the lock, because counting takes another one."""
        if self._sent is not None and count:
            self._sent(update_type, count)

    # -- inside, with the lock held ----------------------------------------------------------

    def _ended_since(self) -> frozenset[str]:
        """Return what of the list has ended. A subscription may have told it before the Hub."""
        told = self._listed & (self._outbox.ended or set())
        return told | self._gone

    def _release(self) -> int:
        """Write what was held; return how much that was."""
        self._is_live = self._is_on
        held, self._held = self._held, {}
        for project_id, batch in held.items():
            self._write(project_id, batch)
        self._listed, self._gone = frozenset(), set()
        return len(held)

    def _write(self, project_id: str, batch: Broadcast) -> None:
        earlier = self._waiting.get(project_id)
        waiting = self._outbox.write_newest(batch.frames, earlier)
        if waiting is not None:
            self._waiting[project_id] = waiting

    def _write_last(self, project_id: str, batch: Broadcast, *, is_wanted: bool) -> None:
        waiting = self._waiting.pop(project_id, None)
        if waiting is not None:
            self._outbox.withdraw(waiting)
        if is_wanted:
            frames = batch.frames
            if self._outbox.write_live(frames, frames, frames) is WriteResult.OVERFLOW:
                self._is_live = False
                self._overflowed()


def _without(projects: list[dict[str, Any]], ids: frozenset[str]) -> list[dict[str, Any]]:
    return [project for project in projects if project["project_id"] not in ids]
