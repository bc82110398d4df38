"""Ask the CLI what it is, in processes of its own."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.config.secrets import without_secrets
from actors.executor.short_output import end_of, read_short_output
from actors.executor.walls import Walls
from actors.process_tree import children, ends, tree
from protocol.claude.command_line import FRESH_SYSTEM_PROMPT

PROBE_TIMEOUT_S = 10.0
# `2.1.331 (Claude Code)`. A wrapper may print something else before it. Every client is shown the
# version, so a long one is none; and without these limits a search could take minutes.
_NUMBERS = r"\d{1,8}\.\d{1,8}\.\d{1,8}"
_NAMED = re.compile(rf"({_NUMBERS}[^\s()]{{0,38}}) \(Claude Code\)")
_VERSION = re.compile(rf"(?:^|\s)v?({_NUMBERS}[\w.+-]{{0,38}})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Found:
    """What the CLI has said. `version` is None if it names none. `has_snapshots`: it has
    FRESH_SYSTEM_PROMPT (2.1.331 has it, 2.1.197 does not). `failure` says why it cannot start,
    without what looks like a secret."""

    version: str | None = None
    has_snapshots: bool = False
    failure: str | None = None


class CliProbe:
    """Asks CLAUDE_CMD, with an agent's environment, user and limits."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], walls: Walls
    ) -> None:
        self._command = command
        self._environment = environment
        self._walls = walls

    def identity(self) -> tuple[object, ...]:
        """Return what changes when another program lies behind the command: the device, inode, size
        and time of each of its words that is a file."""
        path = self._environment.get("PATH")
        words = [shutil.which(self._command[0], path=path), *self._command[1:]]
        return tuple(_stamp(word) for word in words if word is not None)

    def ask(self) -> Found:
        """Ask; wait a bounded time."""
        try:
            said = self._said("--version")
            described = self._said("--help")
        except _Failed as error:
            return Found(failure=str(error))
        return Found(version_in(said), FRESH_SYSTEM_PROMPT in described)

    def _said(self, option: str) -> str:
        """Return what the command prints. It runs in a POSIX session of its own, whose every
        process ends with it; the guardian and the stop find it by its mark, too. Raises
        _Failed."""
        argv = [*self._command, option]
        try:
            with children.start(
                self._walls.command(argv),
                mark=self._environment.get(tree.MARK, ""),
                cwd="/",  # no project's
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process:
                try:
                    said, errors = read_short_output(process, PROBE_TIMEOUT_S)
                finally:
                    ends.kill(tree.in_session(process.pid))
        except (OSError, subprocess.SubprocessError) as error:
            reason = without_secrets(str(error))  # it may name the whole command
            raise _Failed(f"CLAUDE_CMD does not answer {option}: {reason}") from None
        if process.returncode != 0:
            reason = end_of(errors)
            raise _Failed(f"CLAUDE_CMD ends with {process.returncode} at {option}: {reason}")
        return said.decode("utf-8", errors="replace")


class _Failed(Exception):
    """The command cannot be started, or does not end well."""


def version_in(said: str) -> str | None:
    """Return the version in what `--version` prints, None if there is none."""
    found = _NAMED.search(said) or _VERSION.search(said)
    return found[1] if found else None


def _stamp(word: str) -> tuple[object, ...]:
    try:
        found = os.stat(word)
    except (OSError, ValueError):
        return (word,)
    return (os.path.realpath(word), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
