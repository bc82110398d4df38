"""The environment of the server's own helper processes."""

import os

# What an interpreter needs to start as this one did. Agents of the same user can read a helper's
# environment, so it holds nothing else of the server's.
_NAMES = frozenset(("PATH", "LANG", "TMPDIR"))
_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")


def helper_environment(python_path: str) -> dict[str, str]:
    """Return the environment of a Python process of ours, which finds modules in `python_path`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
    return {**kept, "PYTHONPATH": python_path}
