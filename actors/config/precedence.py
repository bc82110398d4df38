"""Which value of a setting wins: a flag, an environment variable, the file, the default.

The order is the tuple that `settings_customise_sources` returns. Nothing else merges values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

# How `read` hands the file to the sources. No field's name can begin with an underscore.
_FILE = "_file"


class FileSource(TomlConfigSettingsSource):
    """The TOML file, or none. It keeps what is wrong with the file and does not raise it: the
    caller reports it with the other faults, or continues without the file.

    `error` says why the file cannot be read. `unknown` are keys that are no settings; they are left
    out.
    """

    def __init__(self, settings_cls: type[BaseSettings], file: Path | None) -> None:
        self.error: Exception | None = None
        self.unknown: list[str] = []
        self._file = file
        self._known = frozenset(settings_cls.model_fields)
        # The library would look for the file itself. It silently skips a missing file, a folder or
        # a pipe, takes Path(".") for no file, and raises if it cannot look.
        super().__init__(settings_cls, toml_file=None)

    def _read_files(self, files: object, deep_merge: bool = False) -> dict[str, Any]:
        """Return the known values of the file. A file that was named is read, whatever it is."""
        if self._file is None:
            return {}
        try:
            values = self._read_file(self._file)
        except (OSError, ValueError) as error:
            self.error = error
            return {}
        # Filter here, because the library then compares keys without regard to case.
        self.unknown = [key for key in values if key not in self._known]
        return {key: value for key, value in values.items() if key in self._known}


class LayeredSettings(BaseSettings):
    """Settings that are read from flags, the environment, a file and defaults, in this order."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    @classmethod
    def read(cls, flags: Mapping[str, Any], file: FileSource) -> Self:
        """Return the settings. A flag that is None was not given. Raise ValidationError."""
        given = {name: value for name, value in flags.items() if value is not None}
        return cls(**{**given, _FILE: file})

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
        file = init_settings().get(_FILE) or FileSource(settings_cls, None)
        return init_settings, env_settings, file
