"""How the older server, a Go program, wrote values. Each function raises ValueError, whose text
follows the name of what was read."""

import re
from fractions import Fraction

INT64_MAX = 2**63 - 1
SECOND_NS = 10**9
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,  # the Greek letter: Go takes both
    "ms": 10**6,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_SIZE = re.compile(r"([-+]?[0-9]+)\s*(GB|MB|KB|B|)")
_SIZE_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
# No number that means anything has more characters.
_CHARS_MAX = 100


def duration_ns(text: str) -> int:
    """Return a duration such as `1h30m` in nanoseconds."""
    if len(text) > _CHARS_MAX or not _DURATION.fullmatch(text):
        raise ValueError("is not a duration such as 5m or 30s")
    parts = [Fraction(number.rstrip(".")) * _UNITS_NS[unit] for number, unit in _PART.findall(text)]
    sign = -1 if text.startswith("-") else 1
    return _int64(sign * int(sum(parts)))


def duration_text(nanoseconds: int) -> str:
    """Return a duration that is not negative as people write it, such as `1h30m`."""
    if nanoseconds < SECOND_NS:
        for unit in ("ms", "us", "ns"):
            if nanoseconds and nanoseconds % _UNITS_NS[unit] == 0:
                return f"{nanoseconds // _UNITS_NS[unit]}{unit}"
        return "0s"
    seconds, rest_ns = divmod(nanoseconds, SECOND_NS)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    fraction = f".{rest_ns:09d}".rstrip("0").rstrip(".")
    words = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    words.append(f"{seconds}{fraction}s" if seconds or fraction else "")
    return "".join(words)


def whole_number(text: str) -> int:
    """Return a whole number."""
    if len(text) > _CHARS_MAX or not _WHOLE.fullmatch(text):
        raise ValueError("is not a whole number")
    return _int64(int(text))


def size_bytes(text: str) -> int:
    """Return a size such as `1MB`, whose units are powers of 1024, in bytes."""
    found = None if len(text) > _CHARS_MAX else _SIZE.fullmatch(text.strip().upper())
    if found is None:
        raise ValueError("is not a size such as 1048576 or 1MB")
    if found[1].startswith("-"):
        raise ValueError("is negative")
    return _int64(int(found[1]) * _SIZE_UNITS[found[2]])


def truth(text: str) -> bool:
    """Return whether a switch is on."""
    if text not in (*_TRUE, *_FALSE):
        raise ValueError("is neither true nor false")
    return text in _TRUE


def _int64(number: int) -> int:
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise ValueError("is too large")
    return number
