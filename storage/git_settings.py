"""What a repository's own settings have git run when it only reads (`git status`, `git diff`).

The CLI does not ask before git reads, and an older one reads by itself at its start (observed with
2.1.197 and 2.1.331). A clone brings no such settings. An unpacked archive may.

This is no parser of git's: every line must be one that git reads in one way only and that names no
program. Any other line, and any file that is not plainly readable, counts as one that runs
something.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from storage.foreign_file import read_bytes

CONFIG_BYTES_MAX = 256 * 1024
# What no line may hold: git's own line ends, quotation marks and escapes are read otherwise by
# others.
_STRANGE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f\\]")
_COMMENT = re.compile(rb"\s*([#;].*)?\Z")
_HEADER = re.compile(rb'\s*\[([-A-Za-z0-9.]+)(?: "([^"\]]*)")?\]\s*\Z')
_KEY = re.compile(rb"\s*([A-Za-z][-A-Za-z0-9]*)\s*(?:=\s*(.*?)\s*)?\Z")
# Sections that name no program, or only one for what the CLI asks about (commit, merge, push).
_HARMLESS_SECTIONS = frozenset(
    (
        *("advice", "apply", "branch", "color", "column", "commit", "extensions", "fetch"),
        *("format", "gc", "gui", "http", "https", "index", "init", "lfs", "log", "maintenance"),
        *("pack", "pull", "push", "rebase", "receive", "rerere", "stash", "status", "svn-remote"),
        *("tag", "transfer", "url", "user", "versionsort"),
    )
)
# Sections that are harmless but for these.
_PROGRAM_KEYS = {
    "core": frozenset(("pager", "editor", "askpass", "gitproxy", "sshcommand")),
    "diff": frozenset(("external", "command", "textconv")),
    "remote": frozenset(("receivepack", "uploadpack", "vcs")),
    "submodule": frozenset(("ignore", "update")),
}
_SWITCHES = frozenset(("", "true", "false", "yes", "no", "on", "off", "0", "1"))
_PLAIN_PATH = re.compile(r"[-\w./]+\Z", re.ASCII)
# What `git lfs install --local` writes.
_LFS = frozenset(
    (
        ("clean", "git-lfs clean -- %f"),
        ("smudge", "git-lfs smudge -- %f"),
        ("process", "git-lfs filter-process"),
        ("required", "true"),
    )
)
# The hook that reading runs: `git status` refreshes the index.
_READING_HOOK = "post-index-change"

Setting = tuple[str, str, str]


def programs_of_git(folder: Path) -> list[str]:
    """Return the files that have git run something in that folder, relative to it: of the
    repository that git finds from there, and of its submodules."""
    found: list[Path] = []
    for level in (folder, *folder.parents):
        repository = _repository_at(level)
        if repository is None:
            continue
        found += _programs_of(repository, level)
        if (level / ".gitmodules").exists():  # each submodule has settings of its own
            found.append(level / ".gitmodules")
        break
    return [os.path.relpath(path, folder) for path in found]


def _repository_at(level: Path) -> Path | None:
    """Return the repository that git finds at one level: `.git`, where a `.git` file leads, or the
    level itself, if it is a bare one."""
    git = level / ".git"
    if git.is_file():
        word, _, path = (read_bytes(git, CONFIG_BYTES_MAX) or b"").strip().partition(b": ")
        if word == b"gitdir":
            return Path(os.path.realpath(level / os.fsdecode(path)))
    if git.is_dir():
        return git
    parts = (level / "HEAD", level / "objects", level / "refs")
    return level if all(part.exists() for part in parts) else None


def _programs_of(repository: Path, level: Path) -> Iterator[Path]:
    """Yield the files that run something, of a repository and of the one that it shares."""
    shared = repository / "commondir"  # of a worktree, beside which the settings lie
    if os.path.lexists(shared):
        path = (read_bytes(shared, CONFIG_BYTES_MAX) or b"").strip()
        repository = Path(os.path.realpath(repository / os.fsdecode(path)))
    hooks = repository / "hooks"
    for name in ("config", "config.worktree"):
        settings = _settings(repository / name)
        if settings is None or any(_runs_something(*setting) for setting in settings):
            yield repository / name
        for section, key, value in settings or ():
            if (section, key) == ("core", "hookspath"):
                hooks = level / value
    if os.access(hooks / _READING_HOOK, os.X_OK):
        yield hooks / _READING_HOOK
    if (repository / "modules").exists():
        yield repository / "modules"


def _settings(path: Path) -> list[Setting] | None:
    """Return section, key and value of each setting, the names in lower case; None if a line, or
    the whole file, is not plain."""
    if not os.path.lexists(path):
        return []
    data = read_bytes(path, CONFIG_BYTES_MAX + 1)
    if data is None or len(data) > CONFIG_BYTES_MAX or _STRANGE.search(data):
        return None
    settings: list[Setting] = []
    section = ""
    for line in data.split(b"\n"):
        if _COMMENT.match(line):
            continue
        if (header := _HEADER.match(line)) is not None:
            section = header[1].decode("ascii").lower()
            if header[2] is not None:
                section += "." + header[2].decode("utf-8", errors="replace")
        elif (setting := _KEY.match(line)) is not None:
            value = (setting[2] or b"").decode("utf-8", errors="replace")
            settings.append((section, setting[1].decode("ascii").lower(), value))
        else:
            return None
    return settings


def _runs_something(section: str, key: str, value: str) -> bool:
    name, _, subsection = section.partition(".")
    if name == "filter" and subsection == "lfs":
        return (key, value) not in _LFS
    if name == "core" and key == "fsmonitor":
        return value.lower() not in _SWITCHES  # `true` is git's own
    if name == "core" and key == "hookspath":
        return _PLAIN_PATH.match(value) is None
    if name in _PROGRAM_KEYS:
        return key in _PROGRAM_KEYS[name]
    return name not in _HARMLESS_SECTIONS
