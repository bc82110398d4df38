"""OpenSSH's authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""

from dataclasses import dataclass, replace

from protocol.ssh.certificate import Certificate
from protocol.ssh.options import KeyOptions, parse_options, split_options
from protocol.ssh.public_key import KINDS, PublicKey, parse_public_key
from protocol.ssh.wire import SshError

LINES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """One line. `user` is its comment, or the key's fingerprint if it has none."""

    key: PublicKey
    user: str
    options: KeyOptions

    def extended_to(self, certificate: Certificate) -> "AuthorizedKey":
        """Return what the line of an authority gives to a key that the authority has signed."""
        ends = [at for at in (self.options.expires_at, certificate.expires_at) if at is not None]
        options = replace(self.options, expires_at=min(ends, default=None))
        return AuthorizedKey(certificate.key, certificate.key_id or self.user, options)


@dataclass(frozen=True, slots=True)
class ParsedKeys:
    """`warnings` has a sentence, with the number, for each line that is ignored."""

    keys: tuple[AuthorizedKey, ...]
    warnings: tuple[str, ...]


def parse_authorized_keys(text: str) -> ParsedKeys:
    """Return every usable line. Each other line makes a warning and does not affect the rest."""
    keys, warnings = [], []
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if number > LINES_MAX:
            warnings.append(f"line {number}: lines beyond {LINES_MAX} are not read")
            break
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(_parse_line(line))
        except SshError as error:
            warnings.append(f"line {number}: {error}")
    return ParsedKeys(tuple(keys), tuple(warnings))


def _parse_line(line: str) -> AuthorizedKey:
    options = KeyOptions()
    before, behind = split_options(line)
    if before not in KINDS and behind.split(None, 1)[:1] and behind.split(None, 1)[0] in KINDS:
        options, line = parse_options(before), behind
    key, comment = parse_public_key(line)
    return AuthorizedKey(key, comment or key.fingerprint, options)
