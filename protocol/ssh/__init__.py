"""OpenSSH's files and signatures as values. This package reads no file and no clock.

`wire.py` reads SSH's strings and numbers, `public_key.py` a key and what it has signed,
`certificate.py` an authority's certificate for a key, `signature.py` the armored signature that
`ssh-keygen -Y sign` makes, `authorized_keys.py` the file of that name, and `options.py` the options
before a key.
"""

from protocol.ssh.authorized_keys import AuthorizedKey, ParsedKeys, parse_authorized_keys
from protocol.ssh.certificate import Certificate, is_certificate, parse_certificate
from protocol.ssh.public_key import PublicKey, parse_public_key
from protocol.ssh.signature import NAMESPACE, verify
from protocol.ssh.wire import SshError

__all__ = [
    "NAMESPACE",
    "AuthorizedKey",
    "Certificate",
    "ParsedKeys",
    "PublicKey",
    "SshError",
    "is_certificate",
    "parse_authorized_keys",
    "parse_certificate",
    "parse_public_key",
    "verify",
]
