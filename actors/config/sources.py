"""Where the configuration comes from, and its faults: all of them, at once, each with a remedy.

Flags win over environment variables, those over the file, that over the defaults.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from actors.config.settings import Config

# Variables of later versions. Set to anything but these values, the program does not start: it
# must not seem to lock a door that it leaves open.
NOT_YET: Mapping[str, tuple[str, ...]] = {
    "PROTOCOL_V0": ("off",),
    "METRICS_PORT": ("0",),
    "STOP_GRACE": ("0s", "0"),
}


class ConfigurationError(Exception):
    """`faults`: one line each, with the variable, what was wrong, and an example that works."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(flags: Mapping[str, object], file: Path | None = None) -> Config:
    """Reads everything and checks it. Raises ConfigurationError with all faults."""
    faults = _not_yet()
    values, file_faults = _from_file(file)
    faults += file_faults
    given = {name: value for name, value in flags.items() if value is not None}
    # The environment wins over the file.
    below = {n: v for n, v in values.items() if not os.environ.get(n.upper())}
    try:
        config = Config(**{**below, **given})
    except ValidationError as error:
        faults += [_fault(dict(fault)) for fault in error.errors(include_url=False)]
        raise ConfigurationError(faults) from None
    if faults:
        raise ConfigurationError(faults)
    return config


def data_folder(given: Path | None) -> Path:
    """DATA_DIR as `load` would have it, for those who only look at the data: nothing else of the
    configuration is read."""
    if given is not None:
        return given
    if named := os.environ.get("DATA_DIR"):
        return Path(named)
    values, _ = _from_file(default_file())
    default = Config.model_fields["data_dir"].get_default(call_default_factory=True)
    return Path(values.get("data_dir") or default)


def local_socket() -> str | None:
    """SOCKET as `load` would have it, for those who look for a server."""
    values, _ = _from_file(default_file())
    return os.environ.get("SOCKET") or values.get("socket")


def _not_yet() -> list[str]:
    faults = []
    for name, harmless in NOT_YET.items():
        value = os.environ.get(name, "")
        if value and value.lower() not in harmless:
            example = f"{name}={harmless[0]}" if harmless else f"unset {name}"
            faults.append(f"{name}: is not supported by this version; example: {example}")
    return faults


def default_file() -> Path | None:
    """`$XDG_CONFIG_HOME/claudehub/config.toml`, where it exists."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home) / "claudehub" / "config.toml"
    return path if path.is_file() else None


def _from_file(file: Path | None) -> tuple[dict[str, Any], list[str]]:
    if file is None:
        return {}, []
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"--config {file}: {error}; example: a line such as ws_port = 8080"]
    faults = []
    for key in list(values):
        if key not in Config.model_fields:
            near = difflib.get_close_matches(key, Config.model_fields, n=1, cutoff=0.0)
            faults.append(f"--config {file}: unknown key {key!r}; did you mean {near[0]!r}?")
            del values[key]
    return values, faults


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
