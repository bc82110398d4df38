"""Read a TOML file: its values, and the lines at which its keys stand. `tomllib` only gives values.

`tomllib` recurses into lists, and the time that it takes grows with the square of a key's parts. So
this module looks at the tokens first, in a time that grows with the length of the file.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

# Of lists and tables in one another, and of the parts of a key. No setting needs more than one.
NESTING_MAX = 32
# A quotation mark without a second one ends with its line, or with the file. So every token is
# found at the first try.
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t]+|\#[^\n]*+)
    |(?P<newline>\n)
    |(?P<opens>[\[{])
    |(?P<closes>[\]}])
    |(?P<dot>\.)
    |(?P<sign>[=,])
    |(?P<text>
        \"{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)
        |'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)
        |"(?:[^"\\\n]|\\[^\n])*+"?
        |'[^'\n]*+'?
    )
    |(?P<word>[^ \t\n"'#\[\]{}.=,]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class TooDeep(ValueError):
    """A file is nested too deeply; the text names the line, as one of tomllib does."""


def lines_of_keys(text: str) -> tuple[dict[str, Any], Mapping[str, int]]:
    """Return the values of a file and the line of each top-level key, from 1. Raise
    TOMLDecodeError or TooDeep, whose texts name the line."""
    # Behind a last newline, tomllib names the line of a fault in the last line, too.
    text = text.replace("\r\n", "\n")
    text = text if text.endswith("\n") else text + "\n"
    statements = list(_statements(text))
    values = _parsed(text)
    found: dict[str, int] = {}
    is_in_table = False
    for line, statement in statements:
        is_table = statement.startswith("[")
        # Below the head of a table, a key is one of that table's.
        if is_table or not is_in_table:
            for key in _parsed(statement):
                found.setdefault(key, line)
        is_in_table = is_in_table or is_table
    return values, found


def _parsed(text: str) -> dict[str, Any]:
    """Return the values of a text. Raise TOMLDecodeError or TooDeep."""
    try:
        return tomllib.loads(text)
    except RecursionError:  # a little is too deep where the caller is deep already
        raise TooDeep("is nested too deeply") from None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement of a file with the line at which it begins. Raise TooDeep."""
    line, depth, dots = 1, 0, 0
    start: int | None = None
    begins_at = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "newline" and not depth and start is not None:
            yield begins_at, text[start : token.start()]
            start = None
        elif kind not in ("newline", "space") and start is None:
            start, begins_at = token.start(), line
        depth = max(0, depth + (kind == "opens") - (kind == "closes"))
        if kind == "dot":
            dots += 1
        elif kind in ("newline", "opens", "closes", "sign"):
            dots = 0
        if max(depth, dots) >= NESTING_MAX:
            column = token.start() - text.rfind("\n", 0, token.start())
            raise TooDeep(
                f"is nested more than {NESTING_MAX} deep (at line {line}, column {column})"
            )
        line += token[0].count("\n")
