"""Where the server listens: at an address, or at both families of `localhost`."""

import errno
import socket
from collections.abc import Callable
from typing import TypeVar

from protocol.host import LOCALHOST

# Where `localhost` listens.
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")
# A free port of one family may be in use in the other one.
FREE_PORT_TRIES_MAX = 16
# Of a system without one of the families.
_NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_Listener = TypeVar("_Listener")


def on_each_address(
    host: str,
    port: int,
    bind: Callable[[str, int], _Listener],
    socket_of: Callable[[_Listener], socket.socket],
) -> list[_Listener]:
    """Bind to an address, or to both families of `localhost` at the same port; 0 takes a free one.
    `bind(address, port)` makes a listener, and raises OSError. Raises OSError."""
    if host != LOCALHOST:
        return [bind(host, port)]
    for _ in range(FREE_PORT_TRIES_MAX - 1):
        try:
            return _on_loopback(port, bind, socket_of)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _on_loopback(port, bind, socket_of)


def _on_loopback(
    port: int,
    bind: Callable[[str, int], _Listener],
    socket_of: Callable[[_Listener], socket.socket],
) -> list[_Listener]:
    """Return a listener for each family that this machine has. Raises OSError if it has none, or if
    the port is taken in one of them: clients would reach another program there."""
    found: list[_Listener] = []
    absent: OSError | None = None
    for address in LOOPBACK_ADDRESSES:
        try:
            found.append(bind(address, port))
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:
                for listener in found:
                    socket_of(listener).close()
                raise
            absent = error
        else:
            port = socket_of(found[-1]).getsockname()[1]
    if not found and absent is not None:
        raise absent
    return found
