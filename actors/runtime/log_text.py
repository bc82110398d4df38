"""Log lines for people: one line an event, `key=value`, whatever clients and agents put into it."""

import re
from collections.abc import Iterable, Mapping

# A longer value is cut: a client may choose a text of a MiB.
VALUE_CHARS_MAX = 2_000
_NOTE_CHARS_MAX = 40
# A longer traceback loses its beginning. Its end says what happened.
BLOCK_CHARS_MAX = 32_000
# Each line of a traceback begins with this, so that a reader knows it from an event.
BLOCK_MARGIN = "    | "

_SAFE = re.compile(r"[!#-<>-~]+")  # no space, no quotation mark, no equals sign
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def line(event: object, fields: Mapping[str, object]) -> str:
    """Return `event key=value key=value`, without a line break. A field without a value is left
    out."""
    words = [escaped(cut(str(event)))]
    words += [f"{name}={value(found)}" for name, found in fields.items() if found is not None]
    return " ".join(words)


def value(found: object) -> str:
    """Return a value as one word: as it is, or in quotation marks."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, list | tuple | set | frozenset):
        text = ",".join(str(item) for item in found)
    else:
        text = str(found)
    text = cut(text)
    if _SAFE.fullmatch(text) and "\\" not in text:
        return text
    return '"' + escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def escaped(text: str) -> str:
    """Return the text with each character that is not printable as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _NAMED.get(c) or _code(c) for c in text)


def block(text: str) -> str:
    """Return a text of several lines, each behind the margin."""
    return "".join(f"\n{BLOCK_MARGIN}{escaped(part)}" for part in _lines(tail(text)))


def cut(text: str) -> str:
    """Return the beginning of a text that is too long, and how much is missing."""
    if len(text) <= VALUE_CHARS_MAX + _NOTE_CHARS_MAX:  # a text may be cut twice
        return text
    return f"{text[:VALUE_CHARS_MAX]}… ({len(text) - VALUE_CHARS_MAX} characters more)"


def tail(text: str) -> str:
    """Return the end of a text that is too long for a block, and how much is missing."""
    if len(text) <= BLOCK_CHARS_MAX:
        return text
    return f"({len(text) - BLOCK_CHARS_MAX} characters before this)\n{text[-BLOCK_CHARS_MAX:]}"


def _lines(text: str) -> Iterable[str]:
    return text.rstrip("\n").split("\n")


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
