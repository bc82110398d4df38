"""How deeply a JSON value may be nested that the hub writes again, and does not only pass on."""

from typing import Any

# pydantic gives up at about 255 levels, the encoder at the interpreter's limit.
DEPTH_MAX = 100


def is_too_deep(value: Any) -> bool:
    """Return True if objects and lists are nested more than DEPTH_MAX times."""
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
