"""Text that others wrote, made safe for a terminal, and its width there.

Agents, projects and hubs choose texts. A text must not move the cursor, set the title, or show a
command in another order than the real one (the directional controls of Unicode, CVE-2021-42574).
"""

import re
import unicodedata
from datetime import datetime
from typing import Any

import simplejson

_DIRECTIONAL = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONAL}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Letters, marks and a symbol that show as nothing: fillers, a blank, and variation selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0e\U000e0100-\U000e01ef]"
)
_BREAK = re.compile("[\n\u2028\u2029]+")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "…"
_EMOJI_PRESENTATION = "\ufe0f"
_SOFT_HYPHEN = "\u00ad"


def plain(text: str) -> str:
    """Remove control characters, except newline and tab. Replace lone surrogates, which cannot be
    encoded."""
    return _SURROGATE.sub(_REPLACEMENT, _CONTROL.sub("", text))


def one_line(text: str) -> str:
    """Return safe text without newlines and tabs."""
    return plain(_BREAK.sub(" ", text).replace("\t", " ")).strip()


def visible(text: str) -> str:
    """Return the text with each invisible character as an escape such as `\\x1b`, except newline
    and tab. A person who approves a text sees all of it, and nothing else."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _shows(character) else _escaped(character) for character in text)


def shortened(text: str, length: int) -> str:
    """Return the beginning and the end, and state the length of the omitted part: nothing may hide
    behind a length that is not shown."""
    if len(text) <= length:
        return text
    head = length * 3 // 4
    left_out = len(text) - length
    return f"{text[:head]} [… {left_out} characters are not shown …] {text[head + left_out :]}"


def string(value: Any) -> str:
    """Return a string unchanged, and any other JSON value as compact JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """Return a JSON value as compact JSON, or words where it is nested too deeply for that."""
    try:
        return simplejson.dumps(value, ensure_ascii=False, allow_nan=True)
    except (RecursionError, ValueError):
        return "(too deeply nested to be shown)"


def local_time(timestamp: str) -> str:
    """Return an update's time in the local time zone, for people. What is no time is returned as
    safe text."""
    try:
        return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return one_line(timestamp)


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes, or one more at an emoji: terminals
    differ there."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def cut(text: str, columns: int) -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis behind it."""
    if width(text) <= columns:
        return text
    used = 0
    for index, character in enumerate(text):
        used += _columns(character)
        if used > columns - 1:
            return text[:index] + _ELLIPSIS
    return text


def tail(text: str, columns: int) -> str:
    """Return the text, or as much of its end as fits with an ellipsis before it."""
    if width(text) <= columns:
        return text
    return cut(text[::-1], columns)[::-1]


def _columns(character: str) -> int:
    if character in (_EMOJI_PRESENTATION, _SOFT_HYPHEN):
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _shows(character: str) -> bool:
    if character in "\n\t":
        return True
    if _BLANK.match(character):
        return False
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
