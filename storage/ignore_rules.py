"""What git ignores below a folder. The ignore files are read here (pathspec), git is not run: a
repository's settings can name programs."""

import os
import re
from pathlib import Path

from pathspec import GitIgnoreSpec

from storage import disk

_FILE_BYTES_MAX = 1024 * 1024
# A file is written by whoever likes, also by an agent, and each of its patterns becomes a regular
# expression that nothing can interrupt: of so many stars in one name, matching takes the time of as
# many loops within each other (seven took 12 s for a name of 60 characters). Patterns beyond these
# are left out: what they would hide is shown.
LINES_MAX = 1_000
PATTERN_LENGTH_MAX = 256
STARS_MAX = 2
DOUBLE_STARS_MAX = 2


class IgnoreRules:
    """What git ignores below a folder: every `.gitignore` on the way to a path, and
    `.git/info/exclude`. The user's own core.excludesFile is not looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._exclude = _read_spec(folder / ".git" / "info" / "exclude")

    def match(self, relative: str) -> bool:
        """Whether a path, or a folder above it, is ignored."""
        parts = relative.split("/")
        if ".git" in parts:
            return True
        return any(
            self._match_one(parts[:depth], depth < len(parts)) for depth in range(1, len(parts) + 1)
        )

    def match_folder(self, relative: str) -> bool:
        """Whether a folder is ignored, and with it all that is in it."""
        return self.match(f"{relative}/.")

    def _match_one(self, parts: list[str], is_folder: bool) -> bool:
        """Rules that lie nearer to the path win, as in git."""
        suffix = "/" if is_folder else ""
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._spec("/".join(parts[:depth]))
            verdict = spec.check_file("/".join(parts[depth:]) + suffix).include if spec else None
            if verdict is not None:
                return verdict
        whole = "/".join(parts) + suffix
        return bool(self._exclude and self._exclude.match_file(whole))

    def _spec(self, folder: str) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            self._specs[folder] = _read_spec(self._folder / folder / ".gitignore")
        return self._specs[folder]


def _read_spec(path: Path) -> GitIgnoreSpec | None:
    """None where there is none: as for git, a link or a pipe of that name is none."""
    try:
        with disk.reading(path) as fd:
            text = os.read(fd, _FILE_BYTES_MAX).decode("utf-8", errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines()[:LINES_MAX] if _is_cheap(line)]
    return _spec_of(lines) or _spec_of([line for line in lines if _spec_of([line]) is not None])


def _is_cheap(line: str) -> bool:
    names = re.sub(r"\*{2,}", "**", line).split("/")
    stars = max(name.count("*") for name in names if name != "**") if set(names) != {"**"} else 0
    doubles = sum("**" in name for name in names)
    cheap = stars <= STARS_MAX and doubles <= DOUBLE_STARS_MAX
    return cheap and len(line) <= PATTERN_LENGTH_MAX


def _spec_of(lines: list[str]) -> GitIgnoreSpec | None:
    """None where a line is no pattern."""
    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):
        return None
