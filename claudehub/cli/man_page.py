"""The man page, made from the same definitions as `--help`.

python -m claudehub.cli.man_page > docs/claudehub.1
"""

from collections.abc import Iterator

import click

from claudehub.cli.exit_codes import IN_HELP
from claudehub.cli.main import main
from claudehub.cli.manual import FILES, PROGRAM, Command, Option, paragraphs, sections
from protocol import VERSION


def man_page() -> str:
    """Return the page claudehub(1) as roff."""
    lines = [
        f'.TH CLAUDEHUB 1 "" "{PROGRAM} {VERSION}" "User Commands"',
        ".SH NAME",
        "claudehub \\- run coding agents on a machine that stays on, and drive them from anywhere",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(main.help or ""),
        ".SH COMMANDS",
    ]
    for _, commands in sections():
        for command in commands:
            lines += _command(command)
    lines += [".SH EXIT STATUS", *_paragraphs(IN_HELP), ".SH FILES"]
    for path, text in FILES:
        lines += [".TP", _escaped(path), _escaped(text)]
    lines += [".SH SEE ALSO", "The documents in docs/, and docs/protocol.md for other clients."]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    yield f'.SS "{_escaped(command.path)} {_escaped(command.usage)}"'
    for paragraph in command.paragraphs:
        yield from _paragraph(paragraph.text, paragraph.is_verbatim)
    for option in command.options:
        yield from (".TP", f"\\fB{_escaped(option.names)}\\fR", _escaped(_meaning(option)))


def _meaning(option: Option) -> str:
    return option.text + (f"  [env var: {option.variable}]" if option.variable else "")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in paragraphs(text):
        yield from _paragraph(paragraph.text, paragraph.is_verbatim)


def _paragraph(text: str, is_verbatim: bool) -> Iterator[str]:
    yield ".PP"
    if is_verbatim:
        yield from (".nf", *(_escaped(line) for line in text.split("\n")), ".fi")
    else:
        yield _escaped(text)


def _escaped(text: str) -> str:
    """Return text in which roff sees no command."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    click.echo(man_page(), nl=False)
