"""The replays of one connection: pages of history, paced by the socket, one project in turn."""

from collections import deque

from actors.clock import Clock
from actors.history import replay_frames
from actors.outbox import Outbox
from actors.subscription import Subscription
from storage.log_reader import LogReader


class Replays:
    """For the Client's thread only."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._running: deque[tuple[Subscription, LogReader]] = deque()

    def start(self, subscription: Subscription, reader: LogReader) -> None:
        """Takes the step to live here and now where there is nothing to replay."""
        self.drop(subscription.project_id)
        if not subscription.go_live():
            self._running.append((subscription, reader))

    def drop(self, project_id: str) -> None:
        self._running = deque(r for r in self._running if r[0].project_id != project_id)

    @property
    def can_go_on(self) -> bool:
        """Whether there is a page to send and room for it."""
        return bool(self._running) and self._outbox.is_idle and self._outbox.is_open

    def pump(self) -> None:
        """Sends one page. Raises OSError where a log cannot be read."""
        subscription, reader = self._running.popleft()
        try:
            page = reader.read_after(subscription.position, subscription.newest)
        except OSError:
            if subscription.abandon_replay():  # the project is deleted, and its log with it
                return
            raise
        frames = replay_frames(page, subscription.project_id, self._clock.now())
        subscription.replayed(frames, page.last_seq)
        if not subscription.go_live():
            self._running.append((subscription, reader))
