"""Which versions of the protocol the hub speaks, where, and how a client chooses one.

docs/decisions/0020 says how a version is added, and how it goes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.dialect import VERSION_1, Dialect
from protocol.v0.dialect import VERSION_0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is spoken at one path: dialects by WebSocket subprotocol (RFC 6455, section 1.9), the
    best one first. `default` is for a client that offers none. `deprecations` are the notes for
    clients of versions that will go."""

    dialects: Mapping[str, Dialect]
    default: Dialect
    deprecations: Mapping[int, str]

    @property
    def versions(self) -> list[int]:
        """Return the versions, the oldest first."""
        return sorted({dialect.version for dialect in self.dialects.values()})

    def choose(self, offered: Sequence[str]) -> str | None:
        """Return the subprotocol to answer with; None if the client offers none.

        Raise ValueError, with a text that names the known ones, if it offers only unknown ones.
        """
        if not offered:
            return None
        for subprotocol in self.dialects:
            if subprotocol in offered:
                return subprotocol
        known = ", ".join(self.dialects)
        raise ValueError(
            f"Unknown subprotocol: offer one that this hub speaks here ({known}), or none."
        )

    def dialect(self, subprotocol: str | None) -> Dialect:
        """Return the dialect of a subprotocol that `choose` has returned."""
        return self.default if subprotocol is None else self.dialects[subprotocol]


CURRENT = Endpoint({f"claudehub.v{VERSION_1.version}": VERSION_1}, VERSION_1, {})
# The version of the older server. Its clients know their path and offer no subprotocol.
OLDER = Endpoint({f"claudehub.v{VERSION_0.version}": VERSION_0}, VERSION_0, {})
