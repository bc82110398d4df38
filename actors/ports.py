"""The seam to many machines: who asks, what takes a project's updates, and what takes changes.

A project never asks a subscriber for a socket. docs/architecture.md says what may stand behind
these interfaces later.
"""

from dataclasses import dataclass
from typing import Protocol

from protocol.dialect import Broadcast, Dialect
from protocol.rights import UNLIMITED, Rights
from protocol.ssh import Certificate, PublicKey


@dataclass(frozen=True, slots=True)
class Credential:
    """The key or certificate with which a client has authenticated, and from which address."""

    shown: PublicKey | Certificate
    address: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """The client of a request. It travels with every command, into the `prompt` record and the
    audit log. `credential` is None if no key was needed. `takes_questions`: it can answer a
    `permission_request`."""

    client_id: str
    user: str | None = None
    rights: Rights = UNLIMITED
    credential: Credential | None = None
    takes_questions: bool = True

    @property
    def named(self) -> str:
        """The name for people: the user, else the client."""
        return self.user or self.client_id


class Subscriber(Protocol):
    """Anything that takes a project's updates: a client's subscription, later a relay."""

    @property
    def id(self) -> str:
        """Name the subscriber within the project."""

    @property
    def dialect(self) -> Dialect:
        """Say in which version of the protocol it gets its updates."""

    @property
    def is_live(self) -> bool:
        """Say that what it is offered goes out at once: it has read all that lies behind."""

    @property
    def wants_ephemeral(self) -> bool:
        """Say that it takes updates that are not stored and may be dropped."""

    def register(self, position: int, last_seq: int) -> None:
        """Begin at `position`: it reads the records up to `last_seq` by itself, and is offered
        every batch behind that."""

    def offer(self, batch: Broadcast) -> None:
        """Take a batch, in order, in the project's thread, without blocking."""

    def left(self) -> None:
        """Note that no more is offered, because the client has left."""

    def replaced(self) -> None:
        """Note that no more is offered, because the client has joined again."""

    def closed(self, why: str) -> None:
        """Note that no more is offered, because the project's actor failed. Joining again helps."""


class Watcher(Protocol):
    """Anything that takes the changes of all projects: a client that watches, later a relay. The
    Hub calls it, in the Hub's thread; no call blocks."""

    @property
    def id(self) -> str:
        """Name the client."""

    @property
    def dialect(self) -> Dialect:
        """Say in which version of the protocol it gets its updates."""

    def begin(self, listed: frozenset[str]) -> None:
        """Hold what is offered, until the list of these projects is sent."""

    def offer(self, project_id: str, batch: Broadcast) -> None:
        """Take what a project is now, in place of what still waits of it."""

    def offer_last(self, project_id: str, batch: Broadcast, *, is_known: bool) -> None:
        """Take the end of a project. `is_known`: the watcher was ever shown it."""

    def end(self) -> None:
        """Note that no more is offered."""
