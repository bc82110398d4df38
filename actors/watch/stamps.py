"""Files that are read again when they change: what marks a change, and where a name leads."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

# As the kernel follows (path_resolution(7)).
LINKS_MAX = 40
# What identifies a version of a file: if any part changes, the file is another one.
Stamp = tuple[int, int, int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp in a status."""
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)


class ReloadFailed(Exception):
    """The files cannot be used as they are now; the text is for people."""


class Reloadable(Protocol):
    """What is read from files. `name` is for the log; `failure` says what holds after a failure."""

    name: str
    failure: str

    @property
    def files(self) -> Sequence[Path]:
        """Return the files that it comes from."""

    def reload(self) -> bool:
        """Read again if something has changed; return True if it had. Raises ReloadFailed."""

    def problem(self, now: datetime) -> str | None:
        """Return what is wrong with what is in use, or None. It may change with the time alone."""


def steps(path: Path) -> Iterator[Path]:
    """Yield the name, each link on its way, and its target in the end."""
    yield path
    left = LINKS_MAX
    done, ahead = Path("/"), list(path.parts[1:])
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            done = done.parent
            continue
        done /= part
        try:
            target = os.readlink(done)
        except OSError:  # no link, or not visible to us
            continue
        yield done
        left -= 1
        if not left:
            return
        done, ahead = done.parent, [*Path(target).parts, *ahead]
        if os.path.isabs(target):
            done, ahead = Path("/"), ahead[1:]
    yield done
