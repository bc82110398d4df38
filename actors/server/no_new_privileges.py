"""Nothing that the server starts can gain privileges: no set-uid program, no sudo."""

import ctypes
import os
import sys

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def forgo() -> str | None:
    """Give privileges up for this thread and all later ones; so call it on the main thread before
    there are others. Children inherit it for ever (prctl(2), PR_SET_NO_NEW_PRIVS). Return the
    problem if it failed, else None."""
    if sys.platform != "linux":
        return "this system knows no no_new_privs: agents can use set-uid programs"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"no_new_privs could not be set ({reason}): agents can use set-uid programs"
    return None
