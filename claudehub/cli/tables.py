"""Print rows for people, or as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

import simplejson

from claudehub.cli.output import echo
from claudehub.show.safe_text import one_line, width


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    echo(simplejson.dumps(value))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their heads; the last column is as wide as it needs."""
    table = [tuple(head), *(tuple(one_line(str(cell)) for cell in row) for row in rows)]
    widths = [max(width(row[column]) for row in table) for column in range(len(head) - 1)]
    for row in table:
        cells = [cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=False)]
        echo("  ".join([*cells, row[-1]]).rstrip())
