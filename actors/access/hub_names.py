"""The names of this hub: what a client may have dialled to reach it (docs/protocol-keys.md)."""

from collections.abc import Callable, Collection

from actors.limits.peer import Peer
from protocol.host import host_name, is_loopback, is_named, plain_name


class HubNames:
    """`public` are PUBLIC_NAMES. Without any, the names are those of the certificate and of the
    machine, and the address at which the connection came in; they are asked for each time, because
    both can change. Any thread may use it."""

    def __init__(
        self,
        public: Collection[str],
        *,
        certificate: Callable[[], Collection[str]] = tuple,
        machine: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._public = public
        self._certificate = certificate
        self._machine = machine

    def __str__(self) -> str:
        if self._public:
            return f"PUBLIC_NAMES ({', '.join(self._public)})"
        own = ", ".join(dict.fromkeys((*self._certificate(), *self._machine())))
        return f"{own or 'no name'}, and the address of each connection; PUBLIC_NAMES sets others"

    def are_dialled_by(self, peer: Peer, host: str) -> bool:
        """Return True if a peer that has dialled `host` wanted this hub. The port is not compared:
        tunnels and proxies change it."""
        name = host_name(host)
        if is_loopback(name) and peer.address is not None and is_loopback(_plain(peer.address)):
            return True
        if not self._public and peer.local_address is not None:
            return name == _plain(peer.local_address) or self.have(name)
        return self.have(name)

    def have(self, name: str) -> bool:
        """Return True if a name, as `host_name` writes it, is one of these."""
        own_names = self._public or (*self._certificate(), *self._machine())
        return any(is_named(name, own) for own in own_names)


def _plain(address: str) -> str:
    """Return an address of the kernel as `host_name` writes it."""
    return plain_name(address)
