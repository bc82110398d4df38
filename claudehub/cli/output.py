"""Print text that others chose: hubs, agents, and those who name projects."""

import sys
from typing import TextIO

import click

from claudehub.show.safe_text import one_line


def say(text: str, *, err: bool = False, file: TextIO | None = None) -> None:
    """Print each line of the text as safe text; what stands before its first word stays."""
    lines = text.split("\n")
    echo("\n".join(_margin(line) + one_line(line) for line in lines), err=err, file=file)


def echo(text: str, *, err: bool = False, file: TextIO | None = None) -> None:
    """Print text that is safe already, such as coloured lines. What the stream's encoding has no
    character for becomes a question mark."""
    stream = file or (sys.stderr if err else sys.stdout)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), file=stream)


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]
