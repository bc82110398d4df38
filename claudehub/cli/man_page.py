"""The man page, made from the same definitions as `--help`.

python -m claudehub.cli.man_page > docs/claudehub.1
"""

import inspect
from collections.abc import Iterator

import click

from claudehub.cli.exit_codes import IN_HELP
from claudehub.cli.main import main
from protocol import VERSION

_VERBATIM = "\b"
_FILES = (
    ("$XDG_CONFIG_HOME/claudehub/config.toml", "The settings of the server."),
    ("$XDG_CONFIG_HOME/claudehub/hubs.json", "The hubs with names."),
    ("$XDG_STATE_HOME/claudehub", "What the server keeps (DATA_DIR)."),
)


def man_page() -> str:
    """Return the page claudehub(1) as roff."""
    context = click.Context(main, info_name="claudehub")
    lines = [
        f'.TH CLAUDEHUB 1 "" "claudehub {VERSION}" "User Commands"',
        ".SH NAME",
        "claudehub \\- run coding agents on a machine that stays on, and drive them from anywhere",
        ".SH SYNOPSIS",
        ".B claudehub",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(main.help or ""),
        ".SH COMMANDS",
    ]
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        lines += _command(command, f"claudehub {name}", context)
    lines += [".SH EXIT STATUS", *_paragraphs(inspect.cleandoc(IN_HELP)), ".SH FILES"]
    for path, text in _FILES:
        lines += [".TP", _escaped(path), _escaped(text)]
    lines += [".SH SEE ALSO", "The documents in docs/, and docs/protocol.md for other clients."]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, path: str, parent: click.Context) -> Iterator[str]:
    """Yield a command, and the commands of a group behind it."""
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escaped(path)} {_escaped(usage)}"'
    yield from _paragraphs(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record and "--help" not in parameter.opts:
            yield from (".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1]))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from _command(part, f"{path} {name}", context)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield help text; what stands behind a \\b keeps its lines, as in `--help`."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield ".PP"
        if paragraph.startswith(_VERBATIM):
            lines = paragraph.removeprefix(_VERBATIM).strip("\n").split("\n")
            yield from (".nf", *(_escaped(line) for line in lines), ".fi")
        else:
            yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Return text in which roff sees no command."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    click.echo(man_page(), nl=False)
