"""Nothing that the server starts can become more than it is: no set-uid program, no sudo."""

import ctypes
import os
import sys

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def forgo() -> str | None:
    """For this thread and all that are made from now on, so on the main thread before there are
    others; inherited for ever, and never taken back (prctl(2), PR_SET_NO_NEW_PRIVS). The problem
    where it could not be done."""
    if sys.platform != "linux":
        return "this system knows no no_new_privs: agents can use set-uid programs"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"no_new_privs could not be set ({reason}): agents can use set-uid programs"
    return None
