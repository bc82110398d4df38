"""How many heaps glibc's malloc keeps for the threads of the server."""

import ctypes
import os

ARENAS_MAX = 2
_M_ARENA_MAX = -8  # malloc.h
_OWN_WORD = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def limit() -> bool:
    """Let this process have at most ARENAS_MAX heaps; return False where that is not done.

    By default glibc has eight for each core, and each keeps the most that it has ever held. A hub
    has two threads for each connection, which take turns at the interpreter's lock, so more heaps
    are no faster. Its memory grew for hours, until each heap had once met the largest messages
    (bench/soak.py). Whoever sets glibc's own variables is left alone, and other C libraries have
    no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name in os.environ for name in _OWN_WORD):
        return False
    return bool(mallopt(_M_ARENA_MAX, ARENAS_MAX))
