"""Which key comes next when a hub asks for one."""

from collections.abc import Iterator, Mapping
from typing import Any

from claudehub.client.address import Address
from claudehub.client.errors import RequestRefused
from claudehub.client.identity import Identity, Proof, SigningFailed


class Signatures:
    """Offer a user's keys one after the other. `next` blocks: ssh-keygen may ask for a passphrase,
    or wait for a touch."""

    def __init__(self, address: Address, identity: Identity) -> None:
        self._address = address
        self._identity = identity
        self._proofs: Iterator[Proof] = iter(())

    def next(self, offer: Mapping[str, Any], refusal: RequestRefused | None) -> Proof:
        """Return the next signature of an offer. `refusal` is what the hub said of the last one, or
        None for the first of a connection. Raises SigningFailed if no key is left."""
        if refusal is None:
            host = self._address.host
            assert host is not None, "a Unix socket asks for no key"
            self._proofs = self._identity.proofs(dict(offer), host)
        try:
            proof = next(self._proofs, None)
        except (ValueError, RuntimeError) as error:  # a name that is no path, a home that is none
            raise SigningFailed(f"the key cannot be used: {error}") from None
        if proof is None:
            assert refusal is not None, "there is a proof, or SigningFailed"
            raise SigningFailed(f"the hub does not take this key: {refusal}")
        return proof
