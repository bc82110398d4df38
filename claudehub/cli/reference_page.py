"""docs/command-line.md, made from the same definitions as `--help`.

python -m claudehub.cli.reference_page > docs/command-line.md
"""

import re
import textwrap
from collections.abc import Iterator

import click

from claudehub.cli.exit_codes import IN_HELP
from claudehub.cli.manual import FILES, Command, Option, paragraphs, sections

_WIDTH = 100
_HUB_OPTIONS = ("--hub ", "--url ", "--key ")
_HEAD = """\
<!-- Made by `python -m claudehub.cli.reference_page`, from the definitions of the commands. -->

# The command line

Every command, as `claudehub COMMAND --help` shows it. `claudehub completion` completes commands,
options and the names of projects in your shell. [errors.md](errors.md) explains the messages.

An argument PROJECT is an id; some commands also take a folder, and say so. A command that speaks
to a hub connects again by itself when the connection is lost, and says so in one line.
"""


_OTHER_VARIABLES = (
    "- `NO_COLOR`: if it is not empty, the output has no colours.",
    "- `SSL_CERT_FILE`: the certificates to trust, for `wss://`.",
    "- `WS_PORT` and the other settings of `claudehub serve`: "
    "[configuration.md](configuration.md).",
)
_WHICH_HUB = """These options, on every command that speaks to a hub, say which one. Without them
the command uses the variables of the environment, then the hub that you chose with `claudehub hub
use`, then the hub of this machine."""


def reference_page() -> str:
    """Return the page as Markdown."""
    found = list(sections())
    commands = [command for _, some in found for command in some]
    parts = [_HEAD, *_contents(found), *_which_hub(commands)]
    for title, some in found:
        parts.append(f"## {title}\n")
        for command in some:
            parts += _command(command)
    parts += ["## Exit codes\n", _exit_codes()]
    parts += ["## Environment\n", _environment(commands)]
    parts += ["## Files\n", "".join(f"- `{path}`: {text}\n" for path, text in FILES)]
    return "\n".join(parts)


def _contents(found: list[tuple[str, list[Command]]]) -> Iterator[str]:
    """Yield the commands in a line each; those of a group are found behind it."""
    yield "| command | what it does |\n| --- | --- |"
    for _, commands in found:
        for command in commands:
            name = command.path.partition(" ")[2]
            if " " not in name:
                anchor = command.path.replace(" ", "-")
                text = re.match(r".*?[.](?= |$)|.*", command.paragraphs[0].text)
                assert text is not None
                yield f"| [`{name}`](#{anchor}) | {_escaped(text[0]).replace('|', '/')} |"
    yield ""


def _which_hub(commands: list[Command]) -> Iterator[str]:
    yield "## Which hub\n"
    yield _wrapped(_WHICH_HUB)
    all_three = (o for c in commands if len(o := _hub_options(c)) == len(_HUB_OPTIONS))
    yield _options(next(all_three))


def _hub_options(command: Command) -> list[Option]:
    return [option for option in command.options if _names_hub(option)]


def _names_hub(option: Option) -> bool:
    return option.names.startswith(_HUB_OPTIONS) and option.variable is not None


def _command(command: Command) -> Iterator[str]:
    """Yield a command. Its own options are listed, and those that name a hub are referred to."""
    depth = "#" * (1 + command.path.count(" ") + 1)
    yield f"{depth} {command.path}\n"
    yield f"```text\n{command.path} {command.usage}\n```\n"
    for paragraph in command.paragraphs:
        if paragraph.is_verbatim:
            title, _, lines = paragraph.text.partition("\n")
            yield f"{title}\n\n```text\n{textwrap.dedent(lines)}\n```\n"
        else:
            yield _wrapped(_escaped(paragraph.text))
    own = [option for option in command.options if not _names_hub(option)]
    if own:
        yield _options(own)
    if len(own) < len(command.options):
        yield "It takes the options that [name a hub](#which-hub).\n"


def _options(options: list[Option]) -> str:
    return "".join(
        _wrapped(f"- `{option.names}`: {_escaped(option.text)}{_variable(option)}", "  ")
        for option in options
    )


def _variable(option: Option) -> str:
    return f" Variable: `{option.variable}`." if option.variable else ""


def _exit_codes() -> str:
    (codes,) = paragraphs(IN_HELP)
    lines = (line.split(maxsplit=1) for line in codes.text.splitlines()[1:])
    return "".join(f"- `{code}`: {meaning}\n" for code, meaning in lines)


def _environment(commands: list[Command]) -> str:
    """Return the variables of the environment that options stand for, and where the others are."""
    options = {o.variable: o.names.split()[0] for c in commands for o in c.options if o.variable}
    lines = [f"- `{name}`: the option `{option}`." for name, option in sorted(options.items())]
    return "".join(_wrapped(line, "  ") for line in [*lines, *_OTHER_VARIABLES])


def _escaped(text: str) -> str:
    """Return text in which Markdown sees no markup but code."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _wrapped(text: str, indent: str = "") -> str:
    lines = textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    click.echo(reference_page().rstrip("\n"))
