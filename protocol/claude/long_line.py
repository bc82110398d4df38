"""A line that is longer than MAX_LINE_BYTES: what its two ends say about it. Pure.

The line is cut and never parsed. But a `result` must still end its turn, and a request must be
answered; otherwise an answer that is too long would use up the whole time limit. Quotation marks
inside of JSON text are escaped, and this code skips everything deeper than the outermost object. So
it never finds its marks in a model's words or in a tool's input.
"""

import re
from dataclasses import replace
from typing import NamedTuple

from protocol.claude.output import AgentLine, ControlRequest, TurnEnd, text_line

# Enough for the keys before and behind the long text, in the order of either version.
_HEAD_BYTES = 4 * 1024
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\]]|[^"{}\[\]]+', re.DOTALL)
_QUOTE = ord('"')
_RESULT = re.compile(rb'"type":\s?"result"')
_COUNT = re.compile(rb'"num_turns":\s?\d+')
_IS_ERROR = re.compile(rb'"is_error":\s?true')
_SESSION = re.compile(rb'"session_id":\s?"([A-Za-z0-9][A-Za-z0-9_-]{0,127})"')
_UUID = re.compile(rb'"user_message_uuid":\s?"([^"\\]{1,128})"')
_CONTROL = re.compile(rb'"type":\s?"control_request"')
_REQUEST_ID = re.compile(rb'"request_id":\s?"([^"\\]{1,256})"')
TOO_LONG = "The result is longer than MAX_LINE_BYTES; its beginning is in the log."


class Cut(NamedTuple):
    """What is known of a longer line: its true length, and its last bytes."""

    size_bytes: int
    tail: bytes


# A line without its newline, and what was cut off.
RawLine = tuple[bytes, Cut | None]


def _outermost(head: bytes) -> bytes:
    """Return a beginning without the objects and lists inside the outermost object: a tool's input
    may look like anything."""
    kept, depth = [], 0
    for token in _TOKEN.findall(head):
        depth -= token in (b"}", b"]")
        if depth == 1:
            kept.append(token)
        depth += token in (b"{", b"[")
    return b"".join(kept)


def _outermost_of_end(tail: bytes) -> bytes:
    """Do the same from the end, where strings can be told from the rest: a line ends outside of
    them."""
    kept, depth, at = bytearray(), 0, len(tail)
    while at > 0:
        at -= 1
        begin = at
        if tail[at] == _QUOTE:
            begin = _string_begin(tail, at)
        elif tail[at] in b"{[":
            depth -= 1
        if depth == 1:
            kept[:0] = tail[begin : at + 1]
        if tail[at] in b"}]":
            depth += 1
        at = begin
    return bytes(kept)


def _string_begin(tail: bytes, end: int) -> int:
    """Return where the string begins that ends with the quotation mark at `end`."""
    at = end
    while (at := tail.rfind(b'"', 0, at)) >= 0:
        before = tail[:at]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return at
    return 0


def long_line(head: bytes, tail: bytes, size_bytes: int) -> AgentLine:
    """Return what a cut line says; `head` is its kept beginning, `tail` its end."""
    begins = _outermost(head[:_HEAD_BYTES])
    ends = begins + b"\n" + _outermost_of_end(tail)
    asks = _REQUEST_ID.search(begins)
    if _CONTROL.search(begins) and asks is not None:
        request_id = asks[1].decode("utf-8", errors="replace")
        return AgentLine(None, b"", control=ControlRequest(request_id, "too_long", {}))
    shown = text_line(head, len(head), size_bytes)
    if not (_RESULT.search(ends) and _COUNT.search(ends)):
        return shown
    session, uuid = _SESSION.search(ends), _UUID.search(ends)
    return replace(
        shown,
        turn_end=TurnEnd(is_error=_IS_ERROR.search(ends) is not None, text=TOO_LONG, is_cut=True),
        session_id=session[1].decode("ascii") if session else None,
        uuids=(uuid[1].decode("utf-8", errors="replace"),) if uuid else (),
    )
