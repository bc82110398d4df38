"""What separates an agent from the rest of the machine: another user, and resource limits."""

import os
import pwd
import resource
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.executor import launcher

# These belong to the server's user, and another user may not be allowed to see them.
_OF_THE_SERVERS_USER = frozenset(("TMPDIR",))


@dataclass(frozen=True, slots=True)
class AgentUser:
    """A user as the system knows it."""

    name: str
    uid: int
    gid: int
    groups: Sequence[int]
    home: str
    shell: str

    @staticmethod
    def find(name: str) -> "AgentUser":
        """Return a user by name. Raises KeyError."""
        found = pwd.getpwnam(name)
        groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
        return AgentUser(
            found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir, found.pw_shell
        )

    def as_argument(self) -> str:
        """Return the user as the launcher reads it."""
        return f"{self.uid}:{self.gid}:{','.join(map(str, self.groups))}"


@dataclass(frozen=True, slots=True)
class Walls:
    """`limits` has names of setrlimit(2) in lower case. Without limits and user, agents run as the
    server does."""

    limits: Sequence[tuple[str, int]] = ()
    user: AgentUser | None = None

    @property
    def uid(self) -> int:
        """Return the uid that agents run as."""
        return os.geteuid() if self.user is None else self.user.uid

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that is really started. A launcher costs 11 ms, so there is none if it
        has nothing to do. It runs isolated (-I -S), so it runs nothing from the agent's folder or
        environment."""
        if not self.limits and self.user is None:
            return list(argv)
        limits = ",".join(f"{name}={number}" for name, number in self.limits)
        user = "" if self.user is None else self.user.as_argument()
        return [sys.executable, "-I", "-S", launcher.__file__, limits, user, *argv]

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with the names and the home of the agents' user."""
        if self.user is None:
            return dict(ours)
        kept = {name: value for name, value in ours.items() if name not in _OF_THE_SERVERS_USER}
        name, home = self.user.name, self.user.home
        return {**kept, "USER": name, "LOGNAME": name, "HOME": home, "SHELL": self.user.shell}


NO_WALLS = Walls()


def faults(limits: Sequence[tuple[str, int]], user: str | None) -> list[str]:
    """Return what the system has against AGENT_LIMITS and AGENT_USER."""
    found = []
    for name, number in limits:
        _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        if os.geteuid() != 0 and hard != resource.RLIM_INFINITY and number > hard:
            found.append(
                f"AGENT_LIMITS: {name}={number} is above this server's own hard limit; "
                f"example: AGENT_LIMITS={name}={hard}"
            )
    if user is None:
        return found
    if os.geteuid() != 0:
        found.append(
            "AGENT_USER: only a server that runs as root can run agents as somebody else; "
            "example: unset AGENT_USER"
        )
    try:
        AgentUser.find(user)
    except KeyError:
        found.append(
            f"AGENT_USER: {user!r} is no user of this machine; make it, or name another one; "
            f"example: useradd --create-home {shlex.quote(user)}"
        )
    return found


def raised_by(limits: Sequence[tuple[str, int]], user: str | None) -> Walls:
    """Return the walls. Raises KeyError if the user has disappeared since `faults` looked."""
    return Walls(limits=limits, user=None if user is None else AgentUser.find(user))
