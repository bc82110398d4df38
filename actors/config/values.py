"""How the values of the configuration are written.

Each function takes what was given and raises ValueError; its text follows the variable's name.
"""

import os
import re
import shlex
from urllib.parse import unquote

import durationpy
from pydantic import BeforeValidator, ByteSize, TypeAdapter, ValidationError

from protocol.host import own_name

_SIZES = TypeAdapter(ByteSize)
# The limits of setrlimit(2) that an agent may have, and how each is written.
SIZE_LIMITS = ("as", "core", "data", "fsize", "memlock", "stack")
COUNT_LIMITS = ("nofile", "nproc")
TIME_LIMITS = ("cpu",)
LIMIT_MAX = 2**62
DAY_S = 86400.0
# A hundred years; the longest times that the system's calls take are not much longer.
DURATION_MAX_S = 36500 * DAY_S
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"/[^?#\s]*")

Limits = tuple[tuple[str, int], ...]


def seconds(value: object) -> object:
    """Return a duration, written as in Go, in seconds. Only 0 needs no unit."""
    if value in (0, "0"):
        return 0.0
    if not isinstance(value, str):
        raise ValueError("is not a duration: it has no unit")
    try:
        return durationpy.from_str(value).total_seconds()
    except (durationpy.DurationError, ValueError):
        raise ValueError("is not a duration") from None


def port(value: object) -> object:
    """Return a port, or None for `off`."""
    if value == "off":
        return None
    text = str(value)
    port = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if not 0 <= port <= 65535:
        raise ValueError("is no port (0 to 65535), and not off")
    return port


def metrics_port(value: object) -> object:
    if value == "off":
        raise ValueError("must be a number; 0 turns it off")
    return value


def words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    return tuple(words)


def separated(separator: str) -> BeforeValidator:
    def split(value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(separator) if part.strip())

    return BeforeValidator(split)


def existing_folders(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not os.path.isabs(path) or not os.path.isdir(path):
            raise ValueError(
                f"{path!r} is not an absolute path of an existing folder{_about_home(path)}"
            )
    return tuple(os.path.realpath(path) for path in paths)


def absolute(path: str) -> str:
    if not os.path.isabs(path):
        raise ValueError(f"must be an absolute path{_about_home(path)}")
    return path


def without_tilde(path: str) -> str:
    """Return the path. Raise ValueError for one that only a shell would understand."""
    if path.startswith("~"):
        raise ValueError("is no path here: '~' is not replaced; write the whole path")
    return path


def _about_home(path: str) -> str:
    return " ('~' is not replaced here; write the whole path)" if path.startswith("~") else ""


def path_prefix(path: str) -> str:
    """Return a path of a URL, decoded and without a slash at its end."""
    if path and not _PATH.fullmatch(path):
        raise ValueError("must be a path that begins with '/', without '?', '#' and spaces")
    return unquote(path.rstrip("/"))


def hub_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of a hub as they are compared."""
    found = []
    for name in names:
        try:
            found.append(own_name(name))
        except ValueError:
            raise ValueError(
                f"{name!r} is no host name; write names or addresses, without a scheme or a port"
            ) from None
    return tuple(found)


def variable_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of environment variables. A name with a value behind it would never match."""
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise ValueError("has a word that is no name of a variable; write names without values")
    return names


def limits(value: object) -> object:
    """Return `nofile=4096 as=8GiB cpu=1h` as pairs of a name and a number (files, processes, bytes,
    seconds)."""
    if not isinstance(value, str):
        return value
    found: dict[str, int] = {}
    for word in value.replace(",", " ").split():
        name, _, text = word.partition("=")
        if name not in (*SIZE_LIMITS, *COUNT_LIMITS, *TIME_LIMITS):
            known = ", ".join(sorted((*SIZE_LIMITS, *COUNT_LIMITS, *TIME_LIMITS)))
            raise ValueError(f"has no limit {name!r}; there are {known}")
        if name in found:
            raise ValueError(f"has {name} twice")
        found[name] = _limit(name, text)
    return tuple(found.items())


def _limit(name: str, text: str) -> int:
    try:
        if name in TIME_LIMITS:
            is_number = text.isascii() and text.isdecimal()
            number = int(text) if is_number else int(float(str(seconds(text))))
        elif name in SIZE_LIMITS:
            number = int(_SIZES.validate_python(text))
        else:
            number = int(text)
    except (ValueError, ValidationError):
        kinds = {"cpu": "a time, such as 1h"} | dict.fromkeys(SIZE_LIMITS, "a size, such as 8GiB")
        raise ValueError(f"{name}={text} is not {kinds.get(name, 'a number')}") from None
    # Nothing can run with 0 of these; for the others 0 means something.
    least = 0 if name in ("core", "memlock") else 1
    if not least <= number <= LIMIT_MAX:
        raise ValueError(f"{name}={text} must be from {least} to {LIMIT_MAX}")
    return number
