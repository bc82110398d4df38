"""The settings of the older server, as it read them: which source wins, and what it refused.

Everything here is pure. A file comes as its text, the environment as a mapping.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simplejson

from claudehub.moving import go_values
from claudehub.moving.go_values import INT64_MAX
from claudehub.moving.old_keys import (
    KEYS,
    LOG_LEVELS,
    ROOT,
    SECTIONS,
    VARIABLE_PREFIX,
    Key,
    Kind,
    Plain,
)
from claudehub.moving.other_files import described

_MAY_BE_EMPTY = ("log_file", "tls_cert_file", "tls_key_file")
_FROM_VARIABLE: Mapping[Kind, Callable[[str], Plain]] = {
    Kind.NUMBER: go_values.whole_number,
    Kind.SIZE: go_values.size_bytes,
    Kind.DURATION: go_values.duration_ns,
    Kind.TEXT: str,
    Kind.SWITCH: go_values.truth,
}
_SURROGATE = re.compile("[\ud800-\udfff]")
REFUSED = "the old server did not start with it"


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a key. `given_by` is the key or the variable, None for the default. Durations
    are in nanoseconds."""

    value: Plain
    given_by: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong. `source` is the key or the variable, or None if the whole file is meant."""

    source: str | None
    problem: str


class OldConfigurationError(Exception):
    """The old configuration cannot be used. `faults` has everything that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.problem for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class OldSettings:
    """All settings that were in effect, and the keys and variables that the old server ignored."""

    values: Mapping[str, Value]
    unknown_keys: Sequence[str] = ()
    unknown_variables: Sequence[str] = ()

    def number(self, name: str) -> int:
        """Return a number, a size in bytes, or a duration in nanoseconds."""
        return int(self.values[name].value)

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self.values[name].value)

    def given_by(self, name: str) -> str | None:
        """Return the key or the variable that gives a value, None for the default."""
        return self.values[name].given_by


@dataclass(slots=True)
class _Reading:
    """What has been read so far; the later source wins."""

    values: dict[str, Value]
    faults: list[Fault] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unknown_variables: list[str] = field(default_factory=list)


class _Object(tuple[tuple[str, Any], ...]):
    """A JSON object with its members in order: Go lets the last of two with one name win."""


def read_settings(text: str | None, environment: Mapping[str, str], root: str) -> OldSettings:
    """Return the settings of a file (None: there is none) and of variables, which win. `root` is
    the old server's root folder. Raise OldConfigurationError with all faults."""
    reading = _Reading({name: Value(_default(key, root)) for name, key in KEYS.items()})
    if text is not None:
        _read_object(parsed(text), "", reading)
    _read_variables(environment, reading)
    bad = {fault.source for fault in reading.faults}
    for name, value in reading.values.items():
        problem = _refusal(KEYS[name], value.value)
        source = value.given_by or name
        if problem is not None and source not in bad:
            reading.faults.append(_fault(source, KEYS[name], f"{problem}; {REFUSED}"))
    reading.faults += _certificate_faults(reading.values)
    if reading.faults:
        raise OldConfigurationError(reading.faults)
    unknown, variables = dict.fromkeys(reading.unknown), reading.unknown_variables
    return OldSettings(reading.values, tuple(unknown), tuple(variables))


def parsed(text: str) -> _Object:
    """Return the object of a JSON text. Raise OldConfigurationError."""
    try:
        found = simplejson.loads(text, object_pairs_hook=_Object)
    except RecursionError:
        raise OldConfigurationError(
            [Fault(None, "is nested too deeply: the old server had keys in at most one section")]
        ) from None
    except ValueError as error:
        problem = described(text) or f"is not JSON: {error}; {REFUSED}"
        raise OldConfigurationError([Fault(None, problem)]) from None
    if not isinstance(found, _Object):
        problem = f'is JSON, but no object; example: {{"port": 8443}}; {REFUSED}'
        raise OldConfigurationError([Fault(None, problem)])
    return found


