"""What a check has found, and what it is given to look at."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from actors.config.settings import Config
from actors.runtime.clock import Clock

_QUOTE = re.compile("[\"']")
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


class Level(StrEnum):
    """How bad it is. With a fault a hub does not start, or does not work."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` is what to type, or to do; a finding that is ok has none."""

    level: Level
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class RunningHub:
    """What an attempt to connect to this configuration's hub has shown. `is_hub`: one answers at
    `url`. `version` is known if it does, the other figures only if it has let us in. `server` is
    its name in the challenge for a key. `problem` says why there are no figures."""

    url: str
    is_hub: bool = False
    version: str | None = None
    uptime_s: float | None = None
    problems: tuple[str, ...] = ()
    problem: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What is looked at: the configuration, the environment and the home that the hub would have,
    and the hub that runs already, if one does."""

    config: Config
    environment: Mapping[str, str]
    clock: Clock
    hub: RunningHub | None = None


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warning(text: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, text, remedy)


def fault(text: str, remedy: str) -> Finding:
    return Finding(Level.FAULT, text, remedy)


def of_line(line: str, level: Level = Level.FAULT) -> Finding:
    """Return a finding from a line such as `NAME: problem; what to do; example: NAME=value`, as a
    start prints it. What to do may be left out, and the example may be a command."""
    text, separator, example = line.rpartition("; example: ")
    if not separator:
        text, separator, remedy = line.rpartition("; ")
        return Finding(level, text, remedy) if separator else Finding(level, line, None)
    problem, separator, to_do = text.rpartition("; ")
    if separator and not _QUOTE.search(to_do):  # else it may be within a value
        return Finding(level, problem, f"{to_do}: {example}")
    is_command = _ASSIGNMENT.match(example) is None
    return Finding(level, text, example if is_command else f"set it right, such as {example}")
