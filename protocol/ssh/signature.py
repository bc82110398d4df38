"""Signatures as `ssh-keygen -Y sign` makes them (OpenSSH's PROTOCOL.sshsig)."""

import base64
import binascii
import hashlib

from protocol.ssh.public_key import PublicKey
from protocol.ssh.wire import Blob, SshError, string

# A signature for another purpose must be of no use here.
NAMESPACE = "claudehub"
SIGNATURE_CHARACTERS_MAX = 16 * 1024

_MAGIC = b"SSHSIG"
_VERSION = 1
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


def verify(key: PublicKey, armored: str, message: bytes, *, certificate: bytes = b"") -> None:
    """Check that the key has signed the message for NAMESPACE. The signature may name the key's
    `certificate` instead of the key, as ssh-keygen does. Raises SshError with the reason."""
    blob = Blob(_unarmored(armored))
    if blob.take(len(_MAGIC)) != _MAGIC:
        raise SshError("is no SSH signature")
    if (version := blob.u32()) != _VERSION:
        raise SshError(f"is of version {version}, not {_VERSION}")
    if blob.string() not in (key.blob, certificate or key.blob):
        raise SshError("was made by another key than public_key")
    if (namespace := blob.string()) != NAMESPACE.encode():
        shown = namespace[:64].decode("utf-8", errors="replace")
        raise SshError(f"was made for the namespace {shown!r}, not {NAMESPACE!r}")
    reserved, hash_name = blob.string(), blob.string()
    if (hashed := _HASHES.get(hash_name)) is None:
        raise SshError("must be over a sha256 or sha512 hash")
    signature = blob.string()
    blob.end()
    fields = (namespace, reserved, hash_name, hashed(message).digest())
    key.verify(signature, _MAGIC + b"".join(string(field) for field in fields))


def _unarmored(text: str) -> bytes:
    text = text.strip()
    if len(text) > SIGNATURE_CHARACTERS_MAX:
        raise SshError(f"has more than {SIGNATURE_CHARACTERS_MAX} characters")
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise SshError(f"must stand between {_BEGIN} and {_END}")
    try:
        return base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except (binascii.Error, ValueError):
        raise SshError("is no base64 between its two lines") from None
