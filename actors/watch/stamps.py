"""Files that are read again when they change: what marks a change, and where a name leads."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

# As the kernel follows (path_resolution(7)).
LINKS_MAX = 40
# What a file was when it was looked at; a change of any of these means that it is another now.
Stamp = tuple[int, int, int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """Of a file that was looked at."""
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)


class ReloadFailed(Exception):
    """What the files say now cannot be used; the text is for people."""


class Reloadable(Protocol):
    """What is read from files. `name` is for the log; `failure` says what holds after a failure."""

    name: str
    failure: str

    @property
    def files(self) -> Sequence[Path]:
        """Where it comes from."""

    def reload(self) -> bool:
        """Reads again where something has changed; whether it has. Raises ReloadFailed."""


def steps(path: Path) -> Iterator[Path]:
    """The name, each link on its way, and what it leads to in the end."""
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
        except OSError:  # no link, or not ours to see
            continue
        yield done
        left -= 1
        if not left:
            return
        done, ahead = done.parent, [*Path(target).parts, *ahead]
        if os.path.isabs(target):
            done, ahead = Path("/"), ahead[1:]
    yield done
