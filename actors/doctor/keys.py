"""Who may come in: AUTHORIZED_KEYS."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from actors.access.keyring import read_keys
from actors.config.settings import Config
from actors.doctor.finding import Finding, Level, Setup, fault, of_line, ok, warning
from actors.runtime.clock import Clock
from actors.watch.stamps import ReloadFailed
from protocol.host import is_loopback
from protocol.ssh import AuthorizedKey, SshError, parse_authorized_keys, parse_public_key

SHOWN_MAX = 20


def authorized_keys(setup: Setup) -> Iterator[Finding]:
    config = setup.config
    if config.authorized_keys is None:
        yield _without_keys(config)
        return
    path = Path(config.authorized_keys)
    try:
        _, text = read_keys(path)
    except ReloadFailed as error:
        yield of_line(str(error))
        return
    parsed = parse_authorized_keys(text)
    for line in parsed.warnings[:SHOWN_MAX]:
        yield warning(f"{path}, {line}", f"correct that line of {path}")
    yield from _usable(path, parsed.keys, setup.clock.now())


def _usable(path: Path, keys: Sequence[AuthorizedKey], now: datetime) -> Iterator[Finding]:
    expired = [key for key in keys if key.options.has_expired(now)]
    for key in expired[:SHOWN_MAX]:
        yield warning(f"the key of {key.user} has expired", f"take it out of {path}, or renew it")
    good = len(keys) - len(expired)
    if good:
        yield ok(f"{path}: {good} usable key{'s' if good > 1 else ''}")
    else:
        yield fault(
            f"{path} has no usable key: nobody can come in",
            f"cat ~/.ssh/id_ed25519.pub >> {path}",
        )


def _without_keys(config: Config) -> Finding:
    if config.ws_port is None or is_loopback(config.bind):
        return ok("none: whoever can reach loopback, or the socket, comes in")
    return Finding(
        Level.WARNING,
        f"none, on {config.bind}: anyone who reaches the port can run commands",
        "AUTHORIZED_KEYS=/home/me/.ssh/authorized_keys",
    )


def lets_in(path: Path, line: str, clock: Clock) -> bool:
    """Return True if AUTHORIZED_KEYS has the key of a line of a .pub file."""
    try:
        _, text = read_keys(path)
        key, _ = parse_public_key(line)
    except (ReloadFailed, SshError):
        return False
    now = clock.now()
    entries = parse_authorized_keys(text).keys
    return any(e.key.blob == key.blob and not e.options.has_expired(now) for e in entries)
