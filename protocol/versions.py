"""Which versions of the protocol the hub speaks, and how a client chooses one."""

from collections.abc import Sequence

from protocol import PROTOCOL_VERSION
from protocol.dialect import VERSION_1, Dialect

SUBPROTOCOLS = (f"claudehub.v{PROTOCOL_VERSION}",)
PROTOCOLS = (PROTOCOL_VERSION,)
# By WebSocket subprotocol. A client that offers none speaks version 1.
DIALECTS: dict[str | None, Dialect] = {None: VERSION_1, SUBPROTOCOLS[0]: VERSION_1}


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Return the WebSocket subprotocol to answer with (RFC 6455, section 1.9).

    Return None if the client offers none: it gets version 1. Raise ValueError, with a text that
    names the known ones, if the client offers only unknown ones.
    """
    if not offered:
        return None
    known = [name for name in DIALECTS if name is not None]
    for subprotocol in known:
        if subprotocol in offered:
            return subprotocol
    raise ValueError(
        f"Unknown subprotocol: offer one that this hub speaks ({', '.join(known)}), or none."
    )
