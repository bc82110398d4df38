"""Compare the shape of a message with a recorded one. It must have all of its fields, with the same
types and the same meaning; further fields are fine.

In a recorded message, `$time` stands for any time and `$execution-1` for an id: the same name
stands for the same id in all of a session.
"""

import re
from collections.abc import Iterator
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# Texts and numbers that mean something to programs. Of others, the type counts.
MEANT = frozenset(
    (
        "type",
        "id",
        "update_type",
        "code",
        "status",
        "state",
        "outcome",
        "reason",
        "origin",
        "decision",
        "by",
        "project_id",
        "path",
        "name",
        "tool",
        "prompt",
        "key",
        "user",
        "text",
        "field",
        "method",
        "namespace",
        "protocol",
        "seq",
        "first_seq",
        "last_seq",
        "old_session_id",
        "session_id",
        "position",
    )
)
# Lists in which a later version may name more.
MAY_GROW = frozenset(("protocols",))


class Names:
    """What the names of a recording stand for in this session."""

    def __init__(self, known: dict[str, str]) -> None:
        self._found = dict(known)

    def bind(self, name: str, value: object) -> str | None:
        """Note what a name stands for. Return what is wrong with it, or None."""
        if not isinstance(value, str) or not value:
            return f"{value!r} is no text for {name}"
        if name == "$time":
            return None if TIME.fullmatch(value) else f"{value!r} is no time"
        if name not in self._found:
            if value in self._found.values():
                return f"{value!r} is {name} and another one"
            self._found[name] = value
        known = self._found[name]
        return None if known == value else f"{value!r} is not {name}, which is {known!r}"

    def filled(self, message: Any) -> Any:
        """Return a recorded message with what its names stand for now."""
        if isinstance(message, dict):
            return {key: self.filled(value) for key, value in message.items()}
        if isinstance(message, list):
            return [self.filled(value) for value in message]
        if isinstance(message, str) and message.startswith("$"):
            name, slash, rest = message.partition("/")
            return self._found[name] + slash + rest
        return message


def differences(recorded: Any, found: Any, names: Names, path: str = "") -> Iterator[str]:
    """Yield what a later version has taken away, or changed."""
    if isinstance(recorded, dict):
        if not isinstance(found, dict):
            yield f"{path}: {found!r} is no object"
            return
        for key, value in recorded.items():
            if key in found:
                yield from differences(value, found[key], names, f"{path}.{key}")
            elif value is not None:  # null is the same as absent
                yield f"{path}.{key} is gone"
    elif isinstance(recorded, list):
        yield from _of_lists(recorded, found, names, path)
    elif (problem := _of_values(recorded, found, names, path.rpartition(".")[2])) is not None:
        yield f"{path}: {problem}"


def _of_lists(recorded: list[Any], found: Any, names: Names, path: str) -> Iterator[str]:
    if not isinstance(found, list):
        yield f"{path}: {found!r} is no list"
    elif path.rpartition(".")[2] in MAY_GROW:
        yield from (f"{path}: {value!r} is gone" for value in recorded if value not in found)
    elif len(recorded) != len(found):
        yield f"{path} has {len(found)} members in place of {len(recorded)}"
    else:
        for number, (one, other) in enumerate(zip(recorded, found, strict=True)):
            yield from differences(one, other, names, f"{path}[{number}]")


def _of_values(recorded: Any, found: Any, names: Names, field: str) -> str | None:
    if isinstance(recorded, str) and recorded.startswith("$"):
        return _of_names(recorded, found, names)
    if recorded is None or isinstance(recorded, bool) or field in MEANT:
        same = found == recorded and type(found) is type(recorded)
        return None if same else f"{found!r} in place of {recorded!r}"
    if isinstance(recorded, float) and type(found) is int:
        return None
    return None if type(found) is type(recorded) else f"{found!r} in place of {recorded!r}"


def _of_names(recorded: str, found: Any, names: Names) -> str | None:
    name, slash, rest = recorded.partition("/")
    if slash:
        if not isinstance(found, str) or not found.endswith(slash + rest):
            return f"{found!r} in place of {recorded!r}"
        found = found.removesuffix(slash + rest)
    return names.bind(name, found)
