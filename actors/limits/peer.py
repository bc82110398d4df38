"""Where a connection comes from."""

import ipaddress
from dataclasses import dataclass

# Whoever has one IPv6 address has this many bits of others.
_IPV6_SITE_BITS = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """`address` without a port, of a connection over TCP; `uid` of one over a Unix socket."""

    address: str | None = None
    uid: int | None = None

    def __str__(self) -> str:
        return f"uid {self.uid}" if self.address is None else self.address

    @property
    def origin(self) -> str | None:
        """By what limits for one address count: the address, of IPv6 its network. None for this
        machine, where everybody behind a proxy or a tunnel comes from."""
        if self.address is None:
            return None
        try:
            address = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:  # the kernel says only addresses
            return self.address
        if isinstance(address, ipaddress.IPv6Address):
            if (mapped := address.ipv4_mapped) is None:
                site = ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False)
                return None if address.is_loopback else str(site)
            address = mapped
        return None if address.is_loopback else str(address)
