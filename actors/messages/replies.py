"""Answers to requests, by number: no handler returns one."""

from dataclasses import dataclass
from typing import Any

import pykka

from actors.runtime.mailbox import tell_if_alive
from protocol import codec
from protocol.errors import WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """To a Client: the answer to request `number`; `payload` is JSON. `execution_id`: what it was
    about, for the audit log, where the payload does not say so."""

    number: int
    ok: bool
    payload: bytes
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """One place in the ordered replies of a connection. To be used once, from any thread."""

    client: pykka.ActorRef[Any]
    number: int

    def result(self, payload: Any, *, about: str | None = None) -> None:
        """Answers with an object (or with bytes that are JSON already); `about`: an execution that
        it does not name."""
        encoded = payload if isinstance(payload, bytes) else codec.dumps(payload)
        reply = Replied(number=self.number, ok=True, payload=encoded, execution_id=about)
        tell_if_alive(self.client, reply)

    def error(self, error: WireError) -> None:
        """Answers that it did not work."""
        payload = codec.error_payload(error)
        tell_if_alive(self.client, Replied(number=self.number, ok=False, payload=payload))
