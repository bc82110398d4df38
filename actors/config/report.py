"""What `claudehub config show` says: each setting, its value, and where the value comes from."""

from collections.abc import Iterator
from dataclasses import dataclass

from actors.config.groups import GROUPS
from actors.config.precedence import Origin
from actors.config.secrets import without_secrets
from actors.config.sources import Look
from actors.config.written import default_text, text_of

_DEFAULT = Origin("default", "", None)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in `claudehub config show`. `value` is written as it was given, without secrets."""

    name: str
    value: str
    origin: Origin


def settings(found: Look) -> Iterator[Setting]:
    """Yield each setting, in the order of the documentation."""
    for group in GROUPS.values():
        for name in group:
            origin = found.origins.get(name, _DEFAULT)
            given = origin is not _DEFAULT
            value = text_of(name, origin.value) if given else default_text(name)
            yield Setting(name, without_secrets(value), origin)
