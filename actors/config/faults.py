"""What is wrong with the configuration, in one line for each fault."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.config.plain_problems import plain_problem
from actors.config.secrets import without_secrets
from actors.config.written import text_of, toml_line, working_text

_SHOWN_MAX = 100
_NAMED = re.compile(r"([A-Z][A-Z0-9_]*): ")


class ConfigurationError(Exception):
    """`faults` has one line each: the variable, what is wrong, and an example that works."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `name` is the setting in lower case, None if the fault is no setting's. `problem`
    has an example of its own if `example` is None. `line` is its line in the file, if it is known.
    `is_of_file`: the file cannot be read, or has a key that is no setting."""

    name: str | None
    problem: str
    example: str | None = None
    line: int | None = None
    is_of_file: bool = False

    def typed(self) -> str:
        """Return the fault with an example for the command line."""
        return self._with(f"{(self.name or '').upper()}={self.example}")

    def in_file(self) -> str:
        """Return the fault with an example for the file."""
        return self._with(toml_line(self.name or "", self.example or ""))

    def _with(self, example: str) -> str:
        named = self.problem if self.name is None else f"{self.name.upper()}: {self.problem}"
        return named if self.example is None else f"{named}; example: {example}"


def of_value(error: dict[str, Any]) -> Fault:
    """Return the fault of one of pydantic's errors."""
    if not error["loc"]:
        return of_text(str(error["msg"]).removeprefix("Value error, "))
    name = str(error["loc"][0])
    problem = f"{_shown(name, error['input'])}: {plain_problem(name, error)}"
    return Fault(name, problem, working_text(name))


def of_text(text: str) -> Fault:
    """Return a fault that is written out already; it begins with the setting, if it has one."""
    named = _NAMED.match(text)
    if named is None:
        return Fault(None, text)
    return Fault(named[1].lower(), text[named.end() :])


def _shown(name: str, value: object) -> str:
    if value is None:
        return "not set"
    return repr(without_secrets(text_of(name, value))[:_SHOWN_MAX])
