"""A line that a person types, byte by byte. The terminal's own editing would mix it with the lines
that arrive meanwhile."""

import codecs
import re
from dataclasses import dataclass, field

_LINE_LENGTH_MAX = 10_000
# What arrow and function keys send, and the marks around a pasted text.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|(?=[^\[O]))", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_END_OF_INPUT, _ERASE_LINE, _ERASE_WORD = "\x04", "\x15", "\x17"
_BACKSPACES = "\x7f\x08"


@dataclass(frozen=True, slots=True)
class Entered:
    """A line that ended in Enter."""

    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """Ctrl-D on an empty line."""


@dataclass(slots=True)
class LineEditor:
    """The line so far. Backspace, Ctrl-U and Ctrl-W erase; other control keys do nothing. Line
    breaks of a pasted text become spaces: only the Enter key ends a line."""

    text: str = ""
    _in_paste: bool = False
    _rest: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def feed(self, data: bytes) -> Entered | Left | None:
        """Take what was typed. What follows an Enter in the same piece is dropped: a terminal that
        does not mark a pasted text must not answer the next question with its second line."""
        typed = self._rest + self._decoder.decode(data)
        self._rest = ""
        if unfinished := _UNFINISHED.search(typed):
            typed, self._rest = typed[: unfinished.start()], unfinished[0]
        at = 0
        while at < len(typed):
            if sequence := _SEQUENCE.match(typed, at):
                self._sequence(sequence[0])
                at = sequence.end()
                continue
            if (event := self._character(typed[at])) is not None:
                return event
            at += 1
        return None

    def _sequence(self, sequence: str) -> None:
        if sequence in (_PASTE_BEGINS, _PASTE_ENDS):
            self._in_paste = sequence == _PASTE_BEGINS

    def _character(self, character: str) -> Entered | Left | None:
        if character in "\r\n\t" and self._in_paste:
            character = " "
        if character in "\r\n":
            entered, self.text = Entered(self.text), ""
            return entered
        if character == _END_OF_INPUT and not self.text:
            return Left()
        if character in _BACKSPACES:
            self.text = self.text[:-1]
        elif character == _ERASE_LINE:
            self.text = ""
        elif character == _ERASE_WORD:
            self.text = re.sub(r"\S*\s*\Z", "", self.text)
        elif character.isprintable() and len(self.text) < _LINE_LENGTH_MAX:
            self.text += character
        return None
