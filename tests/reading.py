"""Read a log through its reader, from one place of it or another."""

from storage.message_log import MessageLog
from storage.pages import PAGE_BYTES, Page


def read_after(log: MessageLog, seq: int, max_bytes: int = PAGE_BYTES) -> Page:
    """Return the records behind `seq`."""
    return log.reader().read_after(seq, log.bounds().last_seq, max_bytes=max_bytes)


def read_since(log: MessageLog, timestamp: str, max_bytes: int = PAGE_BYTES) -> Page:
    """Return the records from the first one at or after a time."""
    reader, last_seq = log.reader(), log.bounds().last_seq
    start = reader.seq_before(timestamp, last_seq)
    return reader.read_after(start, last_seq, max_bytes=max_bytes)


def last(log: MessageLog, count: int, max_bytes: int = PAGE_BYTES) -> Page:
    """Return the newest `count` records, oldest first."""
    bounds = log.bounds()
    return log.reader().read_before(
        bounds.last_seq, bounds.first_seq, max_bytes=max_bytes, max_count=count
    )
