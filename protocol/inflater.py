"""What a peer can inflate, and which project's compressed stream its window follows (RFC 7692).

A peer has one window for all compressed messages of its connection, so it can follow one project at
a time. Updates of other projects go out uncompressed. The lock of the connection's outbox guards
this object.
"""

from dataclasses import dataclass, field

WINDOW_BITS = 15


@dataclass(slots=True)
class Inflater:
    """The result of the handshake, and which stream is followed.

    A message that refers to earlier ones can be sent to a peer that keeps its context (it did not
    ask for server_no_context_takeover) in a window of full size; it then `shares_context`. For
    other peers each message stands alone.
    """

    keeps_context: bool
    window_bits: int = WINDOW_BITS
    project_id: str | None = None
    context: object | None = None
    shares_context: bool = field(init=False)

    def __post_init__(self) -> None:
        self.shares_context = self.keeps_context and self.window_bits == WINDOW_BITS

    def follows(self, project_id: str) -> bool:
        """Return True if messages of that project may be compressed for this peer.

        The peer follows the first project that asks, until it leaves it.
        """
        if self.project_id is None:
            self.project_id = project_id
        return self.project_id == project_id

    def leave(self, project_id: str) -> None:
        """Stop following a project's stream; the next project that asks is followed."""
        if self.project_id == project_id:
            self.project_id = self.context = None

    def miss(self) -> None:
        """Note that the peer did not get all of the stream, so its window is of no use."""
        self.context = None
