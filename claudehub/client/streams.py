"""What a reader of updates waits at, and how the readers of one project share a subscription.

A connection has one subscription a project. So the subscription begins at the reader that is
furthest behind, and each reader skips what it has seen.
"""

from collections.abc import Callable, Mapping
from typing import Any

from claudehub.client.errors import HubError
from claudehub.client.position import Position
from claudehub.client.reading import changed, deleted, update_of
from claudehub.client.updates import Gap, ProjectDeleted, Update

# Past this a reader is too slow: it is taken out of the subscription, and put in again, behind what
# it has, when it takes that. Nothing is lost, and the memory is bounded.
BUFFER_BYTES_MAX = 16 * 1024 * 1024
# What a reader gets that wants no ephemeral updates.
ALWAYS_SENT = frozenset({"status"})
# For what an update costs beside its text.
UPDATE_BYTES = 500


class Reader:
    """A queue of updates. `take` gives what is there. `on_change` is called when something arrives,
    and at the end; `on_room` when a reader that was too slow has taken what it had."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.error: HubError | None = None
        self.is_over = False
        self.is_paused = False

    @property
    def is_ready(self) -> bool:
        """Return True if `take` has something to say."""
        return self.is_over

    def take(self) -> list[Update]:
        """Return the updates that have arrived. Raises the HubError that ended the stream. Raises
        EOFError behind the last update of one that has ended."""
        if self.error is not None:
            raise self.error
        if self.is_over:
            raise EOFError
        return []

    def end(self, error: HubError | None = None) -> None:
        """Let the reader take what is there, and then end."""
        if not self.is_over:
            self.is_over = True
            self.error = error
            self.on_change()

    def abandon(self) -> None:
        """Nobody reads any more. It only sets flags, so any thread may call it at any time; the
        session forgets the reader when it next has something for it."""
        self.is_over = True


class Stream(Reader):
    """The updates of one project behind `position`."""

    def __init__(self, project_id: str, position: Position, ephemeral: bool) -> None:
        super().__init__()
        self.project_id = project_id
        self.position = position
        self.ephemeral = ephemeral
        self._buffer: list[Update] = []
        self._buffered_bytes = 0

    @property
    def is_ready(self) -> bool:
        return bool(self._buffer) or self.is_over

    def take(self) -> list[Update]:
        if not self._buffer:
            return super().take()
        taken, self._buffer, self._buffered_bytes = self._buffer, [], 0
        if self.is_paused:
            self.is_paused = False
            self.on_room()
        return taken

    def offer(self, update: Update, size_bytes: int) -> None:
        """Take an update if it is meant for this reader and it has not seen it."""
        if self.is_over or self.is_paused:
            return
        position = update.position
        assert position is not None
        # Another reader may be at another place of the log, and what is meant for that one comes
        # here too, until the hub has taken notice of a join that begins at this reader's place.
        here = self.position
        if position.log_id != here.log_id:
            return
        if update.seq is not None:
            if position.seq != here.seq + 1:
                return
            self.position = position
        elif isinstance(update, Gap):
            if not (update.first_seq <= here.seq + 1 and position.seq > here.seq):
                return
            self.position = position
        elif position != here or not (self.ephemeral or update.type in ALWAYS_SENT):
            return
        self._put(update, size_bytes)

    def deleted(self, update: Update) -> None:
        """The project is deleted: say so, also to a reader that is too slow, and end."""
        if not self.is_over:
            self._buffer.append(update)
            self.end()

    def abandon(self) -> None:
        super().abandon()
        self._buffer = []

    def moved(self, gone: Update) -> None:
        """Go on in another place, where `gone` says what is missing."""
        assert gone.position is not None
        self.position = gone.position
        self._put(gone, 0)

    def _put(self, update: Update, size_bytes: int) -> None:
        self._buffer.append(update)
        self._buffered_bytes += size_bytes + UPDATE_BYTES
        if self._buffered_bytes > BUFFER_BYTES_MAX:
            self.is_paused = True
        if len(self._buffer) == 1:  # the reader takes all that it finds
            self.on_change()


class WatchStream(Reader):
    """The newest state of each project; one that is read slowly skips older ones."""

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[str, Update] = {}
        self._known: set[str] = set()

    @property
    def is_ready(self) -> bool:
        return bool(self._newest) or self.is_over

    def take(self) -> list[Update]:
        if not self._newest:
            return super().take()
        taken, self._newest = list(self._newest.values()), {}
        return taken

    def begin(self, projects: list[Mapping[str, Any]]) -> None:
        """Take the present state of all projects. What is no longer there was deleted."""
        present = {project["project_id"]: project for project in projects}
        for project_id in self._known - present.keys():
            self._newest[project_id] = deleted(project_id)
        self._known = set(present)
        self._newest |= {project_id: changed(project) for project_id, project in present.items()}
        self.on_change()

    def offer(self, update: Update) -> None:
        if self.is_over:
            return
        if isinstance(update, ProjectDeleted):
            if update.project_id not in self._known:
                return  # the hub tells those who have joined the project once more
            self._known.discard(update.project_id)
        else:
            self._known.add(update.project_id)
        self._newest.pop(update.project_id, None)  # the newest goes to the end of the line
        self._newest[update.project_id] = update
        self.on_change()


class Subscription:
    """The readers of one project, and where its updates stand on this connection.

    `position` is the last update that has arrived, or None while nothing is joined.
    """

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.streams: list[Stream] = []
        self.position: Position | None = None
        self.has_ephemeral = False
        self.is_joining = False
        self.gone_in_a_row = 0
        # A reader has become too slow, or was abandoned.
        self.is_to_be_settled = False

    def active(self) -> list[Stream]:
        return [s for s in self.streams if not s.is_paused and not s.is_over]

    def furthest_behind(self) -> Stream | None:
        """Return the reader from which a join must begin. One of another log comes first: the hub
        then says that its log is gone."""
        here = self.position.log_id if self.position is not None else None
        return min(
            self.active(),
            key=lambda s: (s.position.log_id in ("", here), s.position.seq),
            default=None,
        )

    def needs_join(self) -> bool:
        """Return True if a reader waits for something that the present subscription does not
        bring."""
        behind = self.furthest_behind()
        if behind is None or self.is_joining:
            return False
        if self.position is None or behind.position.log_id not in ("", self.position.log_id):
            return True
        wants_more = any(s.ephemeral for s in self.active()) and not self.has_ephemeral
        return behind.position.seq < self.position.seq or wants_more

    def joined(self, position: Position, ephemeral: bool) -> None:
        """The updates behind `position` follow."""
        self.is_joining = False
        self.gone_in_a_row = 0
        self.position = position
        self.has_ephemeral = ephemeral
        for stream in self.streams:
            if not stream.position.log_id:
                stream.position = Position(position.log_id, stream.position.seq)

    def left(self) -> None:
        """Nothing comes any more: the connection is gone, or the project was left."""
        self.is_joining = False
        self.position = None

    def receive(self, raw: Mapping[str, Any], size_bytes: int) -> bool:
        """Give an update to the readers. Return False if numbers are missing before it."""
        here = self.position
        if here is None:
            return True  # left meanwhile
        first_seq: Any = raw.get("seq")
        last_seq = first_seq
        if last_seq is None and raw["update_type"] == "gap":
            first_seq, last_seq = raw["data"]["first_seq"], raw["data"]["last_seq"]
        if last_seq is not None:
            if first_seq > here.seq + 1:
                return False
            if last_seq <= here.seq:
                return True  # seen before
            here = self.position = Position(here.log_id, last_seq)
        if self.streams:
            update = update_of(raw, here)
            for stream in self.streams:
                stream.offer(update, size_bytes)
                if stream.is_paused or stream.is_over:
                    self.is_to_be_settled = True
        return True

    def purge(self) -> None:
        """Forget the readers that have been abandoned."""
        self.is_to_be_settled = False
        self.streams = [stream for stream in self.streams if not stream.is_over]

    def deleted(self, update: Update) -> None:
        """The project is deleted; everybody reads that last."""
        for stream in self.streams:
            stream.deleted(update)
        self.streams.clear()

    def end(self, error: HubError | None = None) -> None:
        for stream in self.streams:
            stream.end(error)
        self.streams.clear()
