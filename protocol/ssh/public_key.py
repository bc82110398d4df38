"""One public key, and what it has signed (RFC 4253, 5656, 8332, 8709; OpenSSH PROTOCOL.u2f)."""

import base64
import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from protocol.ssh.wire import Blob, SshError

SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
# The strings and numbers behind the kind; the last string of a security key is its application.
FIELDS = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    SK_ED25519: 2,
    SK_ECDSA: 3,
}
KINDS = tuple(FIELDS)
# ssh-keygen accepts 1024 bits, which an attacker with money can break. The maximum keeps a check
# below some milliseconds.
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 16384
KEY_BYTES_MAX = 8 * 1024

_RSA_HASHES = {"rsa-sha2-256": hashes.SHA256, "rsa-sha2-512": hashes.SHA512}
_CURVE_HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}
_USER_PRESENT = 0x01

_Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`kind` is OpenSSH's name; `blob` is the key as files hold it, the same for the same key;
    `application` is what a security key signs for (the `sk-` kinds)."""

    kind: str
    blob: bytes
    _key: _Key
    application: bytes | None = None

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as `ssh-keygen -l` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a signature in SSH's form over `message`. Raises SshError."""
        blob = Blob(signature)
        kind = blob.string()
        body = blob.string()
        if self.application is not None:
            message = _touched(blob, self.application, message)
        blob.end()
        try:
            self._verify(kind.decode("ascii", errors="replace"), body, message)
        except InvalidSignature:
            raise SshError("was not made by that key over this challenge") from None

    def _verify(self, kind: str, body: bytes, message: bytes) -> None:
        if isinstance(self._key, rsa.RSAPublicKey):
            if (hash_type := _RSA_HASHES.get(kind)) is None:
                raise SshError("of an RSA key must be rsa-sha2-256 or rsa-sha2-512")
            self._key.verify(body, message, padding.PKCS1v15(), hash_type())
            return
        if kind != self.kind:
            raise SshError(f"is of kind {kind[:64]!r}, the key of kind {self.kind!r}")
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            self._key.verify(body, message)
            return
        numbers = Blob(body)
        der = encode_dss_signature(numbers.mpint(), numbers.mpint())
        numbers.end()
        hash_type = _CURVE_HASHES[self._key.key_size]
        self._key.verify(der, message, ec.ECDSA(hash_type()))


def _touched(blob: Blob, application: bytes, message: bytes) -> bytes:
    """Return what a security key has signed in place of the message. Somebody must have touched the
    key."""
    flags, counter = blob.byte(), blob.u32()
    if not flags & _USER_PRESENT:
        raise SshError("was made without a touch of the security key")
    hashed = hashlib.sha256(application).digest(), hashlib.sha256(message).digest()
    return hashed[0] + struct.pack(">BI", flags, counter) + hashed[1]


def parse_public_key(text: str) -> tuple[PublicKey, str]:
    """Return a key from OpenSSH's one-line form, and its comment. Raises SshError."""
    kind, encoded, comment = [*text.split(None, 2), "", "", ""][:3]
    if kind not in KINDS:
        raise SshError(f"{kind[:64]!r} is not a supported kind of key: {', '.join(KINDS)}")
    if len(encoded) > KEY_BYTES_MAX:
        raise SshError(f"a key has at most {KEY_BYTES_MAX} characters")
    try:
        blob = base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm, NotImplementedError) as error:
        raise SshError(f"the key cannot be read: {error}") from None
    if not isinstance(key, _Key):
        raise SshError("is not a supported kind of key")
    if isinstance(key, rsa.RSAPublicKey) and not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise SshError(f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, not {key.key_size}")
    return PublicKey(kind, blob, key, _application(kind, blob)), comment.strip()


def _application(kind: str, blob: bytes) -> bytes | None:
    if kind not in (SK_ED25519, SK_ECDSA):
        return None
    fields = Blob(blob)
    for _ in range(FIELDS[kind]):  # the kind itself, and all parts but the last
        fields.string()
    return fields.string()
