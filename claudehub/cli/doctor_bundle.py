"""Write the file of `claudehub doctor --bundle`."""

import io
import os
import sys
import tarfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from actors.config.sources import Look
from actors.doctor.examination import Report
from claudehub.cli.bundle_parts import LOG_BYTES_MAX, Part, parts
from claudehub.cli.failures import Failed
from claudehub.cli.output import say

FILE_MODE = 0o600
STDIN = "-"


def write_bundle(
    file: Path, reports: Sequence[Report], look: Look, *, log: str | None, asks: bool
) -> bool:
    """Show what the bundle has in it, ask, and write it. Return False if the answer is no. Raises
    Failed, also for a file that is there already."""
    if os.path.lexists(file):
        raise Failed(f"{file} is there already; give another name")
    found = list(parts(reports, look, _log(log), os.environ))
    say(f"{file} would have in it, without secrets, prompts and answers:", err=True)
    for part in found:
        say(f"  {part.name:<18} {len(part.content):>9,} bytes  {part.about}", err=True)
    if asks and not click.confirm("Write it?", err=True):
        return False
    try:
        _write(file, found)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}") from None
    say(f"wrote {file}; look into it before you give it away: tar -xzOf {file} | less", err=True)
    return True


def _log(name: str | None) -> bytes | None:
    """Return the end of the log that was given. Raises Failed."""
    if name is None:
        return None
    try:
        if name == STDIN:
            return _end_of(iter(lambda: sys.stdin.buffer.read(1 << 16), b""))
        with open(os.path.expanduser(name), "rb") as file:
            return _end_of(iter(lambda: file.read(1 << 16), b""))
    except OSError as error:
        raise Failed(f"--log {name} cannot be read: {error.strerror}") from None


def _end_of(pieces: Iterable[bytes]) -> bytes:
    end = b""
    for piece in pieces:
        end = (end + piece)[-LOG_BYTES_MAX:]
    # A line that has lost its beginning may have lost what tells that a secret follows.
    return end if len(end) < LOG_BYTES_MAX else end.partition(b"\n")[2]


def _write(file: Path, found: Sequence[Part]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(file, flags, FILE_MODE)
    try:
        with os.fdopen(fd, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
            for part in found:
                entry = tarfile.TarInfo(f"claudehub-doctor/{part.name}")
                entry.size, entry.mode, entry.mtime = len(part.content), FILE_MODE, int(time.time())
                tar.addfile(entry, io.BytesIO(part.content))
    except OSError:
        file.unlink(missing_ok=True)
        raise
