"""Prepare what agents need before the first one starts, and clear up after the last."""

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actors.config.settings import Config
from actors.executor import sandbox, walls
from actors.executor.cli_facts import CliFacts
from actors.executor.cli_probe import CliProbe
from actors.executor.environment import agent_environment, home_problem
from actors.executor.sign_in import SignIn, sign_in
from actors.executor.walls import Walls
from actors.process_tree import children, ends, tree
from actors.process_tree.guardian import Guardian
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.server.caretaker import Caretaker
from actors.server.errors import StartFailed
from actors.server.system_limits import without_descriptors

logger = get_logger("claudehub.agents")

INSTALL_CLAUDE = (
    "install Claude Code (npm install -g @anthropic-ai/claude-code) or set CLAUDE_CMD to where it "
    "is; `claudehub demo` shows the hub without it"
)
AS_ROOT = (
    "RUNNING AGENTS AS ROOT: an agent does as root whatever a prompt, or a file that it reads, "
    "asks for. Make a user for agents and set AGENT_USER, or run the hub as that user"
)


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What this run of the server knows of its agents: marks, environment, walls, how they are
    signed in, and the CLI."""

    data_id: str
    run_id: str
    environment: Mapping[str, str]
    walls: Walls
    signed_in: SignIn
    cli: CliFacts


def faults(config: Config) -> list[str]:
    """Return what the system has against the settings of agents."""
    found = walls.faults(config.agent_limits, config.agent_user)
    command = config.claude_cmd[0]
    if shutil.which(command) is None:
        found.append(f"CLAUDE_CMD: {command!r} was not found; {INSTALL_CLAUDE}")
    if not found and sandbox.uses_sandbox(config.claude_cmd):
        found += _sandbox_faults(config)
    return found


def _sandbox_faults(config: Config) -> list[str]:
    """Return why agents cannot be started in their sandbox: each prompt would fail with the exit
    code 127."""
    around = _walls_of(config)
    problem = sandbox.problem(around.environment(agents_environment(config)), around)
    return [] if problem is None else [f"CLAUDE_CMD: {problem[0]}; {problem[1]}"]


def check_system() -> None:
    """Check what nothing can work without. Raises StartFailed."""
    if sys.platform != "linux":
        return
    try:
        own = Path("/proc/self/stat").read_text().split()[0]
    except OSError as error:
        own = error.strerror or str(error)
    if own != str(os.getpid()):
        raise StartFailed(
            f"/proc does not show this system's processes ({own}), and without it the hub cannot "
            "find what agents leave running; example: mount -t proc proc /proc"
        )


def end_strays(data_id: str) -> None:
    """End what an earlier server on this data folder has left behind."""
    if strays := ends.end_strays(tree.mark_of(data_id, "")):
        logger.warning("processes that an earlier server left behind were ended", count=strays)


def prepare(
    config: Config, data_id: str, clock: Clock, problems: Problems, stack: contextlib.ExitStack
) -> AgentFacts:
    """Prepare everything. Raises StartFailed."""
    around = _walls(config)
    environment = around.environment(agents_environment(config))
    if (problem := home_problem(environment, around.uid)) is not None:
        logger.warning("agents cannot keep what they need", problem=problem)
    if (problem := children.adopt_orphans()) is not None:
        logger.warning("orphans of agents cannot be reaped", problem=problem)
    run_id = _guard(data_id, clock, problems, stack)
    probe = {**environment, tree.MARK: tree.mark_of(data_id, f"{run_id}-probe")}
    cli = _ask_cli(config, probe, around, clock, problems)
    stack.callback(cli.close)  # before `_guard` ends what still answers
    return AgentFacts(
        data_id=data_id,
        run_id=run_id,
        environment=environment,
        walls=around,
        signed_in=sign_in(config.claude_cmd, environment, clock.now()),
        cli=cli,
    )


def _walls(config: Config) -> Walls:
    try:
        around = _walls_of(config)
    except KeyError as error:  # the user existed a moment ago
        raise StartFailed(f"AGENT_USER: {error}") from None
    if around.uid == 0:
        logger.warning(AS_ROOT)
    return around


def _walls_of(config: Config) -> Walls:
    """Return what surrounds agents. Raises KeyError without the user AGENT_USER."""
    return walls.raised_by(config.agent_limits, config.agent_user)


def agents_environment(config: Config) -> dict[str, str]:
    return agent_environment(
        os.environ,
        config.claude_env,
        delta_hold_ms=round(config.delta_hold * 1000),
        background=config.agent_background,
    )


def _guard(data_id: str, clock: Clock, problems: Problems, stack: contextlib.ExitStack) -> str:
    """Start the guardian, which stops behind the agents. Return the name of this run."""
    run_id = secrets.token_hex(4)
    marks = tree.mark_of(data_id, f"{run_id}-")
    caretaker = Caretaker(lambda: Guardian(marks), clock, problems)
    try:
        caretaker.begin()
    except OSError as error:
        reason = without_descriptors(error) or error
        raise StartFailed(f"the guardian of agents cannot be started: {reason}") from None
    stack.callback(caretaker.stop)
    stack.callback(_look_once_more, marks)
    return run_id


def _look_once_more(marks: str) -> None:
    """End what has hidden from the look at each end."""
    if found := ends.end_strays(marks, strangers=True):
        logger.warning("processes that agents had left behind were ended", count=found)
    children.reap()


def _ask_cli(
    config: Config,
    environment: Mapping[str, str],
    around: Walls,
    clock: Clock,
    problems: Problems,
) -> CliFacts:
    """Begin to ask the CLI what it is: it may take its time, and the port need not wait."""
    probe = CliProbe(config.claude_cmd, environment, around)
    facts = CliFacts(probe, problems=problems, clock=clock)
    facts.look()
    return facts
