"""What a Client is told: by its connection, by the Hub and by Projects."""

from dataclasses import dataclass

from actors.messages.replies import Replied
from actors.ports import Subscriber
from protocol import requests
from protocol.codec import Undecodable
from storage.log_reader import LogReader
from storage.message_log import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """From the connection's thread: a request, or why the message was none."""

    request: requests.Request | Undecodable


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """From the connection's thread: nothing more will come and nothing can be sent."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The answer to a join: the subscriber is registered; `reader` has what it missed, from its
    position on or, where that is given, from the first record at or after `since`."""

    number: int
    payload: bytes
    subscriber: Subscriber
    reader: LogReader
    since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The answer to a leave: no more updates of that project will be offered."""

    number: int
    payload: bytes
    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySnapshot:
    """The answer to get_messages: what there is, and a reader for it."""

    number: int
    bounds: Bounds
    reader: LogReader
    request: requests.GetMessages


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFailed:
    """From the Hub: requests to that project that are not answered never will be."""

    project_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseClient:
    """Close the connection with that code (RFC 6455, section 7.4)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTooSlow:
    """More waits for it than may: that project's update behind `position` found no room."""

    project_id: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _FlushOutbox:
    """From the outbox: something waits that the socket would not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PumpReplay:
    """Read and send the next page of history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtKey:
    """From the Hub: the key may hold no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyExpiryDue:
    """The key may have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AuthenticationDue:
    """Who has not authenticated by now is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CloseDeadline:
    """The peer had its time to answer a close."""


ClientMessage = (
    RequestReceived
    | ConnectionLost
    | Replied
    | Joined
    | Left
    | HistorySnapshot
    | ProjectFailed
    | CloseClient
    | ClientTooSlow
    | _FlushOutbox
    | _PumpReplay
    | LookAtKey
    | _AuthenticationDue
    | _KeyExpiryDue
    | _CloseDeadline
)
