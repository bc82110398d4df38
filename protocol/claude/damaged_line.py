"""A line of the CLI that something has damaged, although the CLI wrote a whole object. Pure.

Whatever shares its terminal or its output may write into it: another object on the same line,
escape sequences, a byte order mark, NUL bytes. The line is kept as it came; what it decides must
not be lost, since a turn would wait for its `result` until EXEC_TIMEOUT.
"""

import re
from typing import Any

import simplejson

# How often a place is tried at which an object may begin.
TRIES_MAX = 16
_DECIDES = ("result", "control_request", "control_response", "control_cancel_request")
# Control sequences of terminals (ECMA-48: CSI, OSC), and what else no JSON text has outside of
# strings.
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[@-_]"
    r"|[\x00-\x08\x0b-\x1f\x7f\ufeff]"
)
_decoder = simplejson.JSONDecoder()


def salvaged(line: bytes) -> dict[str, Any] | None:
    """Return the object that a damaged line was to say: the last one that decides something, else
    the last whole one; None if there is none.

    A line of plain text that merely mentions an object says nothing: without what a terminal does
    not show, the line must begin or end as an object does.
    """
    text = _CONTROLS.sub("", line.decode("utf-8", errors="replace")).strip()
    if not (text.startswith("{") or text.endswith("}")):
        return None
    found = _objects(text)
    deciding = [value for value in found if value["type"] in _DECIDES]
    return next(iter(reversed(deciding or found)), None)


def _objects(text: str) -> list[dict[str, Any]]:
    """Return the whole objects of a text that have a type, in order.

    Where an object breaks off, the next one begins at the last brace before that place: the braces
    before it belong to the broken one.
    """
    found: list[dict[str, Any]] = []
    at = text.find("{")
    for _ in range(TRIES_MAX):
        if at < 0:
            break
        try:
            value, end = _decoder.raw_decode(text, at)
        except simplejson.JSONDecodeError as error:
            inner = text.rfind("{", at + 1, error.pos)
            at = inner if inner >= 0 else text.find("{", max(error.pos, at + 1))
            continue
        except RecursionError:
            break
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            found.append(value)
        at = text.find("{", end)
    return found
