"""What runs agents: the CLI, its sign-in, its user, its sandbox and the guardian."""

import contextlib
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator

from actors.doctor.finding import Finding, Level, Setup, fault, of_line, ok, warning
from actors.executor import sandbox, walls
from actors.executor.cli_probe import CliProbe
from actors.executor.environment import home_problem
from actors.executor.sign_in import SIGN_IN, SIGN_IN_OF_SANDBOX, sign_in
from actors.executor.walls import NO_WALLS, Walls
from actors.process_tree import ends, tree
from actors.process_tree.guardian import Guardian
from actors.server import agent_setup
from actors.server.errors import StartFailed

TRIED_WITH = "2.1.197 and 2.1.331"


def _walls(setup: Setup) -> Walls:
    """Return what surrounds agents; nothing if the settings of that have faults, which `user`
    names."""
    config = setup.config
    if walls.faults(config.agent_limits, config.agent_user):
        return NO_WALLS
    return walls.raised_by(config.agent_limits, config.agent_user)


def _environment(setup: Setup) -> dict[str, str]:
    return _walls(setup).environment(agent_setup.agents_environment(setup.config))


def _marks() -> str:
    """Return the beginning of marks that no process has yet."""
    return tree.mark_of(secrets.token_hex(8), f"{secrets.token_hex(4)}-")


@contextlib.contextmanager
def _tried(setup: Setup) -> Iterator[dict[str, str]]:
    """Give an agent's environment to what is started within this context, and end all that stays of
    it. If this program is killed meanwhile, a guardian does that."""
    marks = _marks()
    try:
        guardian = Guardian(marks)
    except OSError:  # the check `guardian` says so
        guardian = None
    try:
        yield {**_environment(setup), tree.MARK: f"{marks}probe"}
    finally:
        ends.end_strays(marks)
        if guardian is not None:
            guardian.stop()


def cli(setup: Setup) -> Iterator[Finding]:
    command = setup.config.claude_cmd
    if (path := shutil.which(command[0], path=setup.environment.get("PATH"))) is None:
        yield fault(f"CLAUDE_CMD: {command[0]!r} was not found", agent_setup.INSTALL_CLAUDE)
        return
    around = _walls(setup)
    with _tried(setup) as environment:
        if sandbox.uses_sandbox(command) and sandbox.problem(environment, around) is not None:
            return  # nothing runs in that sandbox; its check says why
        found = CliProbe(command, environment, around).ask()
    if found.failure is not None:
        words = shlex.join([*command, "--version"])
        yield fault(found.failure, f"correct CLAUDE_CMD until this works: {words}")
    elif found.version is None:
        yield warning(
            f"{path} does not say which version of Claude Code it is",
            f"{path} --version; the hub is tried with {TRIED_WITH}",
        )
    else:
        yield ok(f"Claude Code {found.version} ({path})")


def signed_in(setup: Setup) -> Iterator[Finding]:
    """Look at the sign-in without asking the API, so that a key may still be refused by it."""
    environment = _environment(setup)
    found = sign_in(setup.config.claude_cmd, environment, setup.clock.now())
    if found.problem is not None:
        in_sandbox = str(found).endswith(SIGN_IN_OF_SANDBOX)
        remedy = SIGN_IN_OF_SANDBOX if in_sandbox else SIGN_IN
        yield warning(str(found).removesuffix(remedy).rstrip(":; "), remedy)
    elif found.how is None:
        yield ok("not known: the keychain of this system may have one")
    else:
        yield ok(str(found))
    if (problem := home_problem(environment, _walls(setup).uid)) is not None:
        yield warning(
            problem, "start the hub with HOME set to a folder that the user of agents can write"
        )


def user(setup: Setup) -> Iterator[Finding]:
    config = setup.config
    faults = walls.faults(config.agent_limits, config.agent_user)
    yield from map(of_line, faults)
    if faults:
        return
    if config.agent_user is not None:
        yield ok(f"agents run as {config.agent_user}")
    elif os.geteuid() == 0:
        yield warning(
            "agents would run as root: they do as root whatever a prompt asks for",
            "useradd --create-home agent, and AGENT_USER=agent; or run the hub as another user",
        )
    else:
        yield ok(f"agents run as the hub does, uid {os.geteuid()}")


def sandboxed(setup: Setup) -> Iterator[Finding]:
    """Try bwrap: as a fault if agents need it, else only to say whether it could be used."""
    is_needed = sandbox.uses_sandbox(setup.config.claude_cmd)
    with _tried(setup) as environment:
        problem = sandbox.problem(environment, _walls(setup))
    if problem is None:
        use = "agents run in it" if is_needed else "agents do not run in it (docs/security.md)"
        yield ok(f"bwrap works here; {use}")
    elif is_needed:
        yield Finding(Level.FAULT, *problem)
    else:
        yield ok(f"not used, and not possible here: {problem[0]}")


def guarded(setup: Setup) -> Iterator[Finding]:
    """Start a guardian, the process that ends agents if the server dies, and stop it again."""
    try:
        guardian = Guardian(_marks())
    except OSError as error:
        yield fault(f"no process can be started: {error}", "ulimit -u; docs/tuning.md")
        return
    guardian.stop()
    yield ok("starts and stops")
    try:
        agent_setup.check_system()
    except StartFailed as error:
        yield of_line(str(error))
