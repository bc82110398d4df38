"""Where a hub is: an address that a user gave, or the one that this machine's hub listens at."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from claudehub.client.errors import ConnectFailed, Failure
from protocol.host import dialled, is_loopback

DEFAULT_URL = "ws://127.0.0.1:8080"
UNIX = "unix:"
PROBE_TIMEOUT_S = 2.0
_URL_VARIABLE = "CLAUDEHUB_URL"
_OTHER_SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a hub. `url` is what the user sees; `socket_path` is set for a Unix socket."""

    url: str
    uri: WebSocketURI
    socket_path: str | None = None

    @property
    def host(self) -> str | None:
        """Return what was dialled, as `authenticate` signs it; None for a Unix socket."""
        return None if self.socket_path is not None else dialled(self.url)

    @property
    def is_local(self) -> bool:
        """Return True if nothing of the traffic leaves the machine."""
        return self.socket_path is not None or is_loopback(self.uri.host)


def parse_address(url: str) -> Address:
    """Read ws://, wss:// or unix:PATH. Raises ConnectFailed."""
    if url.startswith(UNIX):
        path = os.path.expanduser(url.removeprefix(UNIX).removeprefix("//"))
        return Address(url, parse_uri("ws://localhost/"), path)
    scheme, _, rest = url.partition("://")
    if (right := _OTHER_SCHEMES.get(scheme.lower())) is not None:
        raise ConnectFailed(
            Failure.ADDRESS, f"{url} is the address of a web page; a hub's is {right}://{rest}"
        )
    try:
        uri = parse_uri(url)
        dialled(url)
    except (InvalidURI, ValueError) as error:
        raise ConnectFailed(
            Failure.ADDRESS,
            f"{url!r} is no address of a hub ({error}); one looks like {DEFAULT_URL}, "
            "wss://hub.example.org or unix:/run/user/1000/claudehub.sock",
        ) from None
    return Address(url, uri)


def usual_url() -> str:
    """Return CLAUDEHUB_URL; else the Unix socket of this machine's hub, if there is one; else the
    usual port."""
    if url := os.environ.get(_URL_VARIABLE):
        return url
    path = configured_socket() or _usual_socket()
    return f"{UNIX}{path}" if path is not None and os.path.exists(path) else DEFAULT_URL


def configured_socket() -> str | None:
    """Return SOCKET as the hub reads it: the variable, else the line in the configuration file. A
    file that cannot be read is ignored: it may be meant for the hub's user alone."""
    if path := os.environ.get("SOCKET"):
        return os.path.expanduser(path)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    file = Path(home) / "claudehub" / "config.toml"
    try:
        if not file.exists():
            return None
        import tomllib

        text = file.read_text("utf-8")
        path = tomllib.loads(text).get("socket")
    except (OSError, ValueError):
        return None
    return os.path.expanduser(path) if isinstance(path, str) and path else None


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
