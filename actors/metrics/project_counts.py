"""What a project counts: its log, its executions, its updates and the questions of its agent."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from actors.metrics import catalogue
from actors.metrics.catalogue import CLEAN, OUT, RECOVERED, RESOLUTIONS
from actors.metrics.meter import Meter, Reading
from actors.runtime.clock import Clock
from protocol.updates import ExecutionFinished, Outcome, UpdateType

# These have no duration: they never started, or nobody knows when they ended.
_WITHOUT_TIME = (Outcome.CANCELLED, Outcome.LOST)


class ProjectCounts:
    """For the Project's thread only, except `_read`.

    What happens for each batch is counted in plain numbers: each line of an agent pays for it.
    `sent` has how many updates of each type were handed to connections.
    """

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._clock = clock
        self.now_s = clock.monotonic
        self._asked_s: dict[str, float] = {}
        self.sent = dict.fromkeys(UpdateType, 0)
        self._appends = self._records = self._bytes = 0
        self._tally = meter.tally(self._read)
        self._batches = self._tally.histogram(catalogue.LOG_BATCH)
        self._flushes = self._tally.histogram(catalogue.LOG_SYNC)
        # What the project shows of itself once it is open; called by scrapes.
        self.show: Callable[[], Iterable[Reading]] | None = None

    def _read(self) -> Iterable[Reading]:
        asked_s = list(self._asked_s.values())
        oldest_s = self._clock.monotonic() - min(asked_s) if asked_s else 0.0
        yield catalogue.PERMISSIONS, (), len(asked_s)
        yield catalogue.PERMISSION_AGE, (), max(0.0, oldest_s)
        yield catalogue.LOG_APPENDS, (), self._appends
        yield catalogue.LOG_RECORDS, (), self._records
        yield catalogue.LOG_BYTES, (), self._bytes
        for update_type, count in self.sent.items():
            if count:
                yield catalogue.MESSAGES, (update_type, OUT), count
        if self.show is not None:
            yield from self.show()

    # -- the log -----------------------------------------------------------------------------

    def opened(self, began_s: float, *, was_clean: bool, torn_bytes: int) -> None:
        """Count the opening of the log, which began at a monotonic time."""
        state = CLEAN if was_clean else RECOVERED
        self._tally.observe(catalogue.LOG_OPENING, self.now_s() - began_s, state)
        if torn_bytes:
            self._tally.count(catalogue.LOG_TORN, by=torn_bytes)

    def appended(self, lines: Sequence[bytes]) -> None:
        """Count a batch of records."""
        count, batches = len(lines), self._batches
        self._appends += 1
        self._records += count
        self._bytes += sum(map(len, lines))
        batches[bisect_left(catalogue.LOG_BATCH.buckets, count)] += 1
        batches[-1] += count

    def failed(self) -> None:
        """Count a write, a flush or a read that failed."""
        self._tally.count(catalogue.LOG_FAILURES)

    def flushed(self, began_s: float) -> None:
        """Count a flush that began at a monotonic time."""
        taken_s, flushes = self.now_s() - began_s, self._flushes
        flushes[bisect_left(catalogue.LOG_SYNC.buckets, taken_s)] += 1
        flushes[-1] += taken_s

    # -- executions and questions ------------------------------------------------------------

    def ended(self, end: ExecutionFinished) -> None:
        self._tally.count(catalogue.EXECUTIONS, end.outcome)
        if end.outcome not in _WITHOUT_TIME:
            duration_s = end.duration_ms / 1000
            self._tally.observe(catalogue.EXECUTION_TIME, duration_s, end.outcome)
        if end.cost_usd is not None and end.cost_usd > 0:
            self._tally.count(catalogue.COST, by=end.cost_usd)

    def asked(self, permission_id: str) -> None:
        self._asked_s[permission_id] = self.now_s()

    def resolved(self, permission_id: str, how: str) -> None:
        """Count the end of a question: one of RESOLUTIONS."""
        assert how in RESOLUTIONS, how
        began_s = self._asked_s.pop(permission_id, None)
        if began_s is not None:
            self._tally.observe(catalogue.PERMISSION_TIME, self.now_s() - began_s, how)

    def end(self) -> None:
        """Keep the counts: the project's actor has ended."""
        self._asked_s.clear()
        self._meter.retire(self._tally)
