"""Sign a hub's challenge with an SSH key, through the system's ssh-keygen. ssh-keygen uses the
agent, asks for passphrases, and waits for the touch of a security key."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.host import AUTH_VERSION, signed_text

# Never the namespace that a server names: a signature for another purpose must not come from here.
NAMESPACE = "claudehub"
# The user may have to fetch a security key.
SIGN_TIMEOUT_S = 60.0
CHALLENGE_CHARACTERS_MAX = 1024
# In the order that ssh uses.
DEFAULT_NAMES = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")


class SigningFailed(Exception):
    """No signature; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The parameters of `authenticate`."""

    public_key: str
    signature: str
    host: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys of a user. `key` is the file of a private key, or of a public key whose private half
    an agent holds; None means the usual files in ~/.ssh."""

    key: Path | None = None

    def proofs(self, offer: dict[str, Any], host: str) -> Iterator[Proof]:
        """Yield a proof for each key, preceded by one for the key's certificate if it has one.
        `offer` is `auth` of the greeting, and `host` what was dialled: what a server says about its
        name is never signed. Each signature is made on demand. Raises SigningFailed."""
        text = signed_text(_challenge(offer), host)
        keys = [self.key] if self.key is not None else default_keys()
        if not keys:
            raise SigningFailed(
                "the hub wants an SSH key, and ~/.ssh has none of a usual name; "
                "--key FILE (or CLAUDEHUB_KEY) names one"
            )
        refusals = []
        for key in keys:
            certificate = key.with_name(f"{key.name.removesuffix('.pub')}-cert.pub")
            try:
                lines = [_read(public_path(key), key)]
                if certificate.is_file():
                    lines.insert(0, _read(certificate, key))
                signature = _signed(key, text)
            except SigningFailed as error:
                refusals.append(error)
                continue
            yield from (Proof(line, signature, host) for line in lines)
        if len(refusals) == len(keys):
            raise refusals[0]


def _challenge(offer: dict[str, Any]) -> str:
    """Return what is to be signed of an offer. Raises SigningFailed."""
    if (version := offer.get("version")) != AUTH_VERSION:
        raise SigningFailed(
            f"the server asks for a signature of version {version}, and this is version "
            f"{AUTH_VERSION}; the older of the two programs needs an update"
        )
    challenge = offer.get("challenge")
    # One line: whatever stands in it, the signed text names our host in its last line.
    if (
        not isinstance(challenge, str)
        or not challenge.startswith(f"{NAMESPACE} ")
        or not (challenge.isascii() and challenge.isprintable())
        or len(challenge) > CHALLENGE_CHARACTERS_MAX
    ):
        raise SigningFailed("this is no challenge of a claudehub; it is not signed")
    return challenge


def default_keys() -> list[Path]:
    """Return the keys of ~/.ssh that have a usual name."""
    folder = Path.home() / ".ssh"
    return [key for name in DEFAULT_NAMES if public_path(key := folder / name).is_file()]


def public_path(key: Path) -> Path:
    """Return the file of the public key that belongs to a key."""
    return key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")


def _read(path: Path, key: Path) -> str:
    if not key.exists() and not path.exists():
        raise SigningFailed(f"there is no key {key}")
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SigningFailed(
            f"{path} cannot be read ({error}); `ssh-keygen -y -f {key} > {path}` makes it"
        ) from None


def _signed(key: Path, text: bytes) -> str:
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)]
    try:
        done = subprocess.run(  # noqa: S603 - ssh-keygen, and the file that its user named
            command,
            input=text,
            capture_output=True,
            timeout=SIGN_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SigningFailed(f"ssh-keygen could not sign: {error}") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise SigningFailed(f"ssh-keygen could not sign with {key}: {reason}")
    return done.stdout.decode()
