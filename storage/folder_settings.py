"""What a project's folder would have the CLI take up by itself: settings, hooks, helpers, servers.

A folder that nobody trusts runs without them (docs/security.md). Its instructions are text, and are
read. Observed with 2.1.197 and 2.1.331.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.foreign_file import read_bytes
from storage.git_settings import programs_of_git

FILES_SHOWN_MAX = 20
# Whatever a folder holds, a look at it ends.
INSTRUCTION_FILES_MAX = 200
ENTRIES_MAX = 2000
DEPTH_MAX = 100
TEXT_BYTES_MAX = 512 * 1024
# Of one text.
WORDS_MAX = 1000
# What is named if instructions are too many to look at.
TOO_MUCH = [".claude/"]
_SETTINGS = (".claude/settings.json", ".claude/settings.local.json", ".mcp.json")
# Folders whose content the CLI offers to the model, or runs.
_OFFERED = (
    ".claude/agents",
    ".claude/commands",
    ".claude/output-styles",
    ".claude/skills",
    ".claude/workflows",
)
# Text that is left out, since the CLI can be told to read the other texts and not this one.
_LEFT_OUT = "CLAUDE.local.md"
_INSTRUCTIONS = ("CLAUDE.md", ".claude/CLAUDE.md")
_RULES = ".claude/rules"
_IMPORT = re.compile(rb"(?:^|\s)@([^\s`\0]+)")


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """`files` are not taken up, relative to the folder, at most FILES_SHOWN_MAX. `reads_text`: no
    instructions lead out of the folder, so the CLI may read them. `git_runs`: git would run
    programs of the folder."""

    files: tuple[str, ...] = ()
    reads_text: bool = True
    git_runs: bool = False


def look_into(folder: str, users_settings: str | None) -> FolderSettings:
    """Look at a project's folder; raise nothing. `users_settings` is the folder of the user's own
    settings, which may be the project's `.claude`; those the user has written.

    What cannot be looked at (nested too deeply, names that are too long) counts as hostile.
    """
    try:
        return _look(Path(folder), users_settings)
    except (OSError, ValueError, RecursionError):
        return FolderSettings(tuple(TOO_MUCH), reads_text=False, git_runs=True)


def _look(root: Path, users_settings: str | None) -> FolderSettings:
    names = [name for name in (*_SETTINGS, _LEFT_OUT) if _exists(root / name)]
    names += [f"{name}/" for name in _OFFERED if _has_content(root / name)]
    if users_settings is not None and _same(root / ".claude", users_settings):
        names = [name for name in names if not name.startswith(".claude/")]
    leading_out = _leading_out(root)
    programs = programs_of_git(root)
    found = [*names, *leading_out, *programs]
    return FolderSettings(tuple(found[:FILES_SHOWN_MAX]), not leading_out, bool(programs))


def _leading_out(root: Path) -> list[str]:
    """Return the instructions, of those that the CLI would read, that are links to outside of the
    folder: they would carry another file to the model, such as a key. Where there are more than a
    look can take, return the folder that they lie in.

    2.1.197 follows links in imports, and both versions follow CLAUDE.md itself.
    """
    rules = list(itertools.islice(_entries(root / _RULES), ENTRIES_MAX))
    left_bytes = TEXT_BYTES_MAX
    waiting = [root / name for name in _INSTRUCTIONS if _exists(root / name)]
    waiting += [path for path in rules if path.suffix == ".md" or path.is_symlink()]
    seen: set[Path] = set()
    found = []
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if len(seen) > INSTRUCTION_FILES_MAX or len(rules) == ENTRIES_MAX:
            return TOO_MUCH
        if not _is_inside(path, root):
            found.append(os.path.relpath(path, root))
            continue
        text = read_bytes(path, left_bytes) or b""
        left_bytes -= len(text)
        words = set(itertools.islice(_words(text), WORDS_MAX))
        if left_bytes == 0 or len(words) == WORDS_MAX:
            return TOO_MUCH
        waiting += _imported(path.parent, words, root)
    return sorted(found)


def _entries(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder. A link to a folder counts as a file: it is not followed, since
    it may lead round in a circle. Raises ValueError below DEPTH_MAX: how far Python itself goes
    depends on its version and on its recursion limit."""
    levels = str(folder).count(os.sep)
    for parent, folders, names in os.walk(folder):
        if parent.count(os.sep) - levels > DEPTH_MAX:
            raise ValueError(f"{folder} is nested more than {DEPTH_MAX} times")
        yield from (Path(parent, name) for name in (*folders, *names))


def _words(text: bytes) -> Iterator[bytes]:
    """Yield each word that a text imports, once."""
    seen: set[bytes] = set()
    for match in _IMPORT.finditer(text):
        if match[1] not in seen:
            seen.add(match[1])
            yield match[1]


def _imported(folder: Path, words: Iterable[bytes], root: Path) -> list[Path]:
    """Return the files of the project that a text in `folder` imports."""
    inside = [os.fsdecode(word) for word in words if word[:1] not in (b"/", b"~")]
    named = [Path(os.path.normpath(folder / word)) for word in inside]
    return [each for each in named if root in each.parents and _exists(each)]


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _has_content(folder: Path) -> bool:
    try:
        return any(True for _ in folder.iterdir())
    except OSError:
        return False


def _same(path: Path, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _is_inside(path: Path, root: Path) -> bool:
    return root in Path(os.path.realpath(path)).parents
