"""What the commands say about themselves, for the man page and docs/command-line.md: both are made
from the same definitions as `--help`."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from claudehub.cli.main import main

_VERBATIM = "\b"
PROGRAM = "claudehub"
FILES = (
    ("$XDG_CONFIG_HOME/claudehub/config.toml", "The settings of the server."),
    ("$XDG_CONFIG_HOME/claudehub/hubs.json", "The hubs with names."),
    ("$XDG_STATE_HOME/claudehub", "What the server keeps (DATA_DIR)."),
)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Help text. One that is verbatim keeps its lines."""

    text: str
    is_verbatim: bool


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command. `names` are as typed, with what follows them; `variable` is that of
    the environment, or None."""

    names: str
    text: str
    variable: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command, such as `claudehub projects create`. `usage` is what stands behind its name."""

    path: str
    usage: str
    paragraphs: tuple[Paragraph, ...]
    options: tuple[Option, ...]


def sections() -> Iterator[tuple[str, list[Command]]]:
    """Yield the sections of `claudehub --help` with their commands. Those of a group follow it."""
    context = click.Context(main, info_name=PROGRAM)
    for title, names in main.sections().items():
        found: list[Command] = []
        for name in names:
            command = main.get_command(context, name)
            assert command is not None
            found += _commands(command, f"{PROGRAM} {name}", context)
        yield title, found


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Yield help text in paragraphs; what stands behind a \\b is verbatim, as in `--help`."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith(_VERBATIM):
            yield Paragraph(paragraph.removeprefix(_VERBATIM).strip("\n"), True)
        else:
            yield Paragraph(" ".join(paragraph.split()), False)


def _commands(command: click.Command, path: str, parent: click.Context) -> Iterator[Command]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    options = tuple(_options(command, context))
    yield Command(path, usage, tuple(paragraphs(command.help or "")), options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from _commands(part, f"{path} {name}", context)


def _options(command: click.Command, context: click.Context) -> Iterator[Option]:
    home = str(Path.home())
    for parameter in command.get_params(context):
        if not isinstance(parameter, click.Option) or "--help" in parameter.opts:
            continue
        variable = parameter.envvar if isinstance(parameter.envvar, str) else None
        record = parameter.get_help_record(context)
        if record is not None:
            text = record[1].replace(f"[env var: {variable}]", "").replace(home, "~").strip()
            yield Option(record[0], text, variable)
