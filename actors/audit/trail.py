"""Take entries for the audit log, from any thread and without waiting."""

import threading
from collections import Counter
from typing import Any

from actors.audit.refusal_lines import RefusalLines
from actors.limits.peer import Peer
from actors.limits.quotas import AddressBuckets, TokenBucket
from actors.messages.audit import AuditEntry, PlainRequestsBegan
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, timestamp
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref

logger = get_logger("claudehub.audit")

# Beyond this number entries are counted and not kept: the disk has stopped taking them.
WAITING_MAX = 100_000
# Limits on entries that anybody can cause without a key: lines a second for each address, with
# bursts of twice that, and ten times that for all addresses together. The audit log must not be a
# way to fill the disk. Failed authentications, refused handshakes and other entries are counted
# apart, so that a flood of one kind hides nothing of another.
FLOOD_LINES_PER_S = 10.0
FLOOD_TIMES_IN_ALL = 10
FLOOD_CODES = ("rate_limited", "unauthenticated", "invalid_json", "invalid_message", "unknown_type")
HANDSHAKE_REFUSED = "handshake_refused"
# The code of the line about plain HTTP requests, and how many peers are told apart in a minute.
PLAIN_REQUEST = "426"
PLAIN_PEERS_MAX = 16
AUTHENTICATE = "authenticate"
OTHER = ""
CONFIG_CHANGED = "config_changed"


class _Flood:
    """The limits on one kind of entry."""

    def __init__(self, clock: Clock) -> None:
        self._addresses = AddressBuckets(FLOOD_LINES_PER_S, clock)
        self._in_all = TokenBucket(FLOOD_LINES_PER_S * FLOOD_TIMES_IN_ALL, clock)

    def take(self, origin: str | None) -> bool:
        return self._addresses.of(origin).take() and self._in_all.take()


class AuditTrail:
    """The Auditor calls `written` for each entry that it has handled, and `not_written` for each
    line that its file did not take."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.refusal_lines = RefusalLines(clock)
        self._auditor: Ref | None = None
        self._lock = threading.Lock()
        self._waiting = 0
        self._untold = 0  # entries that came when the Auditor had ended
        self._suppressed = 0
        self.dropped = 0  # entries that nobody will find, since the start
        self._plain_requests: Counter[Peer] = Counter()
        self._floods = {kind: _Flood(clock) for kind in (AUTHENTICATE, HANDSHAKE_REFUSED, OTHER)}

    def goes_to(self, auditor: Ref) -> None:
        """Name the Auditor, before anybody records anything."""
        self._auditor = auditor

    def record(self, action: str, *, peer: Peer | None = None, **facts: Any) -> None:
        """Record an action. `facts` are fields of AuditEntry."""
        with self._lock:
            may_flood = action == HANDSHAKE_REFUSED or facts.get("code") in FLOOD_CODES
            flood = self._floods.get(action, self._floods[OTHER])
            origin = None if peer is None else peer.origin
            if self._waiting >= WAITING_MAX or (may_flood and not flood.take(origin)):
                self._suppressed += 1
                self.dropped += 1
                return
            self._waiting += 1
            suppressed, self._suppressed = self._suppressed, 0
        entry = AuditEntry(
            timestamp=timestamp(self._clock.now()),
            action=action,
            address=None if peer is None else peer.address,
            uid=None if peer is None else peer.uid,
            suppressed=suppressed,
            **facts,
        )
        if self._auditor is not None and not tell_if_alive(self._auditor, entry):
            with self._lock:
                self._waiting -= 1
                self._untold += 1
                self.dropped += 1

    def plain_request(self, peer: Peer) -> None:
        """Count a plain HTTP request, which is mostly a load balancer's check: a line for each
        would hide the rest."""
        with self._lock:
            is_first = not self._plain_requests
            one = Peer(address=peer.address, uid=peer.uid)
            if one not in self._plain_requests and len(self._plain_requests) >= PLAIN_PEERS_MAX:
                one = Peer()  # of all others together
            self._plain_requests[one] += 1
        if is_first and self._auditor is not None:
            tell_if_alive(self._auditor, PlainRequestsBegan())

    def take_plain_requests(self) -> AuditEntry | None:
        """Return one line about the plain HTTP requests since the last call; None without any."""
        with self._lock:
            counted, self._plain_requests = self._plain_requests, Counter()
        if not counted:
            return None
        peer = next(iter(counted)) if len(counted) == 1 else Peer()
        return AuditEntry(
            timestamp=timestamp(self._clock.now()),
            action=HANDSHAKE_REFUSED,
            address=peer.address,
            uid=peer.uid,
            ok=False,
            code=PLAIN_REQUEST,
            details={"count": counted.total()},
        )

    def written(self) -> None:
        with self._lock:
            self._waiting -= 1

    def not_written(self) -> None:
        with self._lock:
            self.dropped += 1

    def report_lost(self) -> None:
        """Log and count the entries that nobody has written. Call it when the Auditor has ended: it
        may have failed, and others may have recorded something behind its end."""
        with self._lock:
            left, self._waiting = self._waiting, 0
            lost, self._untold = left + self._untold, 0
            self.dropped += left
        if lost:
            logger.error("entries of the audit log are lost", count=lost)
