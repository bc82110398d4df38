"""What glibc's malloc keeps of freed memory, and what the garbage collector looks at."""

import ctypes
import gc
import os

ARENAS_MAX = 2
LARGE_BYTES = 128 * 1024
# Parameters of mallopt, from malloc.h, with glibc's own variables for each.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_PARAMETERS = (
    ("MALLOC_ARENA_MAX", _M_ARENA_MAX, ARENAS_MAX),
    ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, LARGE_BYTES),
)


def limit_heaps() -> bool:
    """Let this process have at most ARENAS_MAX heaps, and no block of LARGE_BYTES in any of them.
    Return False where that is not done.

    By default glibc has eight heaps for each core, and each keeps the most that it has ever held. A
    hub has two threads for each connection, which take turns at the interpreter's lock, so more
    heaps are no faster.

    glibc takes a large block from the system, and gives it back at once. But as soon as one has
    been freed, it takes all blocks up to that size (32 MiB at most) from a heap. The small ones
    between them then keep the heap from shrinking: after ten minutes of bench/soak.py 19 MiB of
    43 MiB were free and kept. A threshold that is set stays.

    Whoever sets glibc's own variables is left alone. Other C libraries have no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "GLIBC_TUNABLES" in os.environ:
        return False
    ours = [each for each in _PARAMETERS if each[0] not in os.environ]
    return bool(ours) and all([mallopt(parameter, value) for _, parameter, value in ours])


def settle() -> None:
    """Take what the start has made, modules above all, out of the garbage collector's sight: it
    stays for good. A full collection stops all threads for as long as it looks."""
    gc.freeze()