def _read_object(members: _Object, section: str, reading: _Reading) -> None:
    for written, value in members:
        # Go compares names without regard to case.
        name = section + written.casefold()
        if name in SECTIONS:
            _read_section(name, value, reading)
        elif name in KEYS:
            _read_value(KEYS[name], value, reading)
        else:
            reading.unknown.append(section + written)


def _read_section(name: str, value: object, reading: _Reading) -> None:
    if isinstance(value, _Object):
        _read_object(value, f"{name}.", reading)
    elif value is not None:  # Go leaves everything as it is at a null
        example = next(key for key in KEYS.values() if key.section == name)
        inner = f'{{"{example.name.rpartition(".")[2]}": {example.example}}}'
        problem = f'must be an object; {REFUSED}; example: "{name}": {inner}'
        reading.faults.append(Fault(name, problem))


def _read_value(key: Key, value: object, reading: _Reading) -> None:
    if value is None and key.kind is not Kind.DURATION:
        return
    try:
        reading.values[key.name] = Value(_from_json(key, value), key.name)
    except ValueError as error:
        reading.faults.append(_fault(key.name, key, f"{error}; {REFUSED}"))


def _from_json(key: Key, value: object) -> Plain:
    """Raise ValueError for a value of a wrong type."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if key.kind is Kind.TEXT and isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if key.kind is Kind.SWITCH and isinstance(value, bool):
        return value
    if key.kind is Kind.DURATION and isinstance(value, str):
        return go_values.duration_ns(value)
    if key.kind not in (Kind.TEXT, Kind.SWITCH) and isinstance(value, int) and is_number:
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise ValueError("is too large")
        return value
    raise ValueError(f"must be {key.kind.value}")


def _read_variables(environment: Mapping[str, str], reading: _Reading) -> None:
    keys = {key.variable: key for key in KEYS.values()}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(VARIABLE_PREFIX):
            continue
        if variable not in keys:
            reading.unknown_variables.append(variable)
        elif text:
            key = keys[variable]
            try:
                reading.values[key.name] = Value(_FROM_VARIABLE[key.kind](text), variable)
            except ValueError as error:
                reading.faults.append(_fault(variable, key, f"{error}; {REFUSED}"))


def _refusal(key: Key, value: Plain) -> str | None:
    """Return why the old server refused a value of the right type, or None."""
    if isinstance(value, str):
        if "\0" in value:
            return "has a NUL character"
        if not value and key.name not in _MAY_BE_EMPTY:
            return "is empty"
        if key.name == "log_level" and value.lower() not in LOG_LEVELS:
            return f"must be one of {', '.join(LOG_LEVELS)}"
        return None
    low = key.low if key.low is not None else -INT64_MAX - 1
    high = key.high if key.high is not None else INT64_MAX
    if low <= value <= high:
        return None
    if key.high is not None:
        return f"must be from {_shown(key, low)} to {_shown(key, high)}"
    if low == 0:
        return "must not be negative"
    unit = " (a number counts nanoseconds)" if key.kind is Kind.DURATION else ""
    return f"must be at least {_shown(key, low)}{unit}"


def _shown(key: Key, number: int) -> str:
    return go_values.duration_text(number) if key.kind is Kind.DURATION else str(number)


def _certificate_faults(values: Mapping[str, Value]) -> list[Fault]:
    if not values["tls_enabled"].value:
        return []
    return [
        _fault(values[name].given_by or name, KEYS[name], f"is empty, with TLS on; {REFUSED}")
        for name in ("tls_cert_file", "tls_key_file")
        if not values[name].value
    ]


def _fault(source: str, key: Key, problem: str) -> Fault:
    """Return a fault with an example for its source. The value is not shown: it may be a secret."""
    if source == key.variable:
        example = f"{source}={key.example.strip(chr(34))}"
    else:
        example = f'"{key.name.rpartition(".")[2]}": {key.example}'
    return Fault(source, f"{problem}; example: {example}")


def _default(key: Key, root: str) -> Plain:
    if isinstance(key.default, str) and key.default.startswith(ROOT):
        return root + key.default.removeprefix(ROOT)
    return key.default
