"""Where the older server's projects are: the folders that PROJECT_ROOTS must name for them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import simplejson

from storage.foreign_file import read_bytes

# The old server had at most 100 projects at a time.
PROJECTS_MAX = 10_000
_METADATA_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders around the projects of a data folder. `missing` are not there (any more).
    `problem` says why the data folder cannot be read."""

    there: Sequence[str] = ()
    missing: Sequence[str] = ()
    problem: str | None = None


def look(data_dir: Path) -> Roots:
    """Return the roots for the projects in a data folder of the old server. Only read."""
    try:
        paths = _project_paths(data_dir / "projects")
    except OSError as error:
        return Roots(problem=error.strerror or "cannot be read")
    roots = roots_around(paths)
    there = [root for root in roots if os.path.isdir(root)]
    return Roots(there, [root for root in roots if root not in there])


def roots_around(paths: Iterable[str]) -> list[str]:
    """Return the parents of project folders, without those that lie in another one. A project right
    below / gets no parent: PROJECT_ROOTS would allow every folder."""
    parents = set()
    for path in map(os.path.normpath, paths):
        parent = os.path.dirname(path)
        parents.add(path if parent in ("/", "//") else parent)
    return sorted(root for root in parents if not _is_below_another(root, parents))


def _is_below_another(root: str, roots: set[str]) -> bool:
    return any(str(parent) in roots for parent in Path(root).parents)


def _project_paths(folder: Path) -> list[str]:
    """Raise OSError if the folder cannot be listed."""
    paths = []
    with os.scandir(folder) as entries:
        for _, entry in zip(range(PROJECTS_MAX), entries, strict=False):
            path = _path_of(Path(entry.path) / "metadata.json")
            if path is not None:
                paths.append(path)
    return paths


def _path_of(metadata: Path) -> str | None:
    """Return the folder of a project, None if its metadata cannot be used."""
    content = read_bytes(metadata, _METADATA_BYTES_MAX)
    try:
        found = simplejson.loads(content or b"")
        path = found.get("path") if isinstance(found, dict) else None
        if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
            return None
        path.encode()  # lone surrogates name no folder
        return path
    except (ValueError, RecursionError):
        return None
