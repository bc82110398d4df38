"""Answers to requests. An answer is a value with a number; the Client makes bytes of it."""

from dataclasses import dataclass
from typing import Any

import pykka

from actors.runtime.base import tell_if_alive
from protocol import codec
from protocol.errors import WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """To a Client: request `number` worked.

    `payload` is a value of JSON (see codec.plain); nobody changes it any more. `execution_id` is
    for the audit log, if the payload does not name the execution.
    """

    number: int
    payload: Any
    execution_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """To a Client: request `number` failed."""

    number: int
    error: WireError


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The return address of one request. Any thread may use it, once."""

    client: pykka.ActorRef[Any]
    number: int

    def result(self, payload: Any, *, execution_id: str | None = None) -> None:
        """Answer that the request worked; see Replied."""
        facts = codec.plain(payload)
        reply = Replied(number=self.number, payload=facts, execution_id=execution_id)
        tell_if_alive(self.client, reply)

    def error(self, error: WireError) -> None:
        """Answer that the request failed."""
        tell_if_alive(self.client, Refused(number=self.number, error=error))
