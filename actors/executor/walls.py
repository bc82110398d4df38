"""What stands between an agent and the rest of the machine: another user, and limits."""

import os
import pwd
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.executor import launcher

# Of the server's session, and perhaps not for another user's eyes.
_OF_THE_SERVERS_USER = frozenset(("TMPDIR",))


@dataclass(frozen=True, slots=True)
class AgentUser:
    """As the system knows it."""

    name: str
    uid: int
    gid: int
    groups: Sequence[int]
    home: str
    shell: str

    @staticmethod
    def find(name: str) -> "AgentUser":
        """Raises KeyError."""
        found = pwd.getpwnam(name)
        groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
        return AgentUser(
            found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir, found.pw_shell
        )

    def as_argument(self) -> str:
        """For the launcher."""
        return f"{self.uid}:{self.gid}:{','.join(map(str, self.groups))}"


@dataclass(frozen=True, slots=True)
class Walls:
    """`limits`: names of setrlimit(2) in lower case. With none of both, agents run as the
    server does."""

    limits: Sequence[tuple[str, int]] = ()
    user: AgentUser | None = None

    @property
    def uid(self) -> int:
        """Whom agents run as."""
        return os.geteuid() if self.user is None else self.user.uid

    def command(self, argv: Sequence[str]) -> list[str]:
        """What is really started. A launcher costs 11 ms, so there is none where it has nothing to
        do; it is isolated (-I -S), so that nothing in the agent's folder or environment is run."""
        if not self.limits and self.user is None:
            return list(argv)
        limits = ",".join(f"{name}={number}" for name, number in self.limits)
        user = "" if self.user is None else self.user.as_argument()
        return [sys.executable, "-I", "-S", launcher.__file__, limits, user, *argv]

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """With the names and the home of the agents' user."""
        if self.user is None:
            return dict(ours)
        kept = {name: value for name, value in ours.items() if name not in _OF_THE_SERVERS_USER}
        name, home = self.user.name, self.user.home
        return {**kept, "USER": name, "LOGNAME": name, "HOME": home, "SHELL": self.user.shell}


NO_WALLS = Walls()


def faults(limits: Sequence[tuple[str, int]], user: str | None) -> list[str]:
    """What the system has against AGENT_LIMITS and AGENT_USER."""
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
        found.append(f"AGENT_USER: {user!r} is no user of this machine; example: AGENT_USER=nobody")
    return found


def raised_by(limits: Sequence[tuple[str, int]], user: str | None) -> Walls:
    """Raises KeyError where the user is gone since `faults` looked."""
    return Walls(limits=limits, user=None if user is None else AgentUser.find(user))
