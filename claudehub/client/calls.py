"""A request, from when it is asked to when it is answered: over as many connections as it takes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import simplejson

from claudehub.client.errors import HubError, NoReply, RequestRefused

# At least; for a hub that pings rarely it is longer (session.py).
REPLY_TIMEOUT_S = 90.0
RATE_LIMITED_TRIES_MAX = 10
RETRY_AFTER_USUAL_S = 1.0
RETRY_AFTER_MAX_S = 60.0
# What surrounds the payload of a request, and a little more.
ENVELOPE_BYTES = 128
# The hub has done nothing, and says that a later try may work.
LATER = frozenset({"rate_limited", "unavailable"})
STOPPING = "shutting_down"
# What a second sending may be answered with if the first one arrived.
_DONE_BEFORE = {
    "agent_interrupt": "nothing_running",
    "agent_kill": "nothing_running",
    "project_delete": "project_not_found",
}


def _nothing() -> None:
    """The default for who waits: nobody."""


class Call:
    """A request. `on_end` is called once, when `result` or `error` is set.

    Every request can be sent again after the connection was lost: those that only read, those that
    are harmless twice, and `execute`, which has a key. `was_lost` says that an earlier sending may
    have arrived.
    """

    def __init__(self, kind: str, **payload: Any) -> None:
        """Nothing is sent for parameters that are None. Raises TypeError or ValueError for what is
        no JSON: here, where the program is at fault, and not when it is sent."""
        self.kind = kind
        self.payload = {name: value for name, value in payload.items() if value is not None}
        # Not in ASCII: escapes would make other scripts three times as long.
        self._encoded = simplejson.dumps(self.payload, allow_nan=False, ensure_ascii=False)
        self._size_bytes = len(self._encoded.encode("utf-8")) + ENVELOPE_BYTES
        self.on_end: Callable[[], None] = _nothing
        self.result: Mapping[str, Any] | None = None
        self.error: HubError | None = None
        self.was_lost = False
        self.is_sent = False
        self.due_s: float | None = None
        self._timeout_s = 0.0
        self._rate_limited = 0

    def message(self, number: str) -> str:
        """Return the request as it is sent. What the program does with the parameters meanwhile
        changes nothing."""
        head = simplejson.dumps({"type": self.kind, "id": number})
        return f'{head[:-1]}, "payload": {self._encoded}}}'

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def is_over(self) -> bool:
        return self.result is not None or self.error is not None

    def sent(self, now_s: float, timeout_s: float) -> None:
        self.is_sent = True
        self.due_s = now_s + timeout_s
        self._timeout_s = timeout_s

    def lost(self) -> None:
        """The connection has ended before the reply."""
        self.was_lost = self.was_lost or self.is_sent
        self.is_sent = False
        self.due_s = None

    def answered(self, result: Mapping[str, Any]) -> None:
        if not self.is_over:
            self.result = result
            self.on_end()

    def failed(self, error: HubError) -> None:
        if not self.is_over:
            self.error = error
            self.on_end()

    def overdue(self) -> None:
        self.failed(NoReply(f"the hub has not answered {self.kind} for {self._timeout_s:.0f} s"))

    def refused(self, error: RequestRefused) -> float | None:
        """Take an error. Return after how many seconds to send again, or None if this is the
        end."""
        if error.code in LATER and self._rate_limited < RATE_LIMITED_TRIES_MAX:
            self._rate_limited += 1
            self.is_sent = False
            return _seconds(error.details.get("retry_after_seconds"))
        if self.was_lost and self._was_done(error):
            self.answered(self.payload)
        else:
            self.failed(error)
        return None

    def _was_done(self, error: RequestRefused) -> bool:
        """Return True if the error says that an earlier sending of this request has worked."""
        if self.kind == "permission_answer" and error.code == "already_answered":
            return bool(error.details.get("decision") == self.payload["decision"])
        # Without an execution nothing was running the first time either.
        is_named = self.kind == "project_delete" or "execution_id" in self.payload
        return is_named and _DONE_BEFORE.get(self.kind) == error.code


def _seconds(said: Any) -> float:
    """Return how long a hub asks to wait; the usual if it does not say."""
    if isinstance(said, int | float) and 0 <= said < math.inf:
        return float(min(said, RETRY_AFTER_MAX_S))
    return RETRY_AFTER_USUAL_S
