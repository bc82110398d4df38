"""What a folder lies on. Linux only."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system is mounted, what kind it is, and whether it can be written."""

    point: str
    kind: str
    is_read_only: bool


def mount_of(path: Path) -> Mount | None:
    """Return the mount on which a path lies; None if the system does not say."""
    try:
        lines = _MOUNTS.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    resolved = os.path.realpath(path)
    found = None
    for line in lines:  # in the order in which they were mounted: a later one hides those before
        _, point, kind, options, *_ = line.split(" ")
        point = _OCTAL.sub(lambda digits: chr(int(digits[1], 8)), point)
        above = point.rstrip("/") + "/"
        is_around = resolved == point or resolved.startswith(above)
        if is_around and (found is None or len(point) >= len(found.point)):
            found = Mount(point, kind, "ro" in options.split(","))
    return found
