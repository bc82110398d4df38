"""The messages of a Client: from its connection, the Hub and projects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.messages.replies import Refused, Replied
from actors.ports import Subscriber, Watcher
from protocol import requests
from protocol.codec import Undecodable
from protocol.dialect import Update
from protocol.results import ProjectJoinResult, RecordsFacts
from storage.log_reader import LogReader
from storage.message_log import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """From the connection's thread: a request, or why a message is none. `received_s` is a
    monotonic time, if anybody counts."""

    request: requests.Request | Undecodable
    received_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """From the connection's thread: nothing more will come, and nothing can be sent."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The answer to a join. The subscriber is registered; `reader` has what it missed: from its
    position on or, where `since` is given, from the first record at or after that time."""

    number: int
    payload: ProjectJoinResult
    subscriber: Subscriber
    reader: LogReader
    since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The answer to a leave: no more updates of that project are offered."""

    number: int
    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The answer to `watch`: the projects, and the watcher that holds what has changed since."""

    number: int
    payload: dict[str, Any]
    watcher: Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySnapshot:
    """The answer to get_messages: the bounds of the log, and a reader for it."""

    number: int
    bounds: Bounds
    reader: LogReader
    request: requests.GetMessages | requests.GetRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsFound:
    """From itself: what it has found for a GetRecords."""

    number: int
    updates: Sequence[Update]
    facts: RecordsFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFailed:
    """From the Hub: the project will not answer the requests that it has taken."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseClient:
    """Close the connection with that code (RFC 6455, section 7.4)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTooSlow:
    """More waits for the client than is allowed: the project's update behind `position` found no
    room."""

    project_id: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _FlushOutbox:
    """From the outbox: something waits that the socket did not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PumpReplay:
    """Read and send the next page of history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountOn:
    """Read the next page for a GetRecords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _QuietDue:
    """The client may have been sent nothing since it came (Dialect.quiet_s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtKey:
    """From the Hub: check whether the key is still valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyExpiryDue:
    """The key may have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuthenticationDue:
    """AUTH_TIMEOUT is over: close the connection if it has not authenticated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CloseDeadline:
    """The peer has had its time to answer a close."""


Answer = Replied | Refused | Joined | Left | Watched | HistorySnapshot | RecordsFound
ClientMessage = (
    Answer
    | RequestReceived
    | ConnectionLost
    | ProjectFailed
    | CloseClient
    | ClientTooSlow
    | _FlushOutbox
    | _PumpReplay
    | _CountOn
    | _QuietDue
    | LookAtKey
    | _AuthenticationDue
    | _KeyExpiryDue
    | _CloseDeadline
)
