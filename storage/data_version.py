"""The version of a data folder's format, and the steps from one version to the next.

The file `version` holds it. Folders of 0.1.0 have no such file and count as version 1. A program
takes over the folder of an older one, step by step, and refuses that of a newer one.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import simplejson

from storage import disk
from storage.errors import DiskFailed, NewerData

FILE_NAME = "version"
# Without a file of that name: 0.1.0 wrote none.
UNNAMED_VERSION = 1
_FILE_BYTES_MAX = 4096

# From the version of the key to the next one. A kill may cut a step short at any moment, and the
# next start then does it again from its beginning: a step must be able to find its own work done,
# or half done, and everything that it writes must be durable before it returns.
Step = Callable[[Path], None]


def _from_1(root: Path) -> None:
    """Change nothing: version 2 has the file `version`, and all else is as it was."""


STEPS: Mapping[int, Step] = {1: _from_1}
DATA_VERSION = max(STEPS) + 1


def read_version(root: Path) -> int | None:
    """Return the version of a data folder, None if nothing is kept in it yet. Raises OSError, and
    DiskFailed if the file is damaged."""
    file = root / FILE_NAME
    try:
        with disk.reading(file) as fd:
            content = os.read(fd, _FILE_BYTES_MAX)
    except FileNotFoundError:
        return UNNAMED_VERSION if _is_used(root) else None
    try:
        version = simplejson.loads(content)["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        version = None
    if not isinstance(version, int) or isinstance(version, bool) or version < UNNAMED_VERSION:
        # With a guess, an older program could write into a newer folder.
        raise DiskFailed(f'{file} is damaged: it should hold {{"version": {DATA_VERSION}}}')
    return version


def _is_used(root: Path) -> bool:
    """Return True if a server has kept something there. Its `id` may have been lost since."""
    folders = [root / "projects", root / "kept"]
    found = any(folder.is_dir() and any(folder.iterdir()) for folder in folders)
    return found or (root / "id").exists()


def check_version(root: Path, newest: int = DATA_VERSION) -> int | None:
    """Return the version, as `read_version`. Raises NewerData if this program does not know it."""
    version = read_version(root)
    if version is not None and version > newest:
        raise NewerData(
            f"{root} has data of version {version}, and this program knows only versions up to "
            f"{newest}: a newer claudehub has used it. Install that version or a later one, or "
            "restore a backup from before the upgrade (docs/upgrade.md)"
        )
    return version


def take_over(root: Path, steps: Mapping[int, Step] = STEPS) -> int | None:
    """Bring a data folder to the newest version; return the version that it had before, None for a
    new folder. Call it with the folder's lock. Raises NewerData, DiskFailed and OSError.

    The file names a version once all of its step is on the disk. So after a kill, the next start
    goes on with the step that was cut short.
    """
    newest = max(steps) + 1
    found = check_version(root, newest)
    if found == newest:
        return found
    for version in range(found or newest, newest):
        steps[version](root)
        if version + 1 < newest:
            _write(root, version + 1)
    _write(root, newest)
    return found


def keep_version(root: Path) -> bool:
    """Write the file again if it is gone; return True if it was. Without it, a later program would
    take the folder for one of version 1. Raises OSError."""
    if (root / FILE_NAME).exists():
        return False
    _write(root, DATA_VERSION)
    return True


def _write(root: Path, version: int) -> None:
    disk.replace_file(root / FILE_NAME, simplejson.dumps({"version": version}).encode() + b"\n")
