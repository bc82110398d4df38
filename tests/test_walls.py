"""The agent's walls, seen from inside: what it inherits, and what it cannot become."""

import contextlib
import os
import pwd
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import simplejson

from actors.config.faults import ConfigurationError
from actors.config.sources import load
from actors.executor import launcher, walls
from actors.executor.environment import home_problem
from actors.server.main import faults
from tests.harness import MOCK, HubProcess
from tests.processes import marked, wait_until

IS_ROOT = os.geteuid() == 0
NOBODY = "nobody"
LIMITS = "nofile=77 core=0 cpu=1h as=4GiB"


# An agent that is the shell script in the project's folder. (`.` would leave a descriptor open.)
SCRIPTED = shlex.join(["/bin/sh", "-c", 'exec >&2; eval "$(cat agent.sh)"; exit 3', "agent"])


def seen_inside(hub: HubProcess, script: str) -> str:
    """What that agent says on standard error."""
    name = f"p{len(list(hub.roots.iterdir()))}"
    (Path(hub.folder(name)) / "agent.sh").write_text(script)
    with hub.client() as client:
        client.request("project_create", path=hub.folder(name))
        end = client.run_after_join(name, "-x $(id) ; rm -rf /")
    assert (end["outcome"], end["exit_code"]) == ("error", 3), end
    return str(end["stderr"])


@contextlib.contextmanager
def scripted(scratch: Path, **settings: str) -> Iterator[HubProcess]:
    hub = HubProcess(scratch, CLAUDE_CMD=SCRIPTED, **settings).start()
    yield hub
    assert hub.stop() == 0


@pytest.fixture
def hub(share_hub: Any) -> HubProcess:
    """Without limits."""
    shared: HubProcess = share_hub(CLAUDE_CMD=SCRIPTED)
    return shared


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ()),
        (
            "nofile=4096 nproc=512 as=8GiB cpu=1h",
            (("nofile", 4096), ("nproc", 512), ("as", 8 << 30), ("cpu", 3600)),
        ),
        ("cpu=90,core=0", (("cpu", 90), ("core", 0))),
    ],
)
def test_agent_limits_are_read(given: str, expected: tuple[tuple[str, int], ...]) -> None:
    assert load({"agent_limits": given}).agent_limits == expected


@pytest.mark.parametrize(
    "given",
    """nofile|nofile=|nofile=many|nofile=0|nofile=-1|nofile=99999999999999999999|nproc=4.5|files=9
    as=8GiB as=1GiB|as=8 GiB|as=8 tons|cpu=soon|cpu=0s|cpu=1e400""".replace("\n", "|").split("|"),
)
def test_a_bad_limit_is_named(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^AGENT_LIMITS: .*; example: AGENT_LIMITS="):
        load({"agent_limits": given})


def test_limits_above_ones_own_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 100))
    assert walls.faults((("nofile", 100),), None) == []
    (fault,) = walls.faults((("nofile", 101),), None)
    assert "AGENT_LIMITS: nofile=101 is above" in fault and "nofile=100" in fault


def test_an_impossible_agent_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match="AGENT_USER: only a server that runs as root"):
        load({"agent_user": NOBODY, "claude_cmd": "sh"}, check=faults)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigurationError, match="AGENT_USER: 'no-such' is no user"):
        load({"agent_user": "no-such", "claude_cmd": "sh"}, check=faults)
    load({"agent_user": NOBODY, "claude_cmd": "sh"}, check=faults)


def test_the_environment_names_the_agents_user() -> None:
    user = walls.raised_by((), NOBODY)
    seen = user.environment({"HOME": "/root", "USER": "root", "TMPDIR": "/run/root", "TZ": "UTC"})
    home = pwd.getpwnam(NOBODY).pw_dir
    assert (seen["HOME"], seen["USER"], seen["LOGNAME"]) == (home, NOBODY, NOBODY)
    assert seen["TZ"] == "UTC" and "TMPDIR" not in seen
    assert home_problem({"HOME": "/"}, 1) is not None  # there, and somebody else's
    assert home_problem({"HOME": "/nonexistent"}, 1) is not None


def test_no_descriptor_of_the_servers_reaches_an_agent(hub: HubProcess, share_hub: Any) -> None:
    limited = share_hub(CLAUDE_CMD=SCRIPTED, AGENT_LIMITS=LIMITS)
    for each in (hub, limited):  # the launcher leaves none either
        seen = seen_inside(each, "ls /proc/$$/fd")
        assert seen.split() == ["0", "1", "2"]


def test_limits_are_inherited_by_what_the_agent_starts(share_hub: Any) -> None:
    grandchild = "sh -c 'ulimit -Hn; ulimit -n; ulimit -Hc; ulimit -t; ulimit -v'"
    seen = seen_inside(share_hub(CLAUDE_CMD=SCRIPTED, AGENT_LIMITS=LIMITS), grandchild)
    assert seen.split() == ["77", "77", "0", "3600", str(4 << 20)]


def test_limits_cannot_be_raised(passable: Path) -> None:
    """By anybody but root."""
    user = {"AGENT_USER": NOBODY} if IS_ROOT else {}
    with scripted(passable, AGENT_LIMITS="nofile=77", **user) as hub:
        seen = seen_inside(hub, "ulimit -Hn 78 || echo no")
    assert seen.splitlines()[-1] == "no"


def test_nothing_that_an_agent_starts_can_become_more(hub: HubProcess) -> None:
    if sys.platform == "linux":
        assert "NoNewPrivs:\t1" in seen_inside(hub, "sh -c 'cat /proc/self/status'")
    else:
        seen_inside(hub, "true")
        assert "no_new_privs" in hub.errors.read_text()


