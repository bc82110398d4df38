"""The keys of AUTHORIZED_KEYS, as the file is now."""

import os
import pwd
import stat
from datetime import datetime
from pathlib import Path
from shlex import quote as quoted

from actors.runtime.logger import get_logger
from actors.watch.stamps import ReloadFailed, Stamp, stamp_of, steps
from protocol.ssh import (
    AuthorizedKey,
    Certificate,
    ParsedKeys,
    PublicKey,
    SshError,
    parse_authorized_keys,
)

logger = get_logger("claudehub.access")

FILE_BYTES_MAX = 4 * 1024 * 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Keyring:
    """Any thread may read it: `reload` replaces its content as a whole."""

    name = "AUTHORIZED_KEYS"
    failure = "no key is good until this is mended"

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ReloadFailed."""
        self._path = path
        self._stamp: Stamp | None = None
        user = _user()  # the user whose certificates sshd would accept
        self._login = frozenset(() if user is None else (user.pw_name,))
        self._keys: dict[bytes, list[AuthorizedKey]] = {}
        self.reload()

    @property
    def files(self) -> tuple[Path]:
        return (self._path,)

    def reload(self) -> bool:
        """Read the file again if it has changed; return True if it had. Raises ReloadFailed.

        A file that is missing, or that others may write, has no keys: removing the file takes all
        keys out.
        """
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

    def problem(self, now: datetime) -> str | None:
        """Return why no client can authenticate, or None. The keys that a change has left out are
        in the log."""
        entries = [entry for entries in list(self._keys.values()) for entry in entries]
        if not entries:
            return f"{self._path} has no usable key: no client can authenticate"
        if all(entry.options.has_expired(now) for entry in entries):
            return f"every key of {self._path} has expired: no client can authenticate"
        return None

    def find(
        self, shown: PublicKey | Certificate, address: str | None, now: datetime
    ) -> AuthorizedKey:
        """Return the first line that is valid now, for that address, for the key or for the
        authority of the certificate. Raises SshError."""
        certificate = shown if isinstance(shown, Certificate) else None
        key = shown.authority if isinstance(shown, Certificate) else shown
        refusals = []
        for entry in self._keys.get(key.blob, ()):
            if entry.options.is_authority != (certificate is not None):
                continue  # an authority is not used as a key, not even with its own certificate
            refusal = self._refusal(entry, certificate, address, now)
            if refusal is None:
                return entry if certificate is None else entry.extended_to(certificate)
            refusals.append(refusal)
        raise SshError((refusals or ["is not in AUTHORIZED_KEYS"])[0])

    def _refusal(
        self,
        entry: AuthorizedKey,
        certificate: Certificate | None,
        address: str | None,
        now: datetime,
    ) -> str | None:
        if entry.options.has_expired(now):
            return "has expired"
        if not entry.options.admits(address):
            return f"may not be used from {address}"
        if certificate is None:
            return None
        return certificate.problem(entry.options.principals or self._login, address, now)

    def _take(self, parsed: ParsedKeys) -> None:
        for warning in parsed.warnings:
            logger.warning("a line of the keys is not used", file=self._path, problem=warning)
        keys: dict[bytes, list[AuthorizedKey]] = {}
        for entry in parsed.keys:
            keys.setdefault(entry.key.blob, []).append(entry)
        self._keys = keys


def _user() -> pwd.struct_passwd | None:
    """Return the user that the hub runs as, if the system knows it."""
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        return None


def read_keys(path: Path) -> tuple[Stamp, str]:
    """Return the file as it is now. Raises ReloadFailed, also if others than its owner may write
    it."""
    try:
        # Non-blocking: opening a pipe of that name would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                raise _fault(path, "is no file")
            data = file.read(FILE_BYTES_MAX + 1)
        _check_owners(path, seen)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > FILE_BYTES_MAX:
        raise _fault(path, f"has more than {FILE_BYTES_MAX} bytes")
    return stamp_of(seen), data.decode("utf-8", errors="replace")


def _check_owners(path: Path, seen: os.stat_result) -> None:
    """Check owners and modes as sshd's StrictModes does: a user who can write or replace the file
    could let themselves in. Raises ReloadFailed and OSError."""
    ours = (0, os.geteuid())
    if seen.st_uid not in ours:
        raise _fault(
            path, f"belongs to uid {seen.st_uid}", f"chown {os.geteuid()} {quoted(str(path))}"
        )
    if seen.st_mode & _OTHERS_WRITE:
        raise _fault(path, "is writable for other users", f"chmod go-w {quoted(str(path))}")
    user = _user()
    home = None if user is None else os.path.realpath(user.pw_dir)
    for place in steps(path.absolute()):  # also for the links on the way
        for folder in place.parents:
            found = os.stat(folder)
            if found.st_uid not in ours:
                raise _fault(
                    path,
                    f"lies in {folder}, which belongs to uid {found.st_uid}; move it to a folder "
                    "of the hub's user or of root",
                )
            if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
                raise _fault(
                    path,
                    f"lies in {folder}, which other users can write",
                    f"chmod go-w {quoted(str(folder))}",
                )
            if str(folder) == home:
                break  # sshd does not check the folders above it either


def _unreadable(path: Path, error: OSError) -> ReloadFailed:
    problem = f"cannot be read ({error.strerror})"
    if isinstance(error, FileNotFoundError):
        folder = "" if path.parent.is_dir() else f"mkdir -p -m 700 {quoted(str(path.parent))} && "
        make = f"{folder}install -m 600 ~/.ssh/id_ed25519.pub {quoted(str(path))}"
        return _fault(path, f"{problem}; make it with a key in it", make)
    if isinstance(error, PermissionError):
        return _fault(
            path,
            f"{problem}; let uid {os.geteuid()} read it and enter its folders",
            f"chown {os.geteuid()} {quoted(str(path))}",
        )
    return _fault(path, problem)


def _fault(
    path: Path, problem: str, example: str = "AUTHORIZED_KEYS=/home/me/.ssh/authorized_keys"
) -> ReloadFailed:
    """Return the fault; `example` is a setting that is right, or a command that mends it."""
    return ReloadFailed(f"AUTHORIZED_KEYS: {str(path)!r}: {problem}; example: {example}")
