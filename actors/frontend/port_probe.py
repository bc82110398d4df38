"""Could a server listen at a port now?"""

import errno
import socket
from enum import StrEnum

from actors.frontend.addresses import LOOPBACK_ADDRESSES
from protocol.host import LOCALHOST


class Taken(StrEnum):
    """Why not."""

    IN_USE = "another program uses it"
    FORBIDDEN = "this user may not listen there"
    NO_ADDRESS = "it is no address of this machine"


def try_port(bind: str, port: int) -> Taken | None:
    """Bind to the port and let it go again; nobody can connect meanwhile, since nothing listens.
    Return why that is not possible, or None."""
    addresses = LOOPBACK_ADDRESSES if bind == LOCALHOST else (bind,)
    reasons = [_reason(address, port) for address in addresses]
    if bind == LOCALHOST:  # a machine may lack one of the families
        reasons = [reason for reason in reasons if reason is not Taken.NO_ADDRESS]
    return next(filter(None, reasons), None)


def _reason(address: str, port: int) -> Taken | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As a server binds: connections that have just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Taken.IN_USE
        if error.errno in (errno.EACCES, errno.EPERM):
            return Taken.FORBIDDEN
        return Taken.NO_ADDRESS
    return None
