"""One version of the protocol as bytes: the only place that makes them.

Replies travel through the hub as values and become bytes in the Client of their connection. Updates
become bytes in the feed, once for all subscribers that speak the same dialect. Another version of
the protocol is another class with the methods of Dialect, and an entry in `protocol/versions.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocol import codec
from protocol.deflation import Deflation
from protocol.errors import WireError
from protocol.frames import text_frames
from protocol.requests import Request
from protocol.results import ErrorFacts, HistoryFacts
from protocol.updates import Welcome

_UPDATE_HEAD = b'{"type":"update","payload":'


# One update on its way to the subscribers of a project: text, is_stored, is_kept. The text is the
# stored record with its newline or, if it is not stored, the payload of the update. An update that
# is not kept may be dropped for a slow client. It is a plain tuple: objects of a class would take a
# third of the time of a page of history.
Update = tuple[bytes, bool, bool]


class Dialect(Protocol):
    """What a version of the protocol looks like. All threads share one instance a version."""

    def decode(self, text: str) -> Request:
        """Return the request in a client's message. Raise Undecodable with the answer to it."""

    def greeting(self, welcome: Welcome) -> bytes | None:
        """Return the first message of a connection; None if the version has none."""

    def result(self, request_id: str | None, payload: Any) -> bytes:
        """Return the reply to a request that worked; `payload` is a value of JSON, or its text."""

    def error(self, request_id: str | None, error: WireError) -> bytes:
        """Return the reply to a request that failed."""

    def messages(self, updates: Iterable[Update]) -> list[tuple[bytes, bool]]:
        """Return the messages for these updates, any number for each, and which must be kept."""

    def history(self, updates: Iterable[Update], facts: HistoryFacts) -> bytes:
        """Return the result of get_messages as JSON: the updates, and what else it tells."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A batch of updates in one dialect, encoded, framed and joined once for all subscribers.

    `frames` holds all of them as WebSocket text frames; `kept_frames` leaves out what may be
    dropped. `messages` and `kept_messages` are the same, one by one and without frames, for
    `deflation`; None: send them uncompressed. `last_seq` is the number of the last stored update;
    None: the batch has none. `is_final`: the project is deleted. `state_frames` holds what is
    neither stored nor dropped, such as `status`: who still replays gets the newest of it later.
    """

    last_seq: int | None
    frames: bytes
    kept_frames: bytes
    messages: Sequence[bytes]
    kept_messages: Sequence[bytes]
    deflation: Deflation | None = None
    is_final: bool = False
    state_frames: bytes = b""


def broadcast(
    dialect: Dialect,
    updates: Iterable[Update],
    *,
    last_seq: int | None,
    deflation: Deflation | None,
    is_final: bool = False,
) -> Broadcast:
    """Return a batch in one dialect."""
    batch = list(updates)
    pairs = dialect.messages(batch)
    messages = kept_messages = [message for message, _ in pairs]
    all_kept = all([is_kept for _, is_kept in pairs])
    frames = kept_frames = text_frames(messages)
    if not all_kept:
        kept_messages = [message for message, is_kept in pairs if is_kept]
        kept_frames = text_frames(kept_messages)
    state = [
        (text, is_stored, is_kept)
        for text, is_stored, is_kept in batch
        if is_kept and not is_stored
    ]
    return Broadcast(
        last_seq,
        frames,
        kept_frames,
        messages,
        kept_messages,
        deflation,
        is_final,
        replay_frames(dialect, state) if state else b"",
    )


def replay_frames(dialect: Dialect, updates: Iterable[Update]) -> bytes:
    """Return updates of history as frames, for one client."""
    return text_frames([message for message, _ in dialect.messages(updates)])


class Version1:
    """The dialect of docs/protocol.md. A stored record becomes a message without being parsed."""

    def decode(self, text: str) -> Request:
        return codec.decode(text)

    def greeting(self, welcome: Welcome) -> bytes | None:
        return b'{"type":"welcome","payload":%b}' % codec.dumps(welcome)

    def result(self, request_id: str | None, payload: Any) -> bytes:
        text = payload if isinstance(payload, bytes) else codec.dumps(payload)
        return b'{"type":"result",%b"payload":%b}' % (_id_field(request_id), text)

    def error(self, request_id: str | None, error: WireError) -> bytes:
        facts = ErrorFacts(code=error.code, message=error.message, details=error.details)
        return b'{"type":"error",%b"payload":%b}' % (_id_field(request_id), codec.dumps(facts))

    def messages(self, updates: Iterable[Update]) -> list[tuple[bytes, bool]]:
        head, prefix = _UPDATE_HEAD, codec.RECORD_PREFIX_BYTES
        return [
            (b"%b{%b}" % (head, text[prefix:-1]) if is_stored else b"%b%b}" % (head, text), is_kept)
            for text, is_stored, is_kept in updates
        ]

    def history(self, updates: Iterable[Update], facts: HistoryFacts) -> bytes:
        payloads = [
            codec.update_payload(text) if is_stored else text for text, is_stored, _ in updates
        ]
        return b'{"messages":[%b],%b' % (b",".join(payloads), codec.dumps(facts)[1:])


def _id_field(request_id: str | None) -> bytes:
    return b"" if request_id is None else b'"id":%b,' % codec.dumps(request_id)


VERSION_1 = Version1()
