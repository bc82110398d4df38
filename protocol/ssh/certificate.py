"""OpenSSH's user certificates: a key, signed by an authority (PROTOCOL.certkeys).

This module replaces cryptography's SSHCertificate, which knows no authority on a security key and
accepts a signature over SHA-1.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from protocol.ssh.options import matches_any, patterns
from protocol.ssh.public_key import FIELDS, KEY_BYTES_MAX, PublicKey, parse_public_key
from protocol.ssh.wire import Blob, SshError, string

SUFFIX = "-cert-v01@openssh.com"
CERTIFICATE_CHARACTERS_MAX = 4 * KEY_BYTES_MAX
USER_CHARACTERS_MAX = 128
PRINCIPALS_MAX = 256
_USER_TYPE = 1
_FOR_EVER = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signed by `authority`, which may be anybody: the authority counts only if authorized_keys has
    a line for it. Times are in UTC; `sources` are as in KeyOptions."""

    key: PublicKey
    blob: bytes
    authority: PublicKey
    key_id: str
    principals: frozenset[str]
    valid_from: datetime
    expires_at: datetime | None
    sources: tuple[str, ...] | None

    def problem(self, principals: frozenset[str], address: str | None, now: datetime) -> str | None:
        """Return why the certificate cannot be used by one of these names, from that address, now;
        None if it can."""
        if not self.principals & principals:
            return "is a certificate for other names (principals)"
        if now < self.valid_from:
            return "is a certificate that is not valid yet"
        if self.expires_at is not None and now >= self.expires_at:
            return "is a certificate that has expired"
        if self.sources is not None and not matches_any(self.sources, address):
            return f"is a certificate that may not be used from {address}"
        return None


def is_certificate(text: str) -> bool:
    """Return True if a one-line form claims to be a certificate."""
    kind = text.split(None, 1)[:1]
    return bool(kind) and kind[0].endswith(SUFFIX)


def parse_certificate(text: str) -> Certificate:
    """Return a certificate from OpenSSH's one-line form, after checking the authority's signature.
    Raises SshError."""
    kind, encoded = [*text.split(None, 2), "", ""][:2]
    plain = kind.removesuffix(SUFFIX)
    # The names of security keys have the host part only once.
    plain = f"{plain}@openssh.com" if plain.startswith("sk-") else plain
    if plain not in FIELDS:
        raise SshError(f"{kind[:64]!r} is not a supported kind of certificate")
    if len(encoded) > CERTIFICATE_CHARACTERS_MAX:
        raise SshError(f"a certificate has at most {CERTIFICATE_CHARACTERS_MAX} characters")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise SshError("the certificate is no base64") from None
    return _read(kind, plain, blob)


def _read(kind: str, plain: str, blob: bytes) -> Certificate:
    fields = Blob(blob)
    if fields.string() != kind.encode():
        raise SshError("the certificate is of another kind than it says")
    fields.string()  # a nonce
    numbers = b"".join(string(fields.string()) for _ in range(FIELDS[plain]))
    key = _key(string(plain.encode()) + numbers)
    fields.take(8)  # a serial number
    if fields.u32() != _USER_TYPE:
        raise SshError("is no certificate of a user")
    key_id = _printable(fields.string())[:USER_CHARACTERS_MAX]
    principals = _principals(Blob(fields.string()))
    valid_from, valid_until = fields.u64(), fields.u64()
    sources = _sources(Blob(fields.string()))
    fields.string()  # extensions, which permit what a shell offers
    fields.string()  # reserved
    authority = _key(fields.string())
    signed = blob[: fields.at]
    signature = fields.string()
    fields.end()
    try:
        authority.verify(signature, signed)
    except SshError as error:
        raise SshError(f"the signature of its authority {error}") from None
    return Certificate(
        key=key,
        blob=blob,
        authority=authority,
        key_id=key_id,
        principals=principals,
        valid_from=_moment(valid_from),
        expires_at=None if valid_until == _FOR_EVER else _moment(valid_until),
        sources=sources,
    )


def _printable(name: bytes) -> str:
    """Check the id, which becomes a user, and so a part of lines in a log."""
    text = name.decode("utf-8", errors="replace")
    return "".join(character for character in text if character.isprintable())


def _key(blob: bytes) -> PublicKey:
    kind = Blob(blob).string().decode("ascii", errors="replace")
    key, _ = parse_public_key(f"{kind} {base64.b64encode(blob).decode()}")
    return key


def _principals(names: Blob) -> frozenset[str]:
    found = set()
    while not names.is_at_end:
        found.add(names.string().decode("utf-8", errors="replace"))
        if len(found) > PRINCIPALS_MAX:
            raise SshError(f"a certificate names at most {PRINCIPALS_MAX} principals")
    return frozenset(found)


def _sources(critical: Blob) -> tuple[str, ...] | None:
    """Return the addresses. Raises SshError for every other critical option: it may restrict more
    than this code understands."""
    sources = None
    while not critical.is_at_end:
        name, data = critical.string(), Blob(critical.string())
        if name != b"source-address":
            shown = name[:64].decode("utf-8", errors="replace")
            raise SshError(f"is a certificate with {shown!r}, which is not understood")
        sources = patterns(data.string().decode("ascii", errors="replace"))
        data.end()
    return sources


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)
