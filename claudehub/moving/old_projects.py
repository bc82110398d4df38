"""Where the older server's projects are: the folders that PROJECT_ROOTS must name for them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.errors import StorageError
from storage.old_data import NotOldData, old_projects


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
        projects = old_projects(data_dir)
    except NotOldData as error:
        return Roots(problem=str(error).partition(": ")[0])
    except StorageError as error:
        return Roots(problem=str(error))
    paths = (_resolved(project.metadata.get("path")) for project in projects)
    roots = roots_around(path for path in paths if path is not None)
    there = [root for root in roots if os.path.isdir(root)]
    return Roots(there, [root for root in roots if root not in there])


def roots_around(paths: Iterable[str]) -> list[str]:
    """Return the parents of project folders, without those that lie in another one. A project right
    below / is a root itself: with its parent, PROJECT_ROOTS would allow every folder."""
    parents = {path if os.path.dirname(path) == "/" else os.path.dirname(path) for path in paths}
    return sorted(root for root in parents if not _is_below_another(root, parents))


def _is_below_another(root: str, roots: set[str]) -> bool:
    return any(str(parent) in roots for parent in Path(root).parents)


def _resolved(path: object) -> str | None:
    """Return the folder as `claudehub import` takes it, with links resolved; None for what is no
    path of a folder."""
    if not isinstance(path, str) or not path.startswith("/"):
        return None
    try:
        path.encode()  # raises at a lone surrogate, which no path has
        resolved = os.path.realpath("/" + path.lstrip("/"))
    except (OSError, ValueError):
        return None
    return None if resolved == "/" else resolved
