"""A small program between the server and an agent: it limits itself, becomes the agents' user, then
the agent. Everything that the agent starts inherits this.

It is a program of its own because a process with threads may run no Python between fork and exec.
It changes the user by itself, because that user may not be able to run the server's Python.
"""

import os
import resource
import sys
from typing import NoReturn

# The exit codes of a shell for a command that may not run, and for one that is not found.
REFUSED, NOT_FOUND = 126, 127


def launch(limits: str, user: str, command: list[str]) -> NoReturn:
    """Become the agent. `limits` is `nofile=4096,as=8589934592`, `user` is `UID:GID:GROUP,GROUP`;
    both may be empty."""
    for pair in filter(None, limits.split(",")):
        name, _, value = pair.partition("=")
        number = int(value)
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (number, number))
        except (OSError, ValueError) as error:
            _give_up(f"AGENT_LIMITS: {pair} cannot be set: {error}", REFUSED)
    if user:
        uid, gid, groups = user.split(":")
        # In this order: without root's rights the groups could not be changed.
        os.setgroups([int(group) for group in groups.split(",")])
        os.setresgid(int(gid), int(gid), int(gid))
        os.setresuid(int(uid), int(uid), int(uid))
        _check_folder(uid)
    try:
        os.execvp(command[0], command)  # noqa: S606 - without a shell, as it must be
    except OSError as error:
        _give_up(f"{command[0]} could not be started: {error.strerror}", NOT_FOUND)


def _check_folder(uid: str) -> None:
    """Check the folder by its name: the agent will use that."""
    try:
        folder = os.getcwd()
    except OSError as error:
        _give_up(f"the project's folder is gone: {error.strerror}", REFUSED)
    if not os.access(folder, os.R_OK | os.X_OK):
        advice = "make it that user's, and let that user pass through the folders above it"
        _give_up(f"AGENT_USER (uid {uid}) may not enter {folder}: {advice}", REFUSED)


def _give_up(reason: str, code: int) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    sys.exit(code)


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2], sys.argv[3:])
