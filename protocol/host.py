"""The `host` of `authenticate`: what a client dialled, and the text that it signs with it.

A hub that a client connects to could pass on the challenge of another hub. The signed text names
the host that the client dialled, so the other hub sees that it is none of its names.
"""

import ipaddress
import re
from urllib.parse import urlsplit

AUTH_VERSION = 2
PORT_MAX = 65535
# A name has at most 253 characters (RFC 1035, section 2.3.4), and may end with a dot.
NAME_CHARACTERS_MAX = 254
HOST_CHARACTERS_MAX = NAME_CHARACTERS_MAX + 6
DEFAULT_PORTS = {"ws": 80, "wss": 443}
LOCALHOST = "localhost"

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)(?:%[a-z0-9._~-]+)?\]|([^\[\]:]+)):([1-9][0-9]{0,4})")
_EXAMPLE = "such as hub.example.org:8080, or [2001:db8::1]:443"


def host_name(host: str) -> str:
    """Return the name in a `host`, without its port, as names are compared: an address in its usual
    form, a name without a dot at its end. Raises ValueError."""
    match = _HOST.fullmatch(host) if len(host) <= HOST_CHARACTERS_MAX else None
    if match is None or int(match[3]) > PORT_MAX:
        raise ValueError(f"must be what was dialled, name:port in lower case, {_EXAMPLE}")
    if match[1] is not None:
        try:
            return _usual(ipaddress.IPv6Address(match[1]))
        except ValueError:
            raise ValueError(f"has no IPv6 address in its brackets; {_EXAMPLE}") from None
    return plain_name(match[2])


def plain_name(name: str) -> str:
    """Return a name or an address, without a port, as names are compared. Raises ValueError."""
    try:
        return _usual(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        if len(name) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(name):
            raise ValueError(f"{name[:64]!r} is no host name in lower case") from None
        return name.removesuffix(".")


def own_name(text: str) -> str:
    """Return a name for a hub as names are compared; it may begin with `*.`, for one label. Raises
    ValueError."""
    text = text.lower()
    if text.startswith("*."):
        if is_address(rest := plain_name(text[2:])):
            raise ValueError(f"{text[:64]!r} is an address; only a name may begin with '*.'")
        return f"*.{rest}"
    return plain_name(text.removeprefix("[").removesuffix("]"))


def is_named(name: str, own: str) -> bool:
    """Return True if a name of `host_name` is one of `own_name`."""
    if own.startswith("*.") and not is_address(name):
        return name.partition(".")[2] == own[2:]
    return name == own


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Return True for `localhost` and the addresses of loopback."""
    return name == LOCALHOST or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def dialled(url: str) -> str:
    """Return the `host` of a ws:// or wss:// URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no URL that begins with ws:// or wss:// and names a host")
    name = parts.hostname.replace("%25", "%")
    if not name.isascii():
        name = name.encode("idna").decode()
    host = f"[{name}]" if ":" in name else name
    host = f"{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}"
    host_name(host)
    return host


def signed_text(challenge: str, host: str) -> bytes:
    """Return what a client signs. Neither part may hold a newline: they are checked before."""
    return f"claudehub-auth-v{AUTH_VERSION}\n{challenge}\n{host}\n".encode()


def _usual(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return one text for each address: IPv4 inside IPv6 is IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Address(address.packed))
    return str(address)
