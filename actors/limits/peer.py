"""Where a connection comes from."""

import ipaddress
from dataclasses import dataclass, field

# A user with one IPv6 address usually has a whole network of that prefix.
_IPV6_SITE_BITS = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """`address`, without a port, of a connection over TCP, which came in at `local_address`; `uid`
    of one over a Unix socket.

    `origin` is what limits by address count by: the address, or its network for IPv6. It is None
    for this machine, where everybody behind a proxy or a tunnel comes from.
    """

    address: str | None = None
    uid: int | None = None
    local_address: str | None = None
    origin: str | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", _origin(self.address))  # frozen, and set once

    def __str__(self) -> str:
        return f"uid {self.uid}" if self.address is None else self.address


def _origin(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:  # the kernel gives only addresses
        return name
    if isinstance(address, ipaddress.IPv6Address):
        if (mapped := address.ipv4_mapped) is None:
            site = ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False)
            return None if address.is_loopback else str(site)
        address = mapped
    return None if address.is_loopback else str(address)
