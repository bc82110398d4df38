"""What a project counts: its log, its executions, its updates and the questions of its agent."""

from collections.abc import Callable, Iterable, Sequence

from actors.metrics import catalogue
from actors.metrics.catalogue import CLEAN, OUT, RECOVERED, RESOLUTIONS
from actors.metrics.meter import Meter, Reading
from actors.runtime.clock import Clock
from protocol.updates import ExecutionFinished, Outcome

# These have no duration: they never started, or nobody knows when they ended.
_WITHOUT_TIME = (Outcome.CANCELLED, Outcome.LOST)


class ProjectCounts:
    """For the Project's thread only, except `read`."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._clock = clock
        self._asked_s: dict[str, float] = {}
        self._tally = meter.tally(self._read)
        # What the project shows of itself once it is open; called by scrapes.
        self.show: Callable[[], Iterable[Reading]] | None = None

    def _read(self) -> Iterable[Reading]:
        asked_s = list(self._asked_s.values())
        oldest_s = self._clock.monotonic() - min(asked_s) if asked_s else 0.0
        yield catalogue.PERMISSIONS, (), len(asked_s)
        yield catalogue.PERMISSION_AGE, (), max(0.0, oldest_s)
        if self.show is not None:
            yield from self.show()

    # -- the log -----------------------------------------------------------------------------

    def now_s(self) -> float:
        return self._clock.monotonic()

    def opened(self, began_s: float, *, was_clean: bool, torn_bytes: int) -> None:
        """Count the opening of the log, which began at a monotonic time."""
        state = CLEAN if was_clean else RECOVERED
        self._tally.observe(catalogue.LOG_OPENING, self.now_s() - began_s, state)
        if torn_bytes:
            self._tally.count(catalogue.LOG_TORN, by=torn_bytes)

    def appended(self, lines: Sequence[bytes]) -> None:
        """Count a batch of records."""
        tally = self._tally
        tally.count(catalogue.LOG_APPENDS)
        tally.count(catalogue.LOG_RECORDS, by=len(lines))
        tally.count(catalogue.LOG_BYTES, by=sum(map(len, lines)))
        tally.observe(catalogue.LOG_BATCH, len(lines))

    def failed(self) -> None:
        """Count a write or a flush that failed."""
        self._tally.count(catalogue.LOG_FAILURES)

    def flushing(self) -> Callable[[], None]:
        """Note that a flush begins; the caller calls the result when it has ended."""
        began_s = self.now_s()

        def done() -> None:
            self._tally.observe(catalogue.LOG_SYNC, self.now_s() - began_s)

        return done

    # -- updates -----------------------------------------------------------------------------

    def sent(self, update_type: str, count: int) -> None:
        """Count updates that were handed to connections."""
        if count:
            self._tally.count(catalogue.MESSAGES, update_type, OUT, by=count)

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
