"""The replays of one connection: pages of history, paced by the socket, one project in turn."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.client.history import one_reader, updates_of
from actors.client.outbox import Outbox
from actors.client.subscription import Subscription
from actors.metrics.client_counts import ClientCounts
from actors.runtime.clock import Clock
from protocol.codec import update_type_of
from protocol.dialect import UpdateStream, replay_frames
from storage.log_reader import LogReader
from storage.pages import MissingRecords

ReportDamage = Callable[[str, tuple[MissingRecords, ...]], None]


@dataclass(slots=True)
class _Replay:
    """`since`: the position is still to be looked up by that time; None: it is known."""

    subscription: Subscription
    reader: LogReader
    stream: UpdateStream
    since: str | None


class Replays:
    """For the Client's thread only. `report` gets a project and what is missing there;
    `unreadable` a project and the number behind which reading has failed. `counts` is None if
    nobody counts."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        report: ReportDamage,
        unreadable: Callable[[str, int], None],
        counts: ClientCounts | None = None,
    ) -> None:
        self._counts = counts
        self._outbox = outbox
        self._clock = clock
        self._report = report
        self._unreadable = unreadable
        self._running: deque[_Replay] = deque()

    def start(
        self,
        subscription: Subscription,
        reader: LogReader,
        project: Mapping[str, Any],
        since: str | None,
    ) -> None:
        """Begin a replay, or step to live at once if there is nothing to replay. `project` is the
        `project` object of the join."""
        self.drop(subscription.project_id)
        if not subscription.go_live():
            stream = subscription.dialect.stream(project)
            self._running.append(_Replay(subscription, reader, stream, since))

    @property
    def are_done(self) -> bool:
        """Return True if every subscription is live."""
        return not self._running

    def drop(self, project_id: str) -> None:
        self._running = deque(r for r in self._running if r.subscription.project_id != project_id)

    def can_go_on(self) -> bool:
        """Return True if there is a page to send and room for it. Without room, the
        outbox tells the Client when there is."""
        return bool(self._running) and self._outbox.is_open and self._outbox.is_idle_else_wake()

    def pump(self) -> None:
        """Send one page. Raises OSError if a log cannot be read."""
        replay = self._running.popleft()
        try:
            with one_reader(self._clock):
                self._send_page(replay)
        except OSError:
            if replay.subscription.abandon_replay():  # the project is deleted, its log with it
                return
            self._unreadable(replay.subscription.project_id, replay.subscription.position)
            raise
        if not replay.subscription.go_live():
            self._running.append(replay)

    def _send_page(self, replay: _Replay) -> None:
        subscription, reader = replay.subscription, replay.reader
        if replay.since is not None:
            found = reader.seq_before(replay.since, subscription.newest)
            subscription.position = max(subscription.position, found)
            replay.since = None
        page = reader.read_after(subscription.position, subscription.newest)
        if page.missing:
            self._report(subscription.project_id, page.missing)
        updates = updates_of(page, subscription.project_id, self._clock.now())
        frames = replay_frames(replay.stream, updates)
        subscription.replayed(frames, page.last_seq)
        if self._counts is not None:
            self._counts.replayed(update_type_of(text) for text, _, _ in updates)
