"""What a peer can inflate, and whose compressed stream its window follows (RFC 7692).

The peer has one window for all compressed messages of its connection, so it can follow one project
at a time; what comes from others goes out as it is. Used with the outbox's lock held.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Inflater:
    """Made at the handshake. `keeps_context`: false where the peer asked that every message stand
    alone (server_no_context_takeover)."""

    keeps_context: bool
    project_id: str | None = None
    context: object | None = None

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
