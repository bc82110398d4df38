"""Answers to requests. An answer is a value with a number; the Client makes bytes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pykka

from actors.runtime.base import tell_if_alive
from protocol import codec
from protocol.errors import WireError

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """To a Client: request `number` worked.

    `payload` is a value of JSON (see codec.plain); nobody changes it any more. `execution_id` is
    for the audit log, if the payload does not name the execution. `beside` is what only some
    versions of the protocol tell.
    """

    number: int
    payload: Any
    execution_id: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)


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

    def result(
        self,
        payload: Any,
        *,
        execution_id: str | None = None,
        beside: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Answer that the request worked; see Replied."""
        reply = Replied(
            number=self.number,
            payload=codec.plain(payload),
            execution_id=execution_id,
            beside=beside,
        )
        self._send(reply)

    def _send(self, reply: Replied) -> None:
        tell_if_alive(self.client, reply)

    def error(self, error: WireError) -> None:
        """Answer that the request failed."""
        tell_if_alive(self.client, Refused(number=self.number, error=error))


@dataclass(frozen=True, slots=True)
class ReplyBehindUpdates(ReplyTo):
    """A return address whose results go out behind the updates that are on their way: `when_shown`
    calls back then (feed.py). Errors go out at once."""

    when_shown: Callable[[Callable[[], object]], None]

    def _send(self, reply: Replied) -> None:
        self.when_shown(lambda: tell_if_alive(self.client, reply))
