"""What glibc's malloc keeps of freed memory, and what the garbage collector looks at."""

import gc
import os
from collections.abc import Mapping, MutableMapping

VARIABLE = "GLIBC_TUNABLES"
ARENAS_MAX = 1
LARGE_BYTES = 128 * 1024
# Each tunable with its value, and the variable of glibc that sets the same.
_TUNABLES = (
    ("glibc.malloc.arena_max", ARENAS_MAX, "MALLOC_ARENA_MAX"),
    ("glibc.malloc.mmap_threshold", LARGE_BYTES, "MALLOC_MMAP_THRESHOLD_"),
    ("glibc.malloc.tcache_count", 0, None),
)


def tunables(environment: Mapping[str, str]) -> str | None:
    """Return the value of GLIBC_TUNABLES that a server should have had at its start; None if it
    has what it should. glibc reads the variable once, before a program begins.

    - One heap for all threads. By default glibc has eight for each core, and each keeps the most
      that it has ever held. The threads take turns at the interpreter's lock, so more heaps are no
      faster.
    - No thread keeps freed blocks for itself. A hub has two threads for each connection; they
      kept 9 MiB after six minutes of bench/soak.py.
    - Blocks of LARGE_BYTES stay out of the heap: glibc takes them from the system, and gives them
      back at once. By default, as soon as one has been freed, it takes all blocks up to that size
      (32 MiB at most) from the heap. The small ones between them then keep the heap from shrinking.

    Whoever sets this variable is left alone, and each of glibc's other variables wins. Other C
    libraries have no such settings.
    """
    is_glibc = "CS_GNU_LIBC_VERSION" in os.confstr_names and os.confstr("CS_GNU_LIBC_VERSION")
    if not is_glibc or VARIABLE in environment:
        return None
    return _tunables(environment)


def forget_tunables(environment: MutableMapping[str, str]) -> None:
    """Take our value of GLIBC_TUNABLES out of the environment: it is for no other program."""
    if environment.get(VARIABLE) == _tunables(environment):
        del environment[VARIABLE]


def _tunables(environment: Mapping[str, str]) -> str:
    ours = (each for each in _TUNABLES if each[2] is None or each[2] not in environment)
    return ":".join(f"{name}={value}" for name, value, _ in ours)


def settle() -> None:
    """Take what the start has made, modules above all, out of the garbage collector's sight: it
    stays for good. A full collection stops all threads for as long as it looks."""
    gc.freeze()
