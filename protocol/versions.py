"""Which versions of the protocol are spoken, and how one is chosen."""

from collections.abc import Sequence

from protocol import PROTOCOL_VERSION

SUBPROTOCOLS = (f"claudehub.v{PROTOCOL_VERSION}",)
PROTOCOLS = (PROTOCOL_VERSION,)


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """The WebSocket subprotocol to answer with (RFC 6455, section 1.9).

    None where the client offers none: it gets version 1. Raises ValueError, with a text that names
    what is spoken, where only unknown ones are offered.
    """
    if not offered:
        return None
    for subprotocol in SUBPROTOCOLS:
        if subprotocol in offered:
            return subprotocol
    spoken = ", ".join(SUBPROTOCOLS)
    raise ValueError(f"unknown subprotocol; this server speaks: {spoken}")
