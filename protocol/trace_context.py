"""`traceparent`, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/). Pure."""

import re
from dataclasses import dataclass

_KNOWN = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The span of a client that a prompt belongs to; `flags` says whether it is recorded."""

    trace_id: str
    parent_id: str
    flags: int

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}"


def parsed(text: str | None) -> TraceParent | None:
    """Return what a traceparent says; None for none, and for one that is malformed.

    The recommendation has receivers ignore a malformed one and begin a new trace: a prompt must not
    fail because of what observes it. A version that is not known is read like version 00.
    """
    found = None if text is None else _KNOWN.fullmatch(text)
    if found is None:
        return None
    version, trace_id, parent_id, flags, rest = found.groups()
    is_known = version != "ff" and not (version == "00" and rest)
    if not is_known or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return TraceParent(trace_id, parent_id, int(flags, 16))
