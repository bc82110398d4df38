"""One connection's lock: shut until a key has signed its challenge.

The connection's thread makes it; then only the Client uses it.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime

from actors.access.keyring import Keyring
from actors.limits.peer import Peer
from actors.ports import Caller, Credential
from actors.runtime.clock import Clock, timestamp
from protocol import codec, requests
from protocol.errors import ErrorCode, RequestRefused, WireError
from protocol.host import signed_text
from protocol.rights import UNLIMITED
from protocol.ssh import (
    NAMESPACE,
    AuthorizedKey,
    Certificate,
    PublicKey,
    SshError,
    is_certificate,
    parse_certificate,
    parse_public_key,
    verify,
)
from protocol.updates import AuthOffer

_NONCE_BYTES = 32


def server_name(data_id: str) -> str:
    """Return a name for the server in its challenges, which reveals nothing else about it."""
    return hashlib.sha256(data_id.encode()).hexdigest()[:16]


class Gate:
    """`keyring` is None if no key is needed. The challenge binds server, connection and time, and
    is good for one authentication. `fingerprint` is that of the key that was last tried, valid or
    not. `is_own_host` returns True for a host that leads to this hub. `has_room` is called after a
    valid key. `too_many_executions` counts one more and returns the answer if that is too many."""

    def __init__(
        self,
        keyring: Keyring | None,
        *,
        server: str,
        client_id: str,
        peer: Peer,
        clock: Clock,
        is_own_host: Callable[[str], bool],
        has_room: Callable[[], bool],
        too_many_executions: Callable[[], RequestRefused | None],
    ) -> None:
        self.peer = peer
        self._too_many_executions = too_many_executions
        self._has_room = has_room
        self._is_own_host = is_own_host
        self.caller = Caller(client_id)
        self.fingerprint: str | None = None
        self._keyring = keyring
        self._clock = clock
        self._shown: PublicKey | Certificate | None = None
        self._entry: AuthorizedKey | None = None
        self._challenge: str | None = None
        self.is_locked = keyring is not None
        if keyring is not None:
            nonce = secrets.token_hex(_NONCE_BYTES)
            made_at = timestamp(clock.now())
            self._challenge = f"{NAMESPACE} {server} {client_id} {made_at} {nonce}"

    @property
    def offer(self) -> AuthOffer | None:
        """Return what the greeting says about authentication."""
        challenge = self._challenge
        return None if challenge is None else AuthOffer(challenge=challenge, namespace=NAMESPACE)

    @property
    def expires_at(self) -> datetime | None:
        """Return when the key that has opened the gate expires."""
        return None if self._entry is None else self._entry.options.expires_at

    def check(self, body: requests.Body) -> None:
        """Raise WireError if this connection may not ask for that."""
        if isinstance(body, requests.Authenticate):
            return
        if self.is_locked:
            raise _unauthenticated()
        if (rights := self.caller.rights) is not UNLIMITED:
            rights.check(body)
        if isinstance(body, requests.Execute) and (limited := self._too_many_executions()):
            raise limited

    def refusal(self, message: codec.Undecodable) -> WireError:
        """Return the answer to an invalid request. A client that has not authenticated does not
        learn what is wrong with it."""
        if self.is_locked and message.type not in (None, "authenticate"):
            return _unauthenticated()
        return message.error

    def authenticate(self, body: requests.Authenticate) -> str:
        """Open the gate; return the user of the key. Raises RequestRefused."""
        if self._keyring is None:
            raise _invalid("this connection needs no key")
        if self._challenge is None:
            raise _invalid("the challenge has been used; connect again for another")
        try:
            shown = _shown(body.public_key)
            key = shown.key if isinstance(shown, Certificate) else shown
            self.fingerprint = key.fingerprint
            if not self._is_own_host(body.host):
                raise _refused(_other_host(body.host))
            # Look the key up first: checking the signature costs more and would not change the
            # answer.
            entry = self._keyring.find(shown, self.peer.address, self._clock.now())
        except SshError as error:
            raise _refused(f"public_key: {error}") from None
        try:
            certificate = shown.blob if isinstance(shown, Certificate) else b""
            text = signed_text(self._challenge, body.host)
            verify(key, body.signature, text, certificate=certificate)
        except SshError as error:
            raise _refused(f"signature: {error}") from None
        if not self._has_room():  # the client may try again, until AUTH_TIMEOUT
            raise _refused("the key is good, but there are too many connections (MAX_CONN)")
        self._challenge = None
        self._shown = shown
        self._entry = entry
        self.is_locked = False
        self.caller = Caller(
            self.caller.client_id,
            user=entry.user,
            rights=entry.options.rights,
            credential=Credential(shown, self.peer.address),
        )
        return entry.user

    def look_again(self) -> str | None:
        """Check the key again, after a change of the keys or when it expires. If it is no longer
        valid in the same way, shut the gate and return the reason."""
        if self._keyring is None or (entry := self._entry) is None or self._shown is None:
            return None
        try:
            found = self._keyring.find(self._shown, self.peer.address, self._clock.now())
        except SshError as error:
            reason = f"the key {error}"
        else:
            if found == entry:
                return None
            reason = "what the key may do has changed; connect again"
        self._entry = None
        self.is_locked = True
        return reason


def _shown(text: str) -> PublicKey | Certificate:
    """Return the key or certificate in a text. Raises SshError."""
    return parse_certificate(text) if is_certificate(text) else parse_public_key(text)[0]


def _other_host(host: str) -> str:
    name = host.rpartition(":")[0]
    return (
        f"host: {name} is none of this hub's names, so the signature may be meant for another hub; "
        f"if it is a name of this hub, set PUBLIC_NAMES={name} where it runs"
    )


def _unauthenticated() -> RequestRefused:
    return RequestRefused(
        ErrorCode.UNAUTHENTICATED,
        "sign the challenge of the greeting with your SSH key and send `authenticate` first",
    )


def _refused(message: str) -> RequestRefused:
    return RequestRefused(ErrorCode.UNAUTHENTICATED, message)


def _invalid(message: str) -> RequestRefused:
    return RequestRefused(ErrorCode.INVALID_MESSAGE, message, {"field": "type"})
