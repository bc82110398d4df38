"""What a process asks of the kernel for itself (prctl(2)). Linux only."""

import ctypes
import os

DUMPABLE, CHILD_SUBREAPER, NO_NEW_PRIVILEGES = 4, 36, 38  # linux/prctl.h


def set_option(option: int, value: int) -> str | None:
    """Set one option. Return the reason if the kernel refused it, else None."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) == 0:
        return None
    return os.strerror(ctypes.get_errno())
