"""Which hub a command addresses, and with which key."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from actors.config.sources import local_socket
from claudehub.client.identity import Identity

DEFAULT_URL = "ws://127.0.0.1:8080"
UNIX = "unix:"
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """The address and key of a hub. `url` begins with ws:// or wss://, or is unix: and the path of
    a socket."""

    url: str = DEFAULT_URL
    identity: Identity = field(default=Identity())

    @property
    def socket_path(self) -> str | None:
        return self.url.removeprefix(UNIX) if self.url.startswith(UNIX) else None


def target(url: str | None, key: Path | None) -> Target:
    """Return the hub that the user named. Otherwise take the socket of the same configuration
    (SOCKET), then a socket in the usual place, then the usual port."""
    if url is None:
        path = local_socket() or _usual_socket()
        url = f"{UNIX}{path}" if path is not None and os.path.exists(path) else DEFAULT_URL
    return Target(url, Identity(key))


def _usual_socket() -> str | None:
    """Return the socket where docs/security.md puts it, if it is this user's and a server listens;
    or None."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if not folder:
        return None
    path = os.path.join(folder, "claudehub.sock")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            if os.lstat(path).st_uid != os.geteuid():
                return None
            probe.connect(path)
        except OSError:
            return None
    return path
