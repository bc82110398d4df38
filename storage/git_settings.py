"""What a repository's own settings have git run when it only reads (`git status`, `git diff`).

The CLI does not ask before git reads, and an older one reads by itself at its start (observed with
2.1.197 and 2.1.331). A clone brings no such settings. An unpacked archive may.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from storage.foreign_file import read_text

CONFIG_BYTES_MAX = 256 * 1024
_HEADER = re.compile(r'\s*\[\s*([-\w.]+)\s*(?:"((?:[^"\\]|\\.)*)")?\s*\](.*)\Z')
_KEY = re.compile(r"\s*([A-Za-z][-A-Za-z0-9]*)\s*(?:=\s*(.*))?\Z")
# Sections that name no program, or only one for what the CLI asks about (fetch, push, commit).
_HARMLESS_SECTIONS = frozenset(
    (
        *("advice", "apply", "branch", "color", "column", "commit", "extensions", "fetch"),
        *("format", "gc", "gui", "http", "https", "index", "init", "lfs", "log", "maintenance"),
        *("merge", "pack", "pull", "push", "rebase", "receive", "rerere", "stash", "status"),
        *("svn-remote", "tag", "transfer", "url", "user", "versionsort"),
    )
)
# Sections that are harmless but for these.
_PROGRAM_KEYS = {
    "core": frozenset(("pager", "editor", "askpass", "gitproxy", "sshcommand", "worktree")),
    "diff": frozenset(("external", "command", "textconv")),
    "remote": frozenset(("receivepack", "uploadpack", "vcs")),
    "submodule": frozenset(("update",)),
}
_SWITCHES = frozenset(("", "true", "false", "yes", "no", "on", "off", "0", "1"))
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


def programs_of_git(folder: Path) -> list[str]:
    """Return the files of a folder's repository that have git run something, relative to the
    folder; none without a repository of its own."""
    git = folder / ".git"
    if git.is_file():
        target = _target_of(git)
        if target is None or folder not in target.parents:
            return []  # a worktree or a submodule: its repository lies with its owner
        git = target
    if not git.is_dir():
        return []
    found = []
    hooks = git / "hooks"
    for name in ("config", "config.worktree"):
        settings = _settings(git / name)
        if settings is None or any(_runs_something(*setting) for setting in settings):
            found.append(git / name)
        for section, key, value in settings or ():
            if (section, key) == ("core", "hookspath"):
                hooks = folder / value
    if os.access(hooks / _READING_HOOK, os.X_OK):
        found.append(hooks / _READING_HOOK)
    return [os.path.relpath(path, folder) for path in found]


def _target_of(file: Path) -> Path | None:
    """Return where a `.git` file leads; None if it leads nowhere."""
    text = read_text(file, CONFIG_BYTES_MAX)
    word, _, path = (text or "").strip().partition(": ")
    return Path(os.path.realpath(file.parent / path)) if word == "gitdir" else None


def _settings(path: Path) -> list[tuple[str, str, str]] | None:
    """Return section, key and value of each setting, the names in lower case; None for a file that
    cannot be read as git reads it, which may hold anything."""
    if not os.path.lexists(path):
        return []
    text = read_text(path, CONFIG_BYTES_MAX)
    if text is None or len(text) >= CONFIG_BYTES_MAX:
        return None
    try:
        return list(_parsed(text.removeprefix("\ufeff").replace("\\\n", "")))
    except ValueError:
        return None


def _parsed(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in text.splitlines():
        rest = line
        if (header := _HEADER.match(line)) is not None:
            section = header[1].lower() + ("." + header[2] if header[2] is not None else "")
            rest = header[3]
        if not rest.strip() or rest.lstrip()[0] in "#;":
            continue
        if (setting := _KEY.match(rest)) is None:
            raise ValueError("no setting")
        yield section, setting[1].lower(), _value(setting[2] or "")


def _value(text: str) -> str:
    """Return a value without quotation marks and without a comment."""
    return re.split(r"\s[#;]", text.strip(), maxsplit=1)[0].strip().strip('"')


def _runs_something(section: str, key: str, value: str) -> bool:
    name, _, subsection = section.partition(".")
    if name == "filter" and subsection == "lfs":
        return (key, value) not in _LFS
    if name == "core" and key == "fsmonitor":
        return value.lower() not in _SWITCHES  # `true` is git's own
    if name in _PROGRAM_KEYS:
        return key in _PROGRAM_KEYS[name]
    if name == "merge" and subsection:
        return True  # a driver
    return name not in _HARMLESS_SECTIONS
