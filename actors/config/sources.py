"""Read the configuration, and list its faults: all at once, each with a remedy.

precedence.py says which value wins.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from actors.config.precedence import FileSource, LayeredSettings
from actors.config.settings import Config, DataFolder

_Settings = TypeVar("_Settings", bound=LayeredSettings)

# Variables of later versions. If one is set to another value than these, the program does not
# start: it must not seem to lock a door that it leaves open.
NOT_YET: Mapping[str, tuple[str, ...]] = {
    "PROTOCOL_V0": ("off",),
    "METRICS_PORT": ("0",),
    "STOP_GRACE": ("0s", "0"),
}


class ConfigurationError(Exception):
    """`faults` has one line each: the variable, what is wrong, and an example that works."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(flags: Mapping[str, object], file: Path | None = None) -> Config:
    """Read everything and check it. Raise ConfigurationError with all faults."""
    source = FileSource(Config, file)
    faults = [*_not_yet(), *_file_faults(file, source)]
    try:
        config = Config.read(flags, source)
    except ValidationError as error:
        faults += [_fault(dict(fault)) for fault in error.errors(include_url=False)]
        raise ConfigurationError(faults) from None
    if faults:
        raise ConfigurationError(faults)
    return config


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


def _not_yet() -> list[str]:
    faults = []
    for name, harmless in NOT_YET.items():
        value = os.environ.get(name, "")
        if value and value.lower() not in harmless:
            example = f"{name}={harmless[0]}" if harmless else f"unset {name}"
            faults.append(f"{name}: is not supported by this version; example: {example}")
    return faults


def default_file() -> Path | None:
    """Return `$XDG_CONFIG_HOME/claudehub/config.toml`, or None if there is no such file."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home) / "claudehub" / "config.toml"
    try:
        return path if path.is_file() else None
    except OSError:  # No look at it is possible; reading it will say why.
        return path


def _file_faults(file: Path | None, source: FileSource) -> list[str]:
    if source.error is not None:
        return [f"--config {file}: {source.error}; example: a line such as ws_port = 8080"]
    faults = []
    for key in source.unknown:
        near = difflib.get_close_matches(key, Config.model_fields, n=1, cutoff=0.0)
        faults.append(f"--config {file}: unknown key {key!r}; did you mean {near[0]!r}?")
    return faults


def _fault(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    field = Config.model_fields[name]
    example = (field.examples or ["?"])[0]
    problem = f"{_shown(error['input'])}: {message[:1].lower()}{message[1:]}"
    return f"{name.upper()}: {problem}; example: {name.upper()}={example}"


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    return repr(text[:100])
