"""A TOML file with every setting, its default and what it does."""

import textwrap
from collections.abc import Iterator

from actors.config.groups import GROUPS
from actors.config.settings import Config
from actors.config.written import NONE, OF_THE_USER, default_text, example_text, toml_line

_WIDTH = 78
_HEAD = """\
# The configuration of claudehub: every setting with its default.
#
# `claudehub serve` reads $XDG_CONFIG_HOME/claudehub/config.toml (XDG_CONFIG_HOME is ~/.config by
# default), or the file of --config. Delete what you do not change: a later version may have better
# defaults. `claudehub config check FILE` says whether a file is right.
#
# Durations are written as 5m, 30s, 1h30m, 250ms; sizes as 64KiB, 1GiB, or in bytes. Lists are
# separated by commas, project_roots by colons.
"""


def example_file() -> str:
    """Return the file. It gives every setting its default. A setting without a default, or with
    another one for each user, is a comment with an example."""
    return "\n".join([_HEAD, *_groups()])


def _groups() -> Iterator[str]:
    for title, settings in GROUPS.items():
        yield f"\n# {title}\n"
        for name in settings:
            yield f"{_comment(name)}\n{_line(name)}\n"


def _comment(name: str) -> str:
    text = Config.model_fields[name].description or ""
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _line(name: str) -> str:
    default = default_text(name)
    if name in OF_THE_USER or default == NONE:
        return f"# {toml_line(name, example_text(name))}"
    return toml_line(name, default)
