"""The keys of AUTHORIZED_KEYS as the file says them now."""

import logging
import os
import stat
from datetime import datetime
from pathlib import Path

from actors.file_reloader import ReloadFailed
from protocol.ssh import AuthorizedKey, ParsedKeys, PublicKey, SshError, parse_authorized_keys

logger = logging.getLogger("claudehub.access")

FILE_BYTES_MAX = 4 * 1024 * 1024
# What a file was when it was looked at; a change of any of these means that it is another now.
_Stamp = tuple[int, int, int, int]


class Keyring:
    """Read by any thread: what `reload` makes is put in place as a whole."""

    name = "AUTHORIZED_KEYS"
    failure = "no key is good until this is mended"

    def __init__(self, path: Path) -> None:
        """Raises ReloadFailed."""
        self._path = path
        self._stamp: _Stamp | None = None
        self._keys: dict[bytes, list[AuthorizedKey]] = {}
        self.reload()

    @property
    def files(self) -> tuple[Path]:
        return (self._path,)

    def reload(self) -> bool:
        """A file that is not there, or that others may write, has no keys: who removes it takes
        them all out. Raises ReloadFailed."""
        try:
            with open(self._path, "rb") as file:
                seen = os.fstat(file.fileno())
                stamp = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_size)
                if stamp == self._stamp:
                    return False
                _check_mode(self._path, seen)
                text = file.read(FILE_BYTES_MAX + 1)
        except (OSError, ReloadFailed) as error:
            self._keys, self._stamp = {}, None
            if isinstance(error, ReloadFailed):
                raise
            raise ReloadFailed(_fault(self._path, f"cannot be read ({error.strerror})")) from None
        self._take(parse_authorized_keys(text[:FILE_BYTES_MAX].decode("utf-8", errors="replace")))
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


def _check_mode(path: Path, seen: os.stat_result) -> None:
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ReloadFailed(_fault(path, "may be written by others; chmod go-w helps"))


def _fault(path: Path, problem: str) -> str:
    example = "AUTHORIZED_KEYS=/home/me/.ssh/authorized_keys"
    return f"AUTHORIZED_KEYS: {str(path)!r}: {problem}; example: {example}"
