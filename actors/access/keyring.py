"""The keys of AUTHORIZED_KEYS as the file says them now."""

import logging
import os
import stat
from datetime import datetime
from pathlib import Path

from actors.file_reloader import ReloadFailed, Stamp, stamp_of
from protocol.ssh import AuthorizedKey, ParsedKeys, PublicKey, SshError, parse_authorized_keys

logger = logging.getLogger("claudehub.access")

FILE_BYTES_MAX = 4 * 1024 * 1024


class Keyring:
    """Read by any thread: what `reload` makes is put in place as a whole."""

    name = "AUTHORIZED_KEYS"
    failure = "no key is good until this is mended"

    def __init__(self, path: Path) -> None:
        """Raises ReloadFailed."""
        self._path = path
        self._stamp: Stamp | None = None
        self._keys: dict[bytes, list[AuthorizedKey]] = {}
        self.reload()

    @property
    def files(self) -> tuple[Path]:
        return (self._path,)

    def reload(self) -> bool:
        """A file that is not there, or that others may write, has no keys: who removes it takes
        them all out. Raises ReloadFailed."""
        try:
            stamp, text = read_keys(self._path)
        except ReloadFailed:
            self._keys, self._stamp = {}, None
            raise
        if stamp == self._stamp:
            return False
        self._take(parse_authorized_keys(text))
        self._stamp = stamp
        return True

    def find(self, key: PublicKey, address: str | None, now: datetime) -> AuthorizedKey:
        """The first line with that key that holds there and then. Raises SshError."""
        refusals = []
        for entry in self._keys.get(key.blob, ()):
            if entry.options.has_expired(now):
                refusals.append("has expired")
            elif not entry.options.admits(address):
                refusals.append(f"may not be used from {address}")
            else:
                return entry
        raise SshError((refusals or ["is not among those that may come in"])[0])

    def _take(self, parsed: ParsedKeys) -> None:
        for warning in parsed.warnings:
            logger.warning("%s: %s", self._path, warning)
        keys: dict[bytes, list[AuthorizedKey]] = {}
        for entry in parsed.keys:
            keys.setdefault(entry.key.blob, []).append(entry)
        if not keys:
            logger.warning("%s has no key that can be used: nobody can come in", self._path)
        self._keys = keys


def read_keys(path: Path) -> tuple[Stamp, str]:
    """The file as it is now. Raises ReloadFailed, also where others than its owner may write it."""
    try:
        with open(path, "rb") as file:
            seen = os.fstat(file.fileno())
            text = file.read(FILE_BYTES_MAX).decode("utf-8", errors="replace")
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})") from None
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _fault(path, "may be written by others; chmod go-w helps")
    return stamp_of(seen), text


def _fault(path: Path, problem: str) -> ReloadFailed:
    example = "AUTHORIZED_KEYS=/home/me/.ssh/authorized_keys"
    return ReloadFailed(f"AUTHORIZED_KEYS: {str(path)!r}: {problem}; example: {example}")
