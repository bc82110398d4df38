"""Who gets the updates of one project, by dialect: each update is made into messages once a
dialect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.feed.batches import Entry
from actors.metrics.project_counts import ProjectCounts
from actors.ports import Subscriber
from protocol.deflation import Deflation
from protocol.dialect import Dialect, Update, UpdateStream, broadcast


class _Audience(dict[str, Subscriber]):
    """The subscribers of one dialect, by id, and their compressed streams. `stream` makes the
    messages of that dialect, once for all of them."""

    def __init__(self, stream: UpdateStream) -> None:
        super().__init__()
        self.stream = stream
        self.deflation = Deflation()
        self.takers: tuple[int, int] | None = None  # known while all are live

    def count_takers(self) -> tuple[int, int]:
        """Return how many get at once what is stored, and how many of them what may be dropped.

        Once all are live that stays so until somebody comes or goes. (One that is too slow is
        counted for the moment until it goes.)
        """
        if self.takers is not None:
            return self.takers
        live = [subscriber for subscriber in self.values() if subscriber.is_live]
        takers = len(live), sum([subscriber.wants_ephemeral for subscriber in live])
        if len(live) == len(self):
            self.takers = takers
        return takers


class Audiences:
    """For the Project's thread only. `subscriber_count` is how many there are in all dialects."""

    def __init__(self) -> None:
        self.subscriber_count = 0
        self._by_dialect: dict[Dialect, _Audience] = {}

    def __bool__(self) -> bool:
        return bool(self._by_dialect)

    def __iter__(self) -> Iterator[Subscriber]:
        for audience in self._by_dialect.values():
            yield from audience.values()

    @property
    def takes_questions(self) -> bool:
        """Return True if a subscriber can answer a question of the agent."""
        return any(dialect.takes_questions for dialect in self._by_dialect)

    def add(self, subscriber: Subscriber, project: Mapping[str, Any]) -> None:
        """Add a subscriber; `project` is the `project` object of now."""
        audience = self._by_dialect.get(subscriber.dialect)
        if audience is None:
            audience = _Audience(subscriber.dialect.stream(project))
            self._by_dialect[subscriber.dialect] = audience
        audience[subscriber.id], audience.takers = subscriber, None
        self.subscriber_count += 1

    def take_out(self, subscriber_id: str) -> Subscriber | None:
        for dialect, audience in self._by_dialect.items():
            subscriber = audience.pop(subscriber_id, None)
            if subscriber is not None:
                audience.takers = None
                self.subscriber_count -= 1
                if not audience:  # and their compressed streams end
                    del self._by_dialect[dialect]
                return subscriber
        return None

    def show(self, shown: Sequence[Update], last_seq: int | None, *, is_final: bool) -> None:
        """Offer everybody a batch. `last_seq` is the number of its last stored update."""
        for audience in self._by_dialect.values():
            batch = broadcast(
                audience.stream,
                shown,
                last_seq=last_seq,
                deflation=audience.deflation,
                is_final=is_final,
            )
            for subscriber in audience.values():
                subscriber.offer(batch)

    def count(self, entries: Sequence[Entry], counts: ProjectCounts) -> None:
        """Count what went out at once. Who still replays reads it from the log, and counts it
        then."""
        for audience in self._by_dialect.values():
            live, eager = audience.count_takers()
            for entry in entries:
                counts.sent[entry.update_type] += live if entry.is_kept else eager
