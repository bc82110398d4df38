"""Nothing that the server starts can gain privileges: no set-uid program, no sudo."""

import sys

from actors.process_tree import prctl


def forgo() -> str | None:
    """Give privileges up for this thread and all later ones; so call it on the main thread before
    there are others. Children inherit it for ever (prctl(2), PR_SET_NO_NEW_PRIVS). Return the
    problem if it failed, else None."""
    if sys.platform != "linux":
        return "this system knows no no_new_privs: agents can use set-uid programs"
    if (reason := prctl.set_option(prctl.NO_NEW_PRIVILEGES, 1)) is not None:
        return f"no_new_privs could not be set ({reason}): agents can use set-uid programs"
    return None
