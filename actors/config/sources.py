"""Read the configuration, and list its faults: all at once, each with a remedy.

precedence.py says which value wins.
"""

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from actors.config.faults import ConfigurationError, Fault, of_text, of_value
from actors.config.precedence import FileSource, LayeredSettings, Origin
from actors.config.settings import Config, DataFolder

_Settings = TypeVar("_Settings", bound=LayeredSettings)

# A fault of the first is one of both.
_PAIRS = {"tls_key": "tls_cert", "ws_port": "socket"}
# Settings with faults get their defaults, and all is looked at again: each look finds the faults of
# single settings, or one of settings together. There is none after that, unless a default is wrong.
_LOOKS_MAX = 4
# For how many unknown keys a near one is looked for, and how much of each is shown.
_UNKNOWN_MAX = 20
_KEY_CHARS_MAX = 100
# Of one setting: each item of a list may have one.
_FAULTS_OF_ONE_MAX = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the configuration has found. `origins` has the settings that are given.
    `mended` has defaults in the place of what is wrong, for whoever wants to look at the rest."""

    config: Config | None
    faults: Sequence[Fault]
    origins: Mapping[str, Origin]
    mended: Config | None = None


def load(
    flags: Mapping[str, object],
    file: Path | None = None,
    check: Callable[[Config], Sequence[str]] | None = None,
) -> Config:
    """Read everything and check it. `check` returns what only the system can tell, in one line for
    each fault. Raise ConfigurationError with all faults."""
    found = look(flags, file, check)
    if found.config is None:
        raise ConfigurationError(fault_lines(found, file))
    return found.config


def look(
    flags: Mapping[str, object],
    file: Path | None = None,
    check: Callable[[Config], Sequence[str]] | None = None,
    *,
    has_environment: bool = True,
) -> Look:
    """Read everything, and find all faults. Without the environment, only flags and the file."""
    source = FileSource(Config, file)
    config, wrong = _checked(flags, source, has_environment)
    if check is not None and config is not None:
        bad = {fault.name for fault in wrong}
        wrong += [fault for text in check(config) if (fault := of_text(text)).name not in bad]
    faults = [*_file_faults(source), *wrong]
    origins = Config.origins(flags, source, has_environment=has_environment)
    faults = [_with_line(fault, source, origins) for fault in faults]
    return Look(None if faults else config, faults, origins, config)


def fault_lines(found: Look, file: Path | None) -> list[str]:
    """Return a line for each fault. One of a value in the file says where it stands."""
    return [_located(fault, found.origins, file) for fault in found.faults]


def _checked(
    flags: Mapping[str, object], source: FileSource, has_environment: bool
) -> tuple[Config | None, list[Fault]]:
    """Return the configuration, with the defaults of those settings that have faults."""
    faults: list[Fault] = []
    bad: set[str] = set()
    for _ in range(_LOOKS_MAX):
        try:
            config = Config.read(flags, source, without=bad, has_environment=has_environment)
        except ValidationError as error:
            found = _faults_of(error)
        else:
            return config, faults
        faults += [fault for fault in found if fault.name not in bad]
        names = {fault.name for fault in found if fault.name is not None}
        bad |= names | {_PAIRS[name] for name in names & _PAIRS.keys()}
    return None, faults


def _faults_of(error: ValidationError) -> list[Fault]:
    """Return the faults of values; of one setting only some."""
    counts: Counter[str] = Counter()
    faults = []
    for each in error.errors(include_url=False):
        name = str(each["loc"][:1])
        counts[name] += 1
        if counts[name] <= _FAULTS_OF_ONE_MAX:
            faults.append(of_value(dict(each)))
    return faults


def _with_line(fault: Fault, source: FileSource, origins: Mapping[str, Origin]) -> Fault:
    """Return the fault with the line of its setting, if its value is that of the file."""
    for name in (fault.name, _PAIRS.get(fault.name or "")):
        origin = origins.get(name or "")
        if origin is not None and origin.source == "file":
            return replace(fault, line=source.lines.get(name or ""))
    return fault


def _located(fault: Fault, origins: Mapping[str, Origin], file: Path | None) -> str:
    """Return the line for a fault. If it is the file's, or that of a value in it, it says where."""
    place = f"{file}" if fault.line is None else f"{file}:{fault.line}"
    if fault.is_of_file:
        return f"--config {place}: {fault.problem}"
    origin = origins.get(fault.name or "")
    if fault.line is None or origin is None:
        return fault.typed()
    shown, separator, rest = fault.problem.partition(": ")
    return replace(fault, problem=f"{shown} ({place}){separator}{rest}").typed()


def data_folder(given: Path | None) -> Path:
    """Return DATA_DIR as `load` would, for commands that only read the data. No other setting is
    read; a file that cannot be used is ignored."""
    flag = None if given is None else str(given)
    return Path(_client_settings(DataFolder, {"data_dir": flag}).data_dir)


def _client_settings(settings: type[_Settings], flags: Mapping[str, object]) -> _Settings:
    try:
        return settings.read(flags, FileSource(settings, default_file()))
    except ValidationError:  # of the file: a flag and a variable are texts, and every text will do
        return settings.read(flags, FileSource(settings, None))


def default_file() -> Path | None:
    """Return `$XDG_CONFIG_HOME/claudehub/config.toml`, or None if there is nothing of that name."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home) / "claudehub" / "config.toml"
    try:
        return path if path.exists() else None
    except OSError:  # No look at it is possible; reading it will say why.
        return path


def _file_faults(source: FileSource) -> list[Fault]:
    if source.error is not None:
        problem = _why_unreadable(source.error)
        return [Fault(None, problem, line=_line_of(source.error), is_of_file=True)]
    faults = []
    unknown = list(source.unknown)
    for key in unknown[:_UNKNOWN_MAX]:
        shown = key[:_KEY_CHARS_MAX]
        plain = shown.lower().replace("-", "_")
        near = difflib.get_close_matches(plain, Config.model_fields, n=1, cutoff=0.0)
        problem = f"unknown key {shown!r}; did you mean {near[0]!r}?"
        faults.append(Fault(None, problem, line=source.lines.get(key), is_of_file=True))
    if len(unknown) > _UNKNOWN_MAX:
        problem = f"{len(unknown) - _UNKNOWN_MAX} more unknown keys"
        faults.append(Fault(None, problem, is_of_file=True))
    return faults


def _why_unreadable(error: Exception) -> str:
    """Return why the file cannot be used, and what helps."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file; example: claudehub config example > config.toml makes one"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}; example: chmod u+r FILE, or another file"
    return f"{error}; example: a line such as ws_port = 8080"


def _line_of(error: Exception) -> int | None:
    """Return the line that an error of tomllib names."""
    found = re.search(r"\(at line (\d+), column \d+\)\Z", str(error))
    return None if found is None else int(found[1])
