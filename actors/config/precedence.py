"""Which value of a setting wins: a flag, an environment variable, the file, the default.

The order is the tuple that `settings_customise_sources` returns. Nothing else merges values.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from actors.config.file_text import text_of_file
from actors.config.toml_lines import lines_of_keys

# How `read` hands the sources to the library. No field's name can begin with an underscore.
_SOURCES = "_sources"
# As in TOML. Python takes a longer one, but does not write it.
_NUMBER_BITS_MAX = 63


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: `source` is flag, variable, file or default, and `place` what to
    look for there: `--ws-port`, `WS_PORT`, `FILE:ws_port`, or nothing."""

    source: str
    place: str
    value: Any

    def __str__(self) -> str:
        if self.source == "file":
            return self.place
        return f"{self.source} {self.place}".strip()


class FileSource(TomlConfigSettingsSource):
    """The TOML file, or none. It keeps what is wrong with the file and does not raise it: the
    caller reports it with the other faults, or continues without the file.

    `error` says why the file cannot be read. `unknown` are keys that are no settings, with their
    values; they are left out. `lines` are the lines of all keys of the file, from 1.
    """

    def __init__(self, settings_cls: type[BaseSettings], file: Path | None) -> None:
        self.path = file
        self.error: Exception | None = None
        self.unknown: dict[str, Any] = {}
        self.lines: Mapping[str, int] = {}
        self.values: dict[str, Any] = {}
        self._known = frozenset(settings_cls.model_fields)
        # The library would look for the file itself. It silently skips a missing file, a folder or
        # a pipe, takes Path(".") for no file, and raises if it cannot look.
        super().__init__(settings_cls, toml_file=None)

    def _read_files(self, files: object, deep_merge: bool = False) -> dict[str, Any]:
        """Return the known values of the file. A file that was named is read, whatever it is."""
        if self.path is None:
            return {}
        try:
            values, self.lines = lines_of_keys(text_of_file(self.path))
            _check_numbers(values)
        except (OSError, ValueError) as error:
            self.error = error
            return {}
        # Filter here, because the library then compares keys without regard to case.
        self.unknown = {key: value for key, value in values.items() if key not in self._known}
        self.values = {key: value for key, value in values.items() if key in self._known}
        return self.values


def _check_numbers(value: object) -> None:
    """Raise ValueError for a number that is too long."""
    match value:
        case dict():
            for item in value.values():
                _check_numbers(item)
        case list():
            for item in value:
                _check_numbers(item)
        case int() if value.bit_length() > _NUMBER_BITS_MAX:
            raise ValueError(f"has a whole number with more than {_NUMBER_BITS_MAX} bits")


class EnvironmentSource(PydanticBaseSettingsSource):
    """The variables of the environment, in upper case. An empty one counts as not set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a variable's value, None if it is not set."""
        return os.environ.get(field_name.upper()) or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class LayeredSettings(BaseSettings):
    """Settings that are read from flags, the environment, a file and defaults, in this order."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", validate_default=True)

    @classmethod
    def read(
        cls,
        flags: Mapping[str, Any],
        file: FileSource,
        *,
        without: Collection[str] = (),
        has_environment: bool = True,
    ) -> Self:
        """Return the settings. A flag that is None was not given. The settings of `without` have
        their defaults, whatever is given. Raise ValidationError."""
        given = {n: v for n, v in flags.items() if v is not None and n not in without}
        environment = (EnvironmentSource(cls),) if has_environment else ()
        sources = tuple(_Without(source, without) for source in (*environment, file))
        return cls(**{**given, _SOURCES: sources})

    @classmethod
    def origins(
        cls, flags: Mapping[str, Any], file: FileSource, *, has_environment: bool = True
    ) -> dict[str, Origin]:
        """Return where each setting that is given comes from."""
        found = {n: Origin("file", f"{file.path}:{n}", v) for n, v in file.values.items()}
        for name, value in EnvironmentSource(cls)().items() if has_environment else ():
            found[name] = Origin("variable", name.upper(), value)
        for name, value in flags.items():
            if value is not None:
                found[name] = Origin("flag", "--" + name.replace("_", "-"), value)
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first; the defaults come last. There is no .env file:
        an agent's project may be the working directory."""
        return init_settings, *init_settings().get(_SOURCES, ())


class _Without(PydanticBaseSettingsSource):
    """A source, without some settings."""

    def __init__(self, source: PydanticBaseSettingsSource, without: Collection[str]) -> None:
        super().__init__(source.settings_cls)
        self._source = source
        self._without = without

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a setting's value as the source has it."""
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        return {n: v for n, v in self._source().items() if n not in self._without}
