"""What git ignores below a folder. This module reads the ignore files and does not run git: a
repository's settings can name programs that git would run."""

import os
from pathlib import Path

from storage import disk
from storage.ignore_pattern import IgnorePattern, parse_pattern

_FILE_BYTES_MAX = 1024 * 1024
# The limit for one file; rules behind it are not read, so nothing more is hidden.
LINES_MAX = 1_000
# The patterns that one IgnoreRules tries in its life, which is one report. After that nothing
# counts as ignored.
TRIES_MAX = 100_000


class IgnoreRules:
    """The rules of every `.gitignore` on the way to a path, and of `.git/info/exclude`. The user's
    own core.excludesFile is not read. Each file is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._patterns: dict[str, list[IgnorePattern]] = {}
        self._folders: dict[str, bool] = {}
        self._tries_left = TRIES_MAX
        self._exclude = _read_patterns(folder / ".git" / "info" / "exclude")

    @property
    def is_exhausted(self) -> bool:
        """Return True if some paths may have been reported as not ignored without being tried."""
        return self._tries_left <= 0

    def match(self, relative: str) -> bool:
        """Return True if a path, or a folder above it, is ignored."""
        parts = relative.split("/")
        if ".git" in parts:
            return True
        return self._is_below_ignored(parts) or self._match_one(parts, is_folder=False)

    def match_folder(self, relative: str) -> bool:
        """Return True if a folder is ignored, with everything in it."""
        parts = relative.split("/")
        return ".git" in parts or self._is_below_ignored([*parts, ""])

    def _is_below_ignored(self, parts: list[str]) -> bool:
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            known = self._folders.get(folder)
            if known is None:
                known = self._folders[folder] = self._match_one(parts[:depth], is_folder=True)
            if known:
                return True
        return False

    def _match_one(self, parts: list[str], *, is_folder: bool) -> bool:
        """Return what the rules say of one path. As in git, the rules nearest to the path win, and
        in one file the last rule."""
        for depth in range(len(parts) - 1, -1, -1):
            verdict = self._verdict(self._of("/".join(parts[:depth])), parts[depth:], is_folder)
            if verdict is not None:
                return verdict
        return bool(self._verdict(self._exclude, parts, is_folder))

    def _verdict(
        self, patterns: list[IgnorePattern], parts: list[str], is_folder: bool
    ) -> bool | None:
        for pattern in reversed(patterns):
            if self._tries_left <= 0:
                return None
            self._tries_left -= 1
            if pattern.match(parts, is_folder=is_folder):
                return not pattern.is_negated
        return None

    def _of(self, folder: str) -> list[IgnorePattern]:
        if folder not in self._patterns:
            self._patterns[folder] = _read_patterns(self._folder / folder / ".gitignore")
        return self._patterns[folder]


def _read_patterns(path: Path) -> list[IgnorePattern]:
    """Return no patterns if there is no file. As for git, a link or a pipe is no file."""
    try:
        with disk.reading(path) as fd:
            text = os.read(fd, _FILE_BYTES_MAX).decode("utf-8", errors="replace")
    except OSError:
        return []
    parsed = (parse_pattern(line) for line in text.split("\n")[:LINES_MAX])
    return [pattern for pattern in parsed if pattern is not None]
