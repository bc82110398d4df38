"""What an agent has started gets SIGTERM and a moment to clean up, in every way in which a turn or
a process ends, with the mock and with both real programs; and nothing gets out of reach."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.agents import Agent, agents, hub_with
from tests.harness import HubProcess
from tests.processes import is_cli, marked, wait_until
from tests.test_conversations import Talk

# A program that holds a lock: it needs a moment to remove it. (Where the CLI has died, what a shell
# says of its ended child would go to a pipe without a reader, and end the shell.)
TIDY = """
exec > /dev/null 2>&1
trap 'sleep 0.3; touch trapped.$1; exit' TERM
touch ready.$1
while :; do sleep 0.02; done
"""
# One that does not listen.
STUBBORN = """
trap '' TERM
touch ready.$1
while :; do sleep 0.02; done
"""
# One that takes everything off by which it could be told, also the number that the kernel keeps.
STRANGER = """
import os, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_RTTIME, (1 << 40, 1 << 41))
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execve("/bin/sh", ["sh", *sys.argv[1:]], {})
"""
# A helper of the CLI, as an MCP server is one: it lives as long as the CLI's process.
WITH_HELPER = """
case "$*" in *--input-format*) sh {folder}/tidy.sh helper > /dev/null 2>&1 < /dev/null & ;; esac
exec {command} "$@"
"""
BASH = {"allowed_tools": ["Bash"]}


@pytest.fixture(scope="module", params=agents(), ids=str)
def agent(request: pytest.FixtureRequest) -> Agent:
    found: Agent = request.param
    return found


class Programs:
    """The programs above in a folder of this test, so their command lines are its alone."""

    def __init__(self, folder: Path, agent: Agent) -> None:
        self._folder = folder
        (folder / "tidy.sh").write_text(TIDY)
        (folder / "stubborn.sh").write_text(STUBBORN)
        (folder / "stranger.py").write_text(STRANGER)
        (folder / "agent.sh").write_text(WITH_HELPER.format(folder=folder, command=agent.command))
        self.agent = Agent(agent.version, f"sh {folder}/agent.sh", agent.is_real)

    def tidy(self, name: str) -> str:
        return f"sh {self._folder}/tidy.sh {name}"

    def stubborn(self, name: str) -> str:
        return f"sh {self._folder}/stubborn.sh {name}"

    def stranger(self, name: str) -> str:
        return f"{sys.executable} {self._folder}/stranger.py {self._folder}/tidy.sh {name}"

    def running(self) -> list[str]:
        """The names of those that run. A shell's child looks like the shell until its exec."""
        found: dict[int, tuple[int, str]] = {}
        for process in psutil.process_iter(["cmdline", "status", "ppid"]):
            words = process.info["cmdline"] or []
            is_ours = len(words) == 3 and words[1].startswith(f"{self._folder}/")
            if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                found[process.pid] = process.info["ppid"], words[2]
        return sorted(name for parent, name in found.values() if parent not in found)


@pytest.fixture
def programs(scratch: Path, agent: Agent) -> Programs:
    return Programs(scratch, agent)


@pytest.fixture
def hub(scratch: Path, programs: Programs) -> Iterator[HubProcess]:
    with hub_with(programs.agent, scratch, KILL_GRACE="3s") as running:
        yield running


def detached(command: str) -> str:
    """Code that starts a program in a session of its own, with its parent gone."""
    return f"(setsid {command} > /dev/null 2>&1 &)"


def when_ready(*names: str) -> str:
    return "; ".join(f"until test -e ready.{name}; do sleep 0.02; done" for name in names)


def begin(talk: Talk, programs: Programs, **options: object) -> str:
    """Start a turn that has left an orphan without a mark, runs a command, and has a helper."""
    orphan = detached(f"env -i {programs.tidy('orphan')}")
    code = f"{orphan}; {programs.tidy('command')}"
    execution_id = talk.start(f"[[tool:Bash:{code}]]", options={**BASH, **options})
    wait_until(lambda: set(programs.running()) == {"command", "helper", "orphan"})
    wait_until(lambda: set(marks(talk, "ready")) == {"command", "helper", "orphan"})
    return execution_id


def marks(talk: Talk, kind: str) -> list[str]:
    return sorted(path.suffix[1:] for path in talk.folder.glob(f"{kind}.*"))


def interrupt(talk: Talk) -> None:
    talk.interrupt()


def kill(talk: Talk) -> None:
    talk.client.request("agent_kill", project_id=talk.project_id)


def nothing(talk: Talk) -> None:
    """The time limit does it."""


@pytest.mark.parametrize(
    ("end", "limit_s", "outcome"),
    [(interrupt, None, "interrupted"), (kill, None, "killed"), (nothing, 5.0, "timeout")],
    ids=["interrupt", "kill", "timeout"],
)
def test_what_a_turn_runs_cleans_up_when_it_is_ended(
    hub: HubProcess,
    programs: Programs,
    end: Callable[[Talk], None],
    limit_s: float | None,
    outcome: str,
) -> None:
    with hub.client() as client:
        talk = Talk(programs.agent, hub, client, "p")
        talk.run("[[text:A]]")  # the time limit is not for the CLI's start
        limit = {} if limit_s is None else {"timeout_seconds": limit_s}
        execution_id = begin(talk, programs, **limit)
        end(talk)
        assert talk.end_of(execution_id)["outcome"] == outcome
        gone = ["command", "orphan"] if outcome != "killed" else ["command", "helper", "orphan"]
        assert marks(talk, "trapped") == gone
        assert programs.running() == [name for name in ["helper"] if name not in gone]


