"""One entry of the file that `config migrate` prints, and the words that many entries share."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from actors.config.secrets import without_secrets
from actors.config.written import toml_line
from claudehub.moving.go_values import duration_text
from claudehub.moving.old_projects import Roots
from claudehub.moving.old_settings import OldSettings
from claudehub.show.safe_text import one_line, shortened

_WIDTH = 78
_SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class Source:
    """What is migrated: the file (None: there is none), whether the environment counts, the whole
    path of the old data folder and what was found there, and the PA_ variables with the settings
    that do here what their names say."""

    file: str | None
    has_environment: bool
    data_dir: str
    roots: Roots
    never_read: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A comment, and the lines below it."""

    remark: str
    lines: tuple[str, ...] = ()


def text_of(entry: Entry) -> str:
    """Return an entry as it stands in the file."""
    return "\n".join([comment(entry.remark), *entry.lines])


def comment(text: str) -> str:
    """Return a text as lines of a comment."""
    return textwrap.fill(
        one_line(text),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def switched_off(line: str) -> str:
    """Return a line that is not in effect until somebody takes the `#` away."""
    return f"# {line}"


def shown(text: str, length_max: int = _SHOWN_MAX) -> str:
    """Return a text of somebody else for a comment, without secrets."""
    return shortened(one_line(without_secrets(text)), length_max)


def name_of(old: OldSettings, key: str) -> str:
    """Return what gives a value: the key or the variable."""
    given = old.given_by(key)
    return f"{key} (not given)" if given is None else given


def in_effect(remark: str, setting: str, value: str, wanted: str) -> Entry:
    """Return a setting with what was in effect, and a line for what the file has asked for."""
    if value == wanted:
        return Entry(remark, (toml_line(setting, value),))
    remark = f"{remark} Take the second line instead for the value that was asked for."
    return Entry(remark, (toml_line(setting, value), switched_off(toml_line(setting, wanted))))


def clamped(given: int, taken: int) -> str:
    """Return a sentence about a duration that claudehub does not take, or nothing."""
    if given == taken:
        return ""
    return f" It was {duration_text(given)}; claudehub's limit is {duration_text(taken)}."


def time_of(nanoseconds: int) -> str:
    """Return a duration, which may be negative."""
    sign = "-" if nanoseconds < 0 else ""
    return sign + duration_text(abs(nanoseconds))
