"""The log as a client gets it: read page by page, by one client at a time in the whole server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from actors.runtime.clock import Clock, timestamp
from protocol import codec
from protocol.dialect import Update
from protocol.requests import GetMessages
from protocol.results import HistoryFacts
from protocol.updates import Gap, UpdateType
from storage.log_reader import LogReader
from storage.message_log import Bounds
from storage.pages import MissingRecords, Page

HISTORY_PAGE_BYTES = 1024 * 1024
_MICROSECOND = timedelta(microseconds=1)
_reading = threading.Lock()
_never = threading.Event()


@contextmanager
def one_reader(clock: Clock) -> Iterator[None]:
    """Wait until no other client reads, then read; the lock rests as long as the page took.

    The interpreter makes the pages, and it has one lock: four clients that catch up at full speed
    would leave a project that writes a tenth of its speed (bench/log.py, row 10). With this rule it
    keeps most of it, and a page of 256 KiB still comes several hundred times a second.
    """
    with _reading:
        start_s = clock.monotonic()
        try:
            yield
        finally:
            _never.wait(clock.monotonic() - start_s)


def updates_of(page: Page, project_id: str, now: datetime) -> list[Update]:
    """Return the updates of a page; what cannot be read becomes a `gap`."""
    return [
        (item, True, True) if isinstance(item, bytes) else _gap(item, project_id, now)
        for item in page.items
    ]


def _gap(item: MissingRecords, project_id: str, now: datetime) -> Update:
    gap = Gap(first_seq=item.first_seq, last_seq=item.last_seq)
    (body,) = codec.update_bodies(project_id, [(UpdateType.GAP, gap, None)])
    return codec.ephemeral_payload(timestamp(now), body), False, True


def history(
    reader: LogReader, bounds: Bounds, request: GetMessages, now: datetime
) -> tuple[list[Update], HistoryFacts, tuple[MissingRecords, ...]]:
    """Return what get_messages asks for: the updates, what else it tells, and what of it could not
    be read.

    It reads forwards from `after_seq` or `since` if one is given; else it takes the newest
    records within the bounds. Raises OSError.
    """
    low, high = _range(reader, bounds, request)
    if low > high:
        page, more = Page((), low, low - 1), False
    elif request.after_seq is not None or request.since is not None:
        page = reader.read_after(
            low - 1, high, max_bytes=HISTORY_PAGE_BYTES, max_count=request.limit
        )
        more = page.last_seq < high
    else:
        page = reader.read_before(high, low, max_bytes=HISTORY_PAGE_BYTES, max_count=request.limit)
        more = page.first_seq > low
    facts = HistoryFacts(
        first_seq=bounds.first_seq,
        last_seq=bounds.last_seq,
        log_id=bounds.log_id,
        more=more,
    )
    return updates_of(page, request.project_id, now), facts, page.missing


def _range(reader: LogReader, bounds: Bounds, request: GetMessages) -> tuple[int, int]:
    """Return the first and the last number that all bounds given allow together; `after_seq` and
    `before_seq` are exclusive."""
    low, high = bounds.first_seq, bounds.last_seq
    if request.after_seq is not None:
        low = max(low, request.after_seq + 1)
    if request.before_seq is not None:
        high = min(high, request.before_seq - 1)
    if request.since is not None:
        low = max(low, reader.seq_before(request.since, bounds.last_seq) + 1)
    if request.until is not None:
        high = min(high, reader.seq_before(_just_after(request.until), bounds.last_seq))
    return low, high


def _just_after(stamp: str) -> str:
    try:
        return timestamp(datetime.fromisoformat(stamp) + _MICROSECOND)
    except OverflowError:  # the end of year 9999
        return stamp
