"""Find key blocks in a text: what stands from `-----BEGIN …-----` to `-----END …-----`.

A log may have a prefix in front of each line of a block, a whole block in one line of JSON, or only
a part of a block, because it is cut off.
"""

import re
from collections.abc import Iterator, Sequence

# RFC 7468, and RFC 4716 with four dashes.
_MARK = re.compile(r"-{4,5} ?(BEGIN|END)\b[^-\n]{0,64}(?:-{4,5})?")
# The end of a line that may be one of a block: base64, nothing, or a header of the block.
_CONTENT = re.compile(
    r"(?:(?:^|[\s:|>\"'])[A-Za-z0-9+/]*={0,2}(?:\\[rn])*[\"',;]*"
    r"|\b(?:Proc-Type|DEK-Info|Comment|Subject): [^\"]*)\s*\Z"
)
_LINE_CHARS_MAX = 200
# A key of RSA with 16,384 bits has 205 lines, and lines of other threads may stand between.
BLOCK_LINES_MAX = 1_000
_Span = tuple[int, int]


def without_key_blocks(text: str, hidden: str) -> str:
    """Return the text with `hidden` in place of each block. Of a block without its beginning or its
    end everything is taken out that may be of it."""
    pieces: list[str] = []
    at = 0
    for start, end in _spans(text):
        if start > at or not pieces:
            pieces.append(text[at:start])
        at = max(at, end)
    return hidden.join([*pieces, text[at:]])


def _spans(text: str) -> Iterator[_Span]:
    """Yield where blocks begin and end, in order."""
    begin: re.Match[str] | None = None
    last = 0  # the end of the mark before: no part of another block is in front of it
    for mark in _MARK.finditer(text):
        if mark[1] == "BEGIN":
            if begin is not None:
                yield begin.start(), _end_of_rest(text, begin.end(), mark.start())
            begin = mark
        elif begin is None:
            yield _start_of_rest(text, last, mark.start()), mark.end()
        elif text.count("\n", begin.end(), mark.start()) <= BLOCK_LINES_MAX:
            yield begin.start(), mark.end()
            begin = None
        else:
            yield begin.start(), _end_of_rest(text, begin.end(), mark.start())
            yield _start_of_rest(text, last, mark.start()), mark.end()
            begin = None
        last = mark.end()
    if begin is not None:
        yield begin.start(), _end_of_rest(text, begin.end(), len(text))


def _end_of_rest(text: str, at: int, stop: int) -> int:
    """Return the end of a block that has no end mark: of its line, and of the lines behind that may
    be of the block. None of it is behind `stop`."""
    lines = text[at:stop].split("\n", BLOCK_LINES_MAX + 1)
    return at + _chars(lines[0], lines[1 : BLOCK_LINES_MAX + 1])


def _start_of_rest(text: str, least: int, at: int) -> int:
    """Return the start of a block that has no mark at its beginning. None of it is before
    `least`."""
    lines = text[least:at].rsplit("\n", BLOCK_LINES_MAX + 1)[::-1]
    return at - _chars(lines[0], lines[1 : BLOCK_LINES_MAX + 1])


def _chars(first: str, others: Sequence[str]) -> int:
    """Return the length of the first line and of those next to it that may be of a block."""
    count = len(first)
    for line in others:
        if not _CONTENT.search(line[-_LINE_CHARS_MAX:]):
            break
        count += 1 + len(line)
    return count
