"""The host name of this machine, with and without its domain."""

import os
import socket
import threading

from actors.runtime.logger import get_logger
from protocol.host import is_loopback, own_name

logger = get_logger("claudehub.frontend")

# A resolver without a network may take half a minute. The server's start waits for it that long.
DOMAIN_WAIT_S = 1.0


class MachineNames:
    """`names` has the host name at once, and the name with its domain when the resolver knows it:
    a thread asks, because the answer may take long."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = _with_and_without_domain(os.uname().nodename)
        self._thread = threading.Thread(target=self._ask, name="host name", daemon=True)

    def ask(self) -> None:
        """Ask the resolver for the domain, once, and wait a moment for the answer."""
        if self._thread.ident is not None:
            return
        self._thread.start()
        self._thread.join(DOMAIN_WAIT_S)

    def _ask(self) -> None:
        name = os.uname().nodename
        try:
            found = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)
        except OSError as error:
            logger.debug("the resolver does not know this host", name=name, error=error)
            return
        # The resolver is not trusted with another name: only with the domain of this one.
        short = name.partition(".")[0].lower()
        for entry in found:
            full = entry[3].lower()
            if full.startswith(f"{short}."):
                self.names = tuple({*self.names, *_with_and_without_domain(full)})


def _with_and_without_domain(name: str) -> tuple[str, ...]:
    """Return a name and its first part. `localhost` is every machine's name, and so is none."""
    found = []
    for one in dict.fromkeys((name, name.partition(".")[0])):
        try:
            plain = own_name(one)
        except ValueError:
            continue
        if not is_loopback(plain) and not plain.startswith("localhost."):
            found.append(plain)
    return tuple(found)
