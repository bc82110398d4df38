"""Other processes of the same user cannot read the server: agents run as that user, unless
AGENT_USER is set."""

import sys

from actors.process_tree import prctl


def become() -> str | None:
    """Close `environ`, `fd`, `mem` and `maps` in the server's `/proc` folder to its own user, and
    the server to debuggers (prctl(2), PR_SET_DUMPABLE; proc(5)). The server leaves no core file
    then. Its own threads can still read what they need (tests/test_unreadable.py). An exec ends it,
    so agents are as usual. Return the problem if it failed, else None.

    Deleting a variable (unsetenv) would not help: `environ` shows the memory of the start.
    """
    if sys.platform != "linux":
        return "this system cannot hide a process: agents of the same user can read the server"
    if (reason := prctl.set_option(prctl.DUMPABLE, 0)) is not None:
        return f"PR_SET_DUMPABLE failed ({reason}): agents of the same user can read the server"
    return None