@pytest.fixture
def passable() -> Iterator[Path]:
    """A scratch folder that others may pass through, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="claudehub-walls-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder).resolve()


def test_an_agent_runs_as_its_user(passable: Path) -> None:
    """These are two tests, because only root can change the user."""
    if not IS_ROOT:
        hub = HubProcess(passable, AGENT_USER=NOBODY)
        with pytest.raises(AssertionError, match="AGENT_USER: only a server that runs as root"):
            hub.start()
        hub.stop()
        return
    nobody = pwd.getpwnam(NOBODY)
    script = "id -u; id -ru; id -G; echo $HOME $USER; ls /proc/$$/fd"
    for limits in ("", "nofile=64"):
        with scripted(passable, AGENT_USER=NOBODY, AGENT_LIMITS=limits) as hub:
            seen = seen_inside(hub, script).split()
            assert "Permission denied" in seen_inside(hub, f"cat {passable}/data/id")
        assert seen[:2] == [str(nobody.pw_uid)] * 2
        assert seen[2:] == [str(nobody.pw_gid), nobody.pw_dir, NOBODY, "0", "1", "2"]
    assert "RUNNING AGENTS AS ROOT" not in (passable / "stderr").read_text()


def test_a_folder_that_the_agents_user_may_not_enter_is_named(scratch: Path) -> None:
    if not IS_ROOT:
        return  # test_an_impossible_agent_user_is_refused
    hub = HubProcess(scratch, CLAUDE_CMD="/bin/true", AGENT_USER=NOBODY).start()
    folder = hub.folder("p")
    os.chmod(folder, 0o700)
    with hub.client() as client:
        client.request("project_create", path=folder)
        end = client.run_after_join("p", "x")
    assert hub.stop() == 0
    assert end["exit_code"] == 126
    assert f"may not enter {folder}: make it that user's" in end["stderr"]


def test_root_is_warned(hub: HubProcess) -> None:
    assert seen_inside(hub, "id -u").strip() == str(os.geteuid())
    warned = "RUNNING AGENTS AS ROOT" in hub.errors.read_text()
    assert warned == IS_ROOT


def test_a_missing_command_is_named_behind_a_launcher(scratch: Path) -> None:
    agent = scratch / "agent"
    agent.write_text("#!/bin/sh\nexit 3\n")
    agent.chmod(0o755)
    hub = HubProcess(scratch, CLAUDE_CMD=str(agent), AGENT_LIMITS="core=0").start()
    agent.unlink()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        end = client.run_after_join("p", "x")
    assert hub.stop() == 0
    assert (end["outcome"], end["exit_code"]) == ("error", 127)
    assert f"{agent} could not be started: No such file" in end["stderr"]


def test_a_broken_command_is_named_at_the_start(scratch: Path) -> None:
    """For example a sandbox that does not contain the program."""
    hub = HubProcess(scratch, CLAUDE_CMD="/bin/sh -c 'echo no such thing >&2; exit 5'").start()
    wait_until(lambda: "at --version: no such thing" in (scratch / "stderr").read_text())
    assert hub.stop() == 0
    assert "CLAUDE_CMD ends with 5 at --version" in (scratch / "stderr").read_text()


def test_a_probe_that_hangs_ends_with_the_server(scratch: Path) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        hub = HubProcess(scratch, CLAUDE_CMD="/bin/sh -c 'setsid sleep 977 & sleep 978'").start()
        wait_until(lambda hub=hub: len(marked(hub.data)) >= 2)
        hub.stop(how)
        wait_until(lambda hub=hub: not marked(hub.data))


def test_a_turn_works_within_limits(scratch: Path) -> None:
    command = shlex.join([sys.executable, str(MOCK)])
    limits = "nofile=256 nproc=4096 as=8GiB cpu=1h"
    hub = HubProcess(scratch, CLAUDE_CMD=command, AGENT_LIMITS=limits).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        first = client.run_after_join("p", "[[show:args]]")
        assert first["outcome"] == "success"
        # The agent's own arguments: the launcher is gone, and no prompt is among them.
        assert simplejson.loads(first["result"])[0] == "-p"
        assert client.run("p", "[[text:TWO]]")["result"] == "TWO"
    assert hub.stop() == 0


def test_the_launcher_gives_up_every_group_of_the_servers() -> None:
    if not IS_ROOT:
        return  # nobody else can become another
    arguments = [launcher.__file__, "core=0", "65534:65534:65534", "/usr/bin/id", "-G"]
    code = "import os, sys; os.setgroups([0, 4, 27]); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", code, sys.executable, "-I", "-S", *arguments]
    assert subprocess.check_output(command, text=True, cwd="/").split() == ["65534"]


def test_a_limit_that_cannot_be_set_is_named() -> None:
    limits = f"nofile={2**61}"
    command = [sys.executable, launcher.__file__, limits, "", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 126 and "AGENT_LIMITS: nofile=" in done.stderr


def test_processes_of_a_version_check_end_with_it(scratch: Path) -> None:
    script = "sleep 979 >/dev/null 2>&1 & echo 1.2.3"
    hub = HubProcess(scratch, CLAUDE_CMD=shlex.join(["/bin/sh", "-c", script])).start()
    with hub.client() as client:
        wait_until(lambda: client.request("health_check")["claude"] == "1.2.3")
    wait_until(lambda: not marked(hub.data))
    assert hub.stop() == 0
