"""Where a subscription begins."""

from protocol import requests
from protocol.error_details import ErrorDetails
from protocol.errors import ErrorCode, RequestRefused
from storage.message_log import Bounds


def start_position(request: requests.ProjectJoin, bounds: Bounds) -> int:
    """Return the number behind which the joiner's updates begin.

    With `since` it is the lowest number possible: the Client looks the time up in
    the log. Raises RequestRefused (`history_gone`) if the log cannot go on from the client's
    position, so that a client never misses updates without a word, nor gets others under numbers
    that it knows.
    """
    if request.log_id is not None and request.log_id != bounds.log_id:
        raise _history_gone(bounds, "the log is another one than that position is from")
    if request.after_seq is not None:
        if request.after_seq > bounds.last_seq:
            raise _history_gone(bounds, "the log ends before that position")
        if request.after_seq + 1 < bounds.first_seq:
            raise _history_gone(bounds, "the log no longer reaches back to that position")
        return request.after_seq
    if request.since is not None:
        return bounds.first_seq - 1
    if request.last is not None:
        return max(bounds.last_seq - request.last, bounds.first_seq - 1)
    return bounds.last_seq


def _history_gone(bounds: Bounds, why: str) -> RequestRefused:
    details = ErrorDetails(
        log_id=bounds.log_id, first_seq=bounds.first_seq, last_seq=bounds.last_seq
    )
    return RequestRefused(
        ErrorCode.HISTORY_GONE, f"{why}; join without a position, or with `last`", details
    )
