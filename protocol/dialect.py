"""One version of the protocol as bytes: the only place that makes them.

Replies travel through the hub as values and become bytes in the Client of their connection. Updates
become bytes in the feed, once for all subscribers that speak the same dialect. Another version of
the protocol is another class with the methods of Dialect, and an entry in `protocol/versions.py`
(docs/decisions/0020).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocol import PROTOCOL_VERSION, codec
from protocol.codec import Undecodable
from protocol.deflation import Deflation
from protocol.errors import WireError
from protocol.frames import text_frames
from protocol.requests import Request
from protocol.results import ErrorFacts, HistoryFacts, RecordsFacts
from protocol.updates import Welcome

_UPDATE_HEAD = b'{"type":"update","payload":'


# One update on its way to the subscribers of a project: text, is_stored, is_kept. The text is the
# stored record with its newline or, if it is not stored, the payload of the update. An update that
# is not kept may be dropped for a slow client. It is a plain tuple: objects of a class would take a
# third of the time of a page of history.
Update = tuple[bytes, bool, bool]
# What becomes of updates in a dialect: text, is_kept, is_state. What is state is neither stored nor
# dropped, such as `status`.
Message = tuple[bytes, bool, bool]


class UpdateStream(Protocol):
    """The updates of one project, in order, as messages of one version. It may remember what it has
    told. One thread at a time uses it."""

    def messages(self, updates: Iterable[Update]) -> list[Message]:
        """Return the messages for these updates, any number for each."""


class Replier(Protocol):
    """What one connection is answered. It may remember what the connection has asked for. Only the
    Client's thread uses it."""

    def meant(self, request: Request) -> Request:
        """Return a request as it is meant behind those before it. Raise Undecodable with the answer
        to it."""

    def result(
        self, request: Request, payload: Any, *, now: str, beside: Mapping[str, Any]
    ) -> list[bytes]:
        """Return the reply to a request that worked, in one or more messages.

        `payload` is a value of JSON, or its text; `now` is the time; `beside` is what only some
        versions tell.
        """

    def error(self, request: Request | Undecodable, error: WireError) -> list[bytes]:
        """Return the reply to a request that failed."""

    def history(
        self, request: Request, updates: Iterable[Update], facts: HistoryFacts | RecordsFacts
    ) -> list[bytes]:
        """Return the reply to get_messages: the updates, and what else it tells."""


class Dialect(Protocol):
    """What a version of the protocol looks like. All threads share one instance a version.

    `takes_questions`: its clients can answer a `permission_request`. `quiet_s`: a client that was
    sent nothing for so long since it came is shown `liveness`; None: it is not.
    """

    @property
    def version(self) -> int: ...

    @property
    def takes_questions(self) -> bool: ...

    @property
    def quiet_s(self) -> float | None: ...

    def decode(self, text: str) -> Request:
        """Return the request in a client's message. Raise Undecodable with the answer to it."""

    def greeting(self, welcome: Welcome) -> bytes | None:
        """Return the first message of a connection; None if the version has none."""

    def liveness(self, health: Mapping[str, Any]) -> bytes:
        """Return a message that only shows that the hub is there; `health` is that of
        health_check."""

    def replier(self) -> Replier:
        """Return what makes the replies of one connection."""

    def stream(self, project: Mapping[str, Any]) -> UpdateStream:
        """Return what makes messages of the updates of a project. `project` is the `project`
        object of that moment."""

    def changes(self) -> UpdateStream:
        """Return what makes messages of the changes of all projects, for a client that watches."""


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
    stream: UpdateStream,
    updates: Iterable[Update],
    *,
    last_seq: int | None,
    deflation: Deflation | None,
    is_final: bool = False,
) -> Broadcast:
    """Return a batch in one dialect."""
    spoken = stream.messages(updates)
    messages = kept_messages = [message for message, _, _ in spoken]
    all_kept = all([is_kept for _, is_kept, _ in spoken])
    frames = kept_frames = text_frames(messages)
    if not all_kept:
        kept_messages = [message for message, is_kept, _ in spoken if is_kept]
        kept_frames = text_frames(kept_messages)
    state = [message for message, _, is_state in spoken if is_state]
    return Broadcast(
        last_seq,
        frames,
        kept_frames,
        messages,
        kept_messages,
        deflation,
        is_final,
        text_frames(state) if state else b"",
    )


def replay_frames(stream: UpdateStream, updates: Iterable[Update]) -> bytes:
    """Return updates of history as frames, for one client."""
    return text_frames([message for message, _, _ in stream.messages(updates)])


class Version1:
    """The dialect of docs/protocol.md. A stored record becomes a message without being parsed. It
    remembers nothing, so it is its own replier and its own stream."""

    version = PROTOCOL_VERSION
    takes_questions = True
    quiet_s: float | None = None

    def decode(self, text: str) -> Request:
        return codec.decode(text)

    def greeting(self, welcome: Welcome) -> bytes | None:
        return b'{"type":"welcome","payload":%b}' % codec.dumps(welcome)

    def liveness(self, health: Mapping[str, Any]) -> bytes:
        raise NotImplementedError("its clients have had a greeting")

    def replier(self) -> Replier:
        return self

    def stream(self, project: Mapping[str, Any]) -> UpdateStream:
        return self

    def changes(self) -> UpdateStream:
        return self

    def meant(self, request: Request) -> Request:
        return request

    def result(
        self, request: Request, payload: Any, *, now: str, beside: Mapping[str, Any]
    ) -> list[bytes]:
        text = payload if isinstance(payload, bytes) else codec.dumps(payload)
        return [b'{"type":"result",%b"payload":%b}' % (_id_field(request.id), text)]

    def error(self, request: Request | Undecodable, error: WireError) -> list[bytes]:
        facts = ErrorFacts(code=error.code, message=error.message, details=error.details)
        return [b'{"type":"error",%b"payload":%b}' % (_id_field(request.id), codec.dumps(facts))]

    def messages(self, updates: Iterable[Update]) -> list[Message]:
        head, prefix = _UPDATE_HEAD, codec.RECORD_PREFIX_BYTES
        return [
            (b"%b{%b}" % (head, text[prefix:-1]), True, False)
            if is_stored
            else (b"%b%b}" % (head, text), is_kept, is_kept)
            for text, is_stored, is_kept in updates
        ]

    def history(
        self, request: Request, updates: Iterable[Update], facts: HistoryFacts | RecordsFacts
    ) -> list[bytes]:
        payloads = [
            codec.update_payload(text) if is_stored else text for text, is_stored, _ in updates
        ]
        page = b'{"messages":[%b],%b' % (b",".join(payloads), codec.dumps(facts)[1:])
        return [b'{"type":"result",%b"payload":%b}' % (_id_field(request.id), page)]


def _id_field(request_id: str | None) -> bytes:
    return b"" if request_id is None else b'"id":%b,' % codec.dumps(request_id)


VERSION_1 = Version1()
