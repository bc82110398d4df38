"""The table of settings in docs/configuration.md, made from the definition of the settings.

python -m claudehub.cli.configuration_page docs/configuration.md

It writes what stands between two comments of the page anew. The rest is written by hand.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

BEGIN = "<!-- Made by `python -m claudehub.cli.configuration_page docs/configuration.md`. -->"
END = "<!-- The rest is written by hand. -->"
# The defaults that are another one for each user.
DEFAULTS_IN_WORDS = {
    "data_dir": "`$XDG_STATE_HOME/claudehub`, else `~/.local/state/claudehub`",
    "project_roots": "your home",
}
# A default that is what somebody would type in a shell.
_CODE = frozenset(("claude_cmd",))


def configuration_page(page: str) -> str:
    """Return the page with the tables as they are now."""
    before, rest = page.split(BEGIN)
    _, behind = rest.split(END)
    return f"{before}{BEGIN}\n\n{_tables()}\n{END}{behind}"


def _tables() -> str:
    from actors.config.groups import GROUPS

    parts = []
    for title, settings in GROUPS.items():
        head = f"### {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n"
        parts.append(head + "".join(_rows(settings)))
    return "\n".join(parts)


def _rows(settings: Mapping[str, str]) -> Iterator[str]:
    for name, meaning in settings.items():
        yield f"| `{name.upper()}` | {_default(name)} | {meaning} |\n"


def _default(name: str) -> str:
    from actors.config.written import default_text

    if name in DEFAULTS_IN_WORDS:
        return DEFAULTS_IN_WORDS[name]
    default = default_text(name)
    return f"`{default}`" if name in _CODE else default


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(configuration_page(file.read_text("utf-8")), "utf-8")