def test_what_a_turn_leaves_cleans_up_or_is_killed(hub: HubProcess, programs: Programs) -> None:
    """Also what has forged its mark, cleared its environment, or taken everything off."""
    left = {
        "orphan": programs.tidy("orphan"),
        "forged": f"env CLAUDEHUB_PROCESS_ID=x {programs.tidy('forged')}",
        "naked": f"env -i {programs.tidy('naked')}",
        "stranger": programs.stranger("stranger"),
        "stubborn": programs.stubborn("stubborn"),
    }
    code = "; ".join([*map(detached, left.values()), when_ready(*left)])
    with hub.client() as client:
        talk = Talk(programs.agent, hub, client, "p")
        talk.run("[[text:A]]")
        end = talk.run(f"[[tool:Bash:{code}]]", options=BASH)
        assert end["outcome"] == "success", end
        assert programs.running() == ["helper"]
        assert marks(talk, "trapped") == ["forged", "naked", "orphan", "stranger"]


def test_what_one_agent_leaves_does_not_end_with_another_ones_turn(
    hub: HubProcess, programs: Programs
) -> None:
    with hub.client() as client:
        one, other = (Talk(programs.agent, hub, client, name) for name in ("one", "other"))
        naked = detached(f"env -i {programs.tidy('naked')}")
        code = f"{naked}; {programs.tidy('command')}"
        execution_id = one.start(f"[[tool:Bash:{code}]]", options=BASH)
        wait_until(lambda: set(marks(one, "ready")) == {"command", "helper", "naked"})
        assert other.run("[[text:A]]")["outcome"] == "success"
        assert set(programs.running()) == {"command", "helper", "naked"}
        assert marks(one, "trapped") == []
        one.interrupt()
        one.end_of(execution_id)
        assert programs.running() == ["helper", "helper"]


@pytest.mark.parametrize("way", ["crash", "deletion", "stop", "kill -9", "kill -9 of both"])
def test_what_a_process_leaves_cleans_up_when_it_ends(
    hub: HubProcess, programs: Programs, way: str
) -> None:
    with hub.client() as client:
        talk = Talk(programs.agent, hub, client, "p")
        execution_id = begin(talk, programs)
        if way == "crash":
            os.kill(cli_of(hub), signal.SIGKILL)
            assert talk.end_of(execution_id)["outcome"] == "error"
            assert programs.running() == []
        elif way == "deletion":
            client.request("project_delete", project_id=talk.project_id)
            client.wait_for("project_deleted")
            assert programs.running() == []
    if way == "stop":
        assert hub.stop() == 0
        assert programs.running() == []
    elif way == "kill -9":
        hub.stop(signal.SIGKILL)
        wait_until(lambda: programs.running() == [])
    elif way == "kill -9 of both":
        hub.kill_with_guardian()
        hub.start()  # it ends strays before it listens
        assert programs.running() == []
    assert marks(talk, "trapped") == ["command", "helper", "orphan"]
    wait_until(lambda: marked(hub.data) == [] or way.startswith("kill"))


def cli_of(hub: HubProcess) -> int:
    """The pid of the only CLI of a hub."""
    children = psutil.Process(hub.pid).children()
    (found,) = [child.pid for child in children if is_cli(child)]
    return found


def test_a_process_that_is_let_go_leaves_nothing(hub: HubProcess, programs: Programs) -> None:
    with hub.client() as client:
        talk = Talk(programs.agent, hub, client, "p")
        talk.run("[[text:A]]")
        assert programs.running() == ["helper"]
        client.request("agent_new_session", project_id=talk.project_id)
        wait_until(lambda: programs.running() == [])
        assert marks(talk, "trapped") == ["helper"]


def test_an_interrupted_commit_leaves_no_lock(hub: HubProcess, programs: Programs) -> None:
    """git removes `.git/index.lock` at SIGTERM; after a SIGKILL every later commit failed."""
    with hub.client() as client:
        talk = Talk(programs.agent, hub, client, "p")
        hook = talk.folder / ".git" / "hooks" / "pre-commit"
        lock = talk.folder / ".git" / "index.lock"
        subprocess.run(["git", "init", "-q", str(talk.folder)], check=True)
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\ntouch ready.hook\nsleep 300\n")
        hook.chmod(0o755)
        (talk.folder / "a").write_text("a")
        names = "-c user.name=a -c user.email=a@localhost"
        code = f"git add a; git {names} commit -a -m made"
        execution_id = talk.start(f"[[tool:Bash:{code}]]", options=BASH)
        wait_until(lambda: marks(talk, "ready") == ["helper", "hook"] and lock.exists())
        talk.interrupt()
        assert talk.end_of(execution_id)["outcome"] == "interrupted"
        assert not lock.exists()
