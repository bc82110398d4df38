"""Stand-ins for what an actor talks to; each keeps the real interface."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pykka

from actors import messages
from protocol import codec
from protocol.codec import Undecodable
from protocol.dialect import VERSION_1, Broadcast


class Probe(pykka.ThreadingActor):
    """An actor that is never started; the test reads its inbox."""

    def take(self) -> list[Any]:
        """Everything that it was told."""
        return list(self._messages())

    def _messages(self) -> Iterator[Any]:
        while not self.actor_inbox.empty():
            yield self.actor_inbox.get().message


def inbox_of(actor: pykka.ThreadingActor) -> list[Any]:
    """Take the messages in the inbox of an actor that is not started."""
    messages = []
    while not actor.actor_inbox.empty():
        messages.append(actor.actor_inbox.get().message)
    return messages


class FrozenClock:
    """A clock on freezegun's time, which stands still in every thread."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return datetime.now(UTC).timestamp()


@dataclass
class ManualTimer:
    delay_s: float
    receiver: pykka.ActorRef[Any]
    message: Any
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class ManualTimers:
    """Timers that fire when the test says so."""

    pending: list[ManualTimer] = field(default_factory=list)

    def after(self, delay_s: float, receiver: pykka.ActorRef[Any], message: Any) -> ManualTimer:
        timer = ManualTimer(delay_s, receiver, message)
        self.pending.append(timer)
        return timer

    def fire(self, kind: type) -> None:
        """Tells the messages of one kind that are pending and not cancelled."""
        due = [t for t in self.pending if isinstance(t.message, kind)]
        self.pending = [t for t in self.pending if t not in due]
        for timer in due:
            if not timer.cancelled:
                timer.receiver.tell(timer.message)


class FakeTransport:
    """A socket that takes `room` bytes."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.sent = b""
        self.held_bytes = 0
        self.half_closed = False
        self.aborted = False
        self.is_broken = False

    @property
    def holds_back(self) -> bool:
        return self.held_bytes > 0

    def flush(self) -> bool:
        return not self.holds_back

    def send(self, data: bytes | memoryview) -> int:
        if self.is_broken:
            raise BrokenPipeError
        taken = bytes(data[: self.room])
        if not taken:
            raise BlockingIOError
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def wait_writable(self, timeout_s: float) -> bool:
        return self.room > 0

    def half_close(self) -> None:
        self.half_closed = True

    def abort(self) -> None:
        self.aborted = True


class RecordingSubscriber:
    """A subscriber that keeps its batches."""

    dialect = VERSION_1
    was_replaced = False

    def __init__(self, subscriber_id: str = "s") -> None:
        self.id = subscriber_id
        self.registered: tuple[int, int] | None = None
        self.batches: list[Broadcast] = []
        self.closed_with: str | None = None
        self.has_left = False

    def register(self, position: int, last_seq: int) -> None:
        self.registered = (position, last_seq)

    def offer(self, batch: Broadcast) -> None:
        self.batches.append(batch)

    def replaced(self) -> None:
        self.was_replaced = True

    def left(self) -> None:
        self.has_left = True

    def closed(self, why: str) -> None:
        self.closed_with = why


def body_of(project_id: str, update_type: str, data: Any, execution_id: str | None = None) -> bytes:
    """Return one update without its number and time."""
    return codec.update_bodies(project_id, [(update_type, data, execution_id)])[0]


def said(answer: messages.Answer) -> Any:
    """Return the payload of an answer as a client gets it."""
    if isinstance(answer, messages.Refused):
        (text,) = VERSION_1.error(Undecodable(answer.error), answer.error)
        return json.loads(text)["payload"]
    if isinstance(answer, messages.Left):
        return {"project_id": answer.project_id}
    assert not isinstance(answer, messages.HistorySnapshot)
    return json.loads(codec.dumps(answer.payload))


def texts(stream: bytes) -> list[bytes]:
    """The payloads of unmasked text frames."""
    found, at = [], 0
    while at < len(stream):
        length, header = stream[at + 1] & 0x7F, 2
        if length == 126:
            length, header = int.from_bytes(stream[at + 2 : at + 4]), 4
        elif length == 127:
            length, header = int.from_bytes(stream[at + 2 : at + 10]), 10
        found.append(stream[at + header : at + header + length])
        at += header + length
    return found


class RecordingWatcher:
    """A watcher that keeps what it is offered."""

    dialect = VERSION_1

    def __init__(self, client_id: str = "c1") -> None:
        self.id = client_id
        self.listed: frozenset[str] | None = None
        self.batches: list[Broadcast] = []
        self.unknown_ends: list[str] = []
        self.has_ended = False

    def begin(self, listed: frozenset[str]) -> None:
        self.listed = listed

    def offer(self, project_id: str, batch: Broadcast) -> None:
        self.batches.append(batch)

    def offer_last(self, project_id: str, batch: Broadcast, *, is_known: bool) -> None:
        if is_known:
            self.batches.append(batch)
        else:
            self.unknown_ends.append(project_id)

    def end(self) -> None:
        self.has_ended = True

    def take(self) -> list[dict[str, Any]]:
        """Return the payloads of the updates, and forget them."""
        taken, self.batches = self.batches, []
        return [json.loads(text)["payload"] for batch in taken for text in batch.messages]
