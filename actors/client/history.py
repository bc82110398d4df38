"""Pages of a log as they go over the wire, for whoever serves a client: never in a Project."""

from datetime import datetime, timedelta

from actors.runtime.clock import timestamp
from protocol import codec
from protocol.frames import text_frame
from protocol.requests import GetMessages
from protocol.updates import Gap, UpdateType
from storage.log_reader import LogReader
from storage.message_log import Bounds
from storage.pages import Item, MissingRecords, Page

HISTORY_PAGE_BYTES = 1024 * 1024
_MICROSECOND = timedelta(microseconds=1)


def replay_frames(page: Page, project_id: str, now: datetime) -> bytes:
    """A page as text frames, one an update; what cannot be read becomes a `gap`."""
    return b"".join(
        codec.update_frame(item)
        if isinstance(item, bytes)
        else text_frame(codec.ephemeral_message(timestamp(now), _gap_body(item, project_id)))
        for item in page.items
    )


def history_payload(
    reader: LogReader, bounds: Bounds, request: GetMessages, now: datetime
) -> tuple[bytes, tuple[MissingRecords, ...]]:
    """The result of get_messages, as JSON, and what of it could not be read. Raises OSError.

    Forwards from `after_seq` or `since` where one is given, else the newest within the bounds.
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
    messages = b",".join(_payload(item, request.project_id, now) for item in page.items)
    payload = b'{"messages":[%b],"first_seq":%d,"last_seq":%d,"log_id":%b,"more":%b}' % (
        messages,
        bounds.first_seq,
        bounds.last_seq,
        codec.dumps(bounds.log_id),
        b"true" if more else b"false",
    )
    return payload, page.missing


def _range(reader: LogReader, bounds: Bounds, request: GetMessages) -> tuple[int, int]:
    """All bounds that are given hold together; `after_seq` and `before_seq` are exclusive."""
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


def _payload(item: Item, project_id: str, now: datetime) -> bytes:
    if isinstance(item, bytes):
        return codec.update_payload(item)
    return codec.ephemeral_payload(timestamp(now), _gap_body(item, project_id))


def _gap_body(missing: MissingRecords, project_id: str) -> bytes:
    gap = Gap(first_seq=missing.first_seq, last_seq=missing.last_seq)
    return codec.update_body(project_id, UpdateType.GAP, codec.dumps(gap), None)
