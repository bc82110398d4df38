"""How long the arguments of a process may be: the system refuses to start one with more (E2BIG)."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Linux: one argument, with its end, has 32 pages at most (execve(2), MAX_ARG_STRLEN).
PAGES_OF_ONE_MAX = 32
# The kernel grants this much, however small the stack's limit is (execve(2)).
ALL_BYTES_LEAST = 128 * 1024
# A quarter of the stack's limit is for arguments and environment (execve(2)).
STACK_SHARE = 4
POINTER_BYTES = 8
# For what is added to each start: the fixed arguments, a session, the mark, the program's path.
RESERVED_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ArgumentSpace:
    """How many bytes one option's argument may have, and all options together."""

    one_bytes: int
    all_bytes: int


def argument_space(
    command: Sequence[str], environment: Mapping[str, str], limits: Sequence[tuple[str, int]] = ()
) -> ArgumentSpace:
    """Return the space that CLAUDE_CMD and the environment leave for options. `limits` is
    AGENT_LIMITS."""
    total = os.sysconf("SC_ARG_MAX")
    if (stack := dict(limits).get("stack")) is not None:
        total = min(total, max(ALL_BYTES_LEAST, stack // STACK_SHARE))
    used = [*command, *(f"{name}={value}" for name, value in environment.items())]
    left = total - RESERVED_BYTES - sum(_size_bytes(word) for word in used)
    one = os.sysconf("SC_PAGE_SIZE") * PAGES_OF_ONE_MAX if sys.platform == "linux" else total
    return ArgumentSpace(one_bytes=max(0, min(one, left)), all_bytes=max(0, left))


def _size_bytes(word: str) -> int:
    return len(os.fsencode(word)) + 1 + POINTER_BYTES
