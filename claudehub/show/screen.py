"""Lines and pieces of text on a terminal or in a pipe.

On a terminal the last line may be one that is rewritten in place: a state ("running"), or a prompt
with what has been typed behind it. In a pipe such lines do not exist. Every text is made safe here,
once more: no other way leads to the terminal.
"""

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TextIO

from claudehub.show.lines import Kind
from claudehub.show.safe_text import cut, plain, width

_COLUMNS_UNKNOWN = 80
_RESET = "\x1b[0m"
_ERASE_LINE = "\r\x1b[K"


class Style(StrEnum):
    """How a piece of text looks; the value is the terminal's code for it."""

    NORMAL = ""
    BOLD = "\x1b[1m"
    DIM = "\x1b[2m"
    RED = "\x1b[31m"
    GREEN = "\x1b[32m"
    YELLOW = "\x1b[33m"
    CYAN = "\x1b[36m"


STYLES = {
    Kind.HEADING: Style.BOLD,
    Kind.COMMAND: Style.BOLD,
    Kind.FILE: Style.BOLD,
    Kind.ADDED: Style.GREEN,
    Kind.REMOVED: Style.RED,
    Kind.SKIPPED: Style.CYAN,
    Kind.NOTE: Style.DIM,
}
Piece = str | tuple[Style, str]


class Screen:
    """Where lines go. `write` takes text; `columns` tells the width of a terminal, and is None for
    a pipe. With `colour`, styles are shown."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        columns: Callable[[], int] | None = None,
        colour: bool = False,
    ) -> None:
        self._write = write
        self._columns = columns
        self._colour = colour
        self._state: tuple[Piece, ...] = ()
        self._prompt: tuple[Piece, ...] = ()
        self._shown = ""
        self._in_line = False
        self._held = ""

    @property
    def in_place(self) -> bool:
        """Return whether a line can be rewritten."""
        return self._columns is not None

    @property
    def is_in_line(self) -> bool:
        """Return whether pieces have begun a line."""
        return self._in_line or bool(self._held)

    @property
    def columns(self) -> int | None:
        """Return the width of the terminal; None in a pipe."""
        return None if self._columns is None else self._columns()

    def line(self, *pieces: Piece) -> None:
        """Write a whole line, or several if the text has newlines. The last line is gone until
        `state` or `prompt` draws it again, so that many lines are written at once."""
        self.end_line()
        self._above(self._styled(pieces) + "\n")

    def text(self, text: str) -> None:
        """Write a piece of a line. While there is a prompt, it waits until its line is whole."""
        text = plain(text)
        if self._prompt:
            whole, newline, self._held = (self._held + text).rpartition("\n")
            self._above(whole + newline)
        elif text:
            self._above(text)
            self._in_line = not text.endswith("\n")

    def end_line(self) -> None:
        """End the line that pieces have begun."""
        if self._held:
            held, self._held = self._held, ""
            self._above(held + "\n")
        elif self._in_line:
            self._in_line = False
            self._write("\n")

    def state(self, *pieces: Piece) -> None:
        """Show a state in the last line until the next one; nothing takes it away."""
        self._state = pieces
        self._draw()

    def prompt(self, *pieces: Piece) -> None:
        """Show a prompt in the last line, before any state; nothing takes it away."""
        if pieces and self._in_line:
            self.end_line()
        self._prompt = pieces
        if not pieces and self._held:
            held, self._held = self._held, ""
            self.text(held)
        self._draw()

    def redraw(self) -> None:
        """Draw the last line again, below lines that were written."""
        self._draw()

    def paste_marks(self, wanted: bool) -> None:
        """Let the terminal mark pasted text, so that its line breaks are no Enter."""
        if self.in_place:
            self._write("\x1b[?2004h" if wanted else "\x1b[?2004l")

    def _above(self, text: str) -> None:
        if text:
            erase, self._shown = (_ERASE_LINE if self._shown else ""), ""
            self._write(erase + text)

    def _draw(self) -> None:
        if self._columns is None or self._in_line:
            return  # a state waits for the end of the line
        pieces = self._prompt or self._state
        wanted = self._styled(_fitting(pieces, self._columns() - 1)).replace("\n", " ")
        if wanted != self._shown:
            self._write((_ERASE_LINE if self._shown else "") + wanted)
            self._shown = wanted

    def _styled(self, pieces: tuple[Piece, ...]) -> str:
        found = []
        for piece in pieces:
            style, text = piece if isinstance(piece, tuple) else (Style.NORMAL, piece)
            text = plain(text)
            found.append(f"{style}{text}{_RESET}" if self._colour and style and text else text)
        return "".join(found)


def screen_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
    """Return the screen of a stream. Colours and rewritten lines need a terminal that is not dumb;
    NO_COLOR turns the colours off."""
    encoding = stream.encoding or "utf-8"

    def write(text: str) -> None:
        # A terminal with a poorer encoding than UTF-8 shows question marks.
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()

    def columns() -> int:
        try:
            return os.get_terminal_size(stream.fileno()).columns or _COLUMNS_UNKNOWN
        except (OSError, ValueError):
            return _COLUMNS_UNKNOWN

    return Screen(
        write,
        columns=columns if _is_able(stream, environ) else None,
        colour=_is_coloured(stream, environ),
    )


def recorder_of(
    stream: TextIO, write: Callable[[str], object], environ: Mapping[str, str] = os.environ
) -> Screen:
    """Return a screen that gives its lines to `write`, with the colours that the stream would
    show."""
    return Screen(write, colour=_is_coloured(stream, environ))


def _is_able(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM") != "dumb"


def _is_coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return _is_able(stream, environ) and not environ.get("NO_COLOR")


def _fitting(pieces: tuple[Piece, ...], columns: int) -> tuple[Piece, ...]:
    """Return the pieces, cut at the width."""
    found: list[Piece] = []
    for piece in pieces:
        style, text = piece if isinstance(piece, tuple) else (Style.NORMAL, piece)
        text = plain(text).replace("\t", " ")
        if columns <= 0:
            break
        found.append((style, cut(text, columns)))
        columns -= width(text)
    return tuple(found)
