"""Where a hub is: an address that a user gave, or the one that this machine's hub listens at."""

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from claudehub.client.errors import ConnectFailed, Failure
from protocol.host import dialled, is_loopback

DEFAULT_URL = "ws://127.0.0.1:8080"
UNIX = "unix:"
PROBE_TIMEOUT_S = 2.0
LOOPBACK = "127.0.0.1"
_USUAL_PORT = 8080
_PORT_MAX, _DIGITS_MAX = 65535, 5
# How WS_PORT says that there is no port.
_NO_PORT = "off"
# What to dial in place of any address.
_ANY = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  # nosec B104
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
    port that the hub's configuration names, or the usual one."""
    if url := os.environ.get(_URL_VARIABLE):
        return url
    file = _configuration()
    configured = configured_socket(file)
    path = configured or _usual_socket()
    if path is not None and os.path.exists(path):
        return f"{UNIX}{path}"
    port = _setting(file, "ws_port")
    if configured is not None and port == _NO_PORT:
        return f"{UNIX}{configured}"  # the hub listens nowhere else
    is_secure = _setting(file, "tls_cert") is not None
    return tcp_url(_host(_setting(file, "bind")), _port(port), is_secure=is_secure)


def tcp_url(bind: str, port: int, *, is_secure: bool) -> str:
    """Return where to dial a hub of this machine that listens on that address and port."""
    host = _ANY.get(bind, bind)
    scheme = "wss" if is_secure else "ws"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def configured_socket(file: Mapping[str, object] | None = None) -> str | None:
    """Return SOCKET as the hub reads it: the variable, else the line in the configuration file,
    whose values may be given. A file that cannot be read is ignored: it may be meant for the hub's
    user alone."""
    path = _setting(_configuration() if file is None else file, "socket")
    return os.path.expanduser(path) if isinstance(path, str) else None


def _setting(file: Mapping[str, object], name: str) -> object:
    """Return a setting of the hub: the variable, else the value of the file. None if it is not set,
    or is empty."""
    return os.environ.get(name.upper()) or file.get(name) or None


def _configuration() -> Mapping[str, object]:
    """Return what the hub's configuration file says; nothing if it cannot be read."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    file = Path(home) / "claudehub" / "config.toml"
    try:
        if not file.exists():
            return {}
        import tomllib

        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _port(setting: object) -> int:
    """Return the port; the usual one if nobody can tell: any free one, or a fault of the file."""
    text = "" if isinstance(setting, bool) else str(setting)
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
    port = int(text) if is_number else 0
    return port if 0 < port <= _PORT_MAX else _USUAL_PORT


def _host(bind: object) -> str:
    """Return the address that the hub listens at; loopback if it is none."""
    if bind == "localhost":
        return "localhost"
    try:
        return str(ipaddress.ip_address(bind)) if isinstance(bind, str) else LOOPBACK
    except ValueError:
        return LOOPBACK


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
