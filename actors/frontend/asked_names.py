"""Refuse requests that a browser sends to METRICS_PORT for a page from elsewhere.

Such a page has a name of its own, whose address its owner changes to that of the hub (DNS
rebinding). The browser then takes the hub for the page's own server and lets the page read the
answers; nothing but the `Host` tells. So names are refused that anybody can have in the public DNS.
"""

from collections.abc import Callable

from protocol.host import is_address, plain_name

# Nobody can have a name below these in the public DNS: RFC 6761, RFC 8375, ICANN (.internal), and
# the names of Kubernetes.
_PRIVATE = (".localhost", ".test", ".home.arpa", ".internal", ".svc", ".cluster.local")


def is_asked_by_its_name(host: str, is_own: Callable[[str], bool]) -> bool:
    """Return True if the value of `Host` may be the hub's: nothing, as HTTP/1.0 has it, an address,
    a name without a dot (a container, `localhost`), a private name, or one for which `is_own` is
    True."""
    host = host.strip().lower()
    if not host:
        return True
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        name = plain_name(name)
    except ValueError:
        return False
    return is_address(name) or "." not in name or name.endswith(_PRIVATE) or is_own(name)
