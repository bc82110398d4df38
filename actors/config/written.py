"""How a setting is written: its default, its example, and its value in a TOML file."""

from enum import Enum

from actors.config import values
from actors.config.settings import Config

NONE = "none"
# Settings that are `yes` or `no`; the other switches are `on` or `off`.
_YES_OR_NO = frozenset(("allow_unauthenticated", "revoke_kills"))
# Their default is another one for each user.
OF_THE_USER = frozenset(("data_dir", "project_roots"))


def default_text(name: str) -> str:
    """Return a setting's default as it is typed, `none` where there is none."""
    field = Config.model_fields[name]
    default = field.get_default(call_default_factory=True, validated_data={})
    return text_of(name, default) or NONE


def text_of(name: str, value: object) -> str:
    """Return a value, from any source, as it is typed on the command line."""
    if isinstance(value, bool):
        return (("no", "yes") if name in _YES_OR_NO else ("off", "on"))[value]
    if isinstance(value, tuple | list):
        separator = {"claude_cmd": " ", "project_roots": ":"}.get(name, ",")
        return separator.join(str(part) for part in value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        number = f"{value:.0f}" if value.is_integer() else str(value)
        return f"{number}s" if is_duration(name) else number
    return "" if value is None else str(value)


def is_duration(name: str) -> bool:
    """Return True if a setting is a time."""
    parts = Config.model_fields[name].metadata
    return any(getattr(part, "func", None) is values.seconds for part in parts)


def working_text(name: str) -> str:
    """Return a value of the setting that works on this machine: folders must exist."""
    return default_text(name) if name == "project_roots" else example_text(name)


def example_text(name: str) -> str:
    """Return a value of the setting as somebody could type it."""
    return str((Config.model_fields[name].examples or ["?"])[0])


def toml_line(name: str, text: str) -> str:
    """Return the line of a TOML file that gives a setting a value, written as it is typed."""
    value = text if text.isascii() and text.isdecimal() else toml_string(text)
    return f"{name} = {value}"


def toml_string(text: str) -> str:
    """Return a text as TOML writes it. What does not show is written as an escape: TOML takes no
    DEL, and a terminal must not act on the others."""
    return '"' + "".join(map(_in_string, text)) + '"'


def _in_string(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    number = ord(char)
    if 0xD800 <= number <= 0xDFFF:  # a lone surrogate, which TOML cannot write
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
