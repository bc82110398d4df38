"""The lines at which the keys of a TOML file stand. `tomllib` only gives their values."""

import tomllib
from collections.abc import Mapping
from typing import Any

# The most lines that one value takes, such as a list: finding its end tries each of them.
LINES_OF_A_VALUE_MAX = 1000


def lines_of_keys(text: str) -> tuple[dict[str, Any], Mapping[str, int]]:
    """Return the values of a file and the line of each top-level key, from 1. Raise
    TOMLDecodeError, whose text names the line, and ValueError for deep nesting."""
    try:
        # Behind a last newline, tomllib names the line of a fault in the last line, too.
        values = tomllib.loads(text if text.endswith("\n") else text + "\n")
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    found: dict[str, int] = {}
    lines = text.splitlines(keepends=True)
    at, is_in_table = 0, False
    while at < len(lines):
        end, keys = _statement(lines, at)
        is_table = lines[at].lstrip().startswith("[")
        # Below the head of a table, a key is one of that table's.
        if is_table or not is_in_table:
            for key in keys:
                found.setdefault(key, at + 1)
        is_in_table = is_in_table or is_table
        at = end
    return values, found


def _statement(lines: list[str], start: int) -> tuple[int, list[str]]:
    """Return the end of the statement that begins at a line, and its keys. The whole file is sound,
    so the fewest lines that are sound alone are one statement: half of a list is not."""
    for end in range(start + 1, min(len(lines), start + LINES_OF_A_VALUE_MAX) + 1):
        try:
            return end, list(tomllib.loads("".join(lines[start:end])))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return start + 1, []
