"""The seam to many machines: what actors know of each other, as narrow interfaces.

A Client never learns whether a project actor stands behind a port; a Project never asks a
subscriber for a socket. docs/architecture.md says what may come behind them later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from protocol.rights import Rights

if TYPE_CHECKING:
    from actors.messages import ProjectMessage
    from protocol.inflater import Inflater


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asked; travels with every command into the `prompt` record. `key`: the execute's."""

    client_id: str
    user: str | None = None
    key: str | None = None
    rights: Rights = field(default=Rights())

    @property
    def named(self) -> str:
        """For people: the user, where that is known."""
        return self.user or self.client_id


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One batch for every subscriber of a project, encoded, framed and joined once.

    `lines` are the stored records in it, `last_seq` the number of the last one (None: nothing in it
    is stored). `frames` is everything as WebSocket text frames; `kept_frames` the same without what
    may be dropped for a slow client. `pieces` and `kept_pieces` are the same, frame by frame, for
    `deflation`, which compresses them for all who can inflate (None: not this batch). `final`: the
    project is gone.
    """

    log_id: str
    lines: Sequence[bytes]
    last_seq: int | None
    frames: bytes
    kept_frames: bytes
    pieces: Sequence[bytes] = field(default=())
    kept_pieces: Sequence[bytes] = field(default=())
    deflation: "Deflation | None" = field(default=None)
    final: bool = field(default=False)


class Deflation(Protocol):
    """A project's compressed streams; used while a batch is offered."""

    def frames(
        self, batch: Sequence[bytes], inflater: "Inflater", *, with_ephemeral: bool
    ) -> bytes | None:
        """The batch compressed for a peer; None where it gets it as it is."""


class Subscriber(Protocol):
    """Anything that takes a project's updates: a client's subscription, later a reports."""

    @property
    def key(self) -> str:
        """Names the subscriber within the project."""

    def register(self, position: int, last_seq: int) -> None:
        """It has what lies up to `position`, reads up to `last_seq` by itself, and will be offered
        everything behind that."""

    def offer(self, batch: Broadcast) -> None:
        """Takes a batch; called in order, from the project's thread, and never blocks."""

    def left(self) -> None:
        """No more will be offered, as was asked for."""

    def closed(self, why: str) -> None:
        """No more will be offered, since the project's actor failed; joining again helps."""


class ProjectPort(Protocol):
    """Where messages for a project go."""

    def tell(self, message: "ProjectMessage") -> bool:
        """False where the project cannot be reached just now."""


class Directory(Protocol):
    """Who is to be told about a project."""

    def find(self, project_id: str) -> ProjectPort | None:
        """None where there is no such project."""
