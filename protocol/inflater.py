"""What a peer can inflate, and whose compressed stream its window follows (RFC 7692).

The peer has one window for all compressed messages of its connection, so it can follow one project
at a time; what comes from others goes out as it is. Used with the outbox's lock held.
"""

from dataclasses import dataclass

WINDOW_BITS = 15


@dataclass(slots=True)
class Inflater:
    """Made at the handshake. A message that refers to earlier ones can be sent to a peer that keeps
    its context (no server_no_context_takeover) in a window of full size; to others each message
    stands alone."""

    keeps_context: bool
    window_bits: int = WINDOW_BITS
    project_id: str | None = None
    context: object | None = None

    @property
    def shares_context(self) -> bool:
        return self.keeps_context and self.window_bits == WINDOW_BITS

    def follows(self, project_id: str) -> bool:
        """Whether that project's messages may be compressed for this peer; the first to ask is
        followed until it is left."""
        if self.project_id is None:
            self.project_id = project_id
        return self.project_id == project_id

    def leave(self, project_id: str) -> None:
        """That project's stream is not followed any further; another may be."""
        if self.project_id == project_id:
            self.project_id = self.context = None

    def miss(self) -> None:
        """The peer did not get all of the stream: its window is of no use."""
        self.context = None
