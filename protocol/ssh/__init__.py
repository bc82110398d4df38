"""What OpenSSH's files and signatures say, as values: no file is read here and no clock.

`wire.py` is how SSH writes strings and numbers, `public_key.py` a key and what it has signed,
`signature.py` the armored form that `ssh-keygen -Y sign` makes, `authorized_keys.py` the file of
that name, with `options.py` for what stands before a key.
"""

from protocol.ssh.authorized_keys import AuthorizedKey, ParsedKeys, parse_authorized_keys
from protocol.ssh.public_key import PublicKey, parse_public_key
from protocol.ssh.signature import NAMESPACE, verify
from protocol.ssh.wire import SshError

__all__ = [
    "NAMESPACE",
    "AuthorizedKey",
    "ParsedKeys",
    "PublicKey",
    "SshError",
    "parse_authorized_keys",
    "parse_public_key",
    "verify",
]
