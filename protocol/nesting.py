"""How deep a JSON value may be nested that the hub writes again, and not only passes on."""

from typing import Any

# pydantic gives up at some 255 levels, the encoder at the interpreter's own limit.
DEPTH_MAX = 100


def is_too_deep(value: Any) -> bool:
    """Whether objects and lists lie in each other more than DEPTH_MAX times."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
