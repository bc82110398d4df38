"""Pages of records of some types, counted over the whole log: GetRecords."""

from actors.client.history import HISTORY_PAGE_BYTES
from protocol.codec import update_type_of
from protocol.dialect import Update
from protocol.requests import GetRecords
from protocol.results import RecordsFacts
from storage.log_reader import LogReader
from storage.message_log import Bounds
from storage.pages import MissingRecords
from storage.record import timestamp_of


class RecordCount:
    """One GetRecords on its way through the log, a page at a time. `number` is its request."""

    def __init__(self, number: int, reader: LogReader, bounds: Bounds, request: GetRecords) -> None:
        self.number = number
        self.project_id = request.project_id
        self.position = bounds.first_seq - 1
        self.missing: tuple[MissingRecords, ...] = ()
        self._reader = reader
        self._last_seq = bounds.last_seq
        self._request = request
        self._types = frozenset(request.update_types)
        self._after = None if request.after is None else request.after.encode("ascii")
        self._found: list[Update] = []
        self._found_bytes = 0
        self._is_full = False
        self._total = 0

    @property
    def is_done(self) -> bool:
        return self.position >= self._last_seq or not self._types

    def read_on(self) -> None:
        """Read the next page. Raises OSError."""
        page = self._reader.read_after(self.position, self._last_seq, max_bytes=HISTORY_PAGE_BYTES)
        self.missing += page.missing
        self.position = page.last_seq
        for item in page.items:
            if isinstance(item, bytes) and self._matches(item):
                self._take(item)

    def _matches(self, record: bytes) -> bool:
        after = self._after
        return update_type_of(record) in self._types and (
            after is None or timestamp_of(record) > after
        )

    def _take(self, record: bytes) -> None:
        """Count a record, and keep it if it is of the page that is asked for. The page ends early
        at HISTORY_PAGE_BYTES."""
        request, place = self._request, self._total
        self._total += 1
        if self._is_full or not request.offset <= place < request.offset + request.limit:
            return
        if self._found and self._found_bytes + len(record) > HISTORY_PAGE_BYTES:
            self._is_full = True
            return
        self._found.append((record, True, True))
        self._found_bytes += len(record)

    def found(self) -> tuple[list[Update], RecordsFacts]:
        """Return the records, and what is told beside them."""
        request = self._request
        facts = RecordsFacts(
            total=self._total,
            offset=request.offset,
            limit=request.limit,
            more=request.offset + len(self._found) < self._total,
        )
        return self._found, facts
