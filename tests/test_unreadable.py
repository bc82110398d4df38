"""What an agent of the server's own user can read of the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.runtime.helper_environment import helper_environment
from tests.harness import ROOT, HubProcess
from tests.test_walls import SCRIPTED, seen_inside

SECRET = "marker-of-nobodys-business"
# Without capabilities root is a user like others (capabilities(7)): PR_CAPBSET_DROP, then exec.
WITHOUT_CAPABILITIES = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
for capability in range(64):
    libc.prctl(24, ctypes.c_ulong(capability), 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class UnprivilegedHub(HubProcess):
    """A hub that may read others no more than any user."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", WITHOUT_CAPABILITIES, *super().command()]


@pytest.fixture
def hub(scratch: Path) -> Iterator[HubProcess]:
    settings = {"CLAUDE_CMD": SCRIPTED, "DATABASE_PASSWORD": SECRET}
    hub = UnprivilegedHub(scratch, **settings).start()
    yield hub
    assert hub.stop() == 0


def read_by_agent(hub: HubProcess, pid: int) -> str:
    """What an agent gets of a process: its environment, descriptors, map and memory."""
    return seen_inside(
        hub,
        f"""if cd /proc/{pid}; then
        cat environ && echo READ
        head -c 0 fd/2 && echo READ
        head -n 1 maps && echo READ
        head -c 0 mem && echo READ
        fi""",
    )


def test_an_agent_cannot_read_the_server(hub: HubProcess) -> None:
    seen = read_by_agent(hub, hub.pid)
    assert "ermission denied" in seen
    if sys.platform == "linux":
        assert "READ" not in seen and SECRET not in seen
        assert "PR_SET_DUMPABLE" not in hub.errors.read_text()


def test_an_agent_is_a_process_like_others(hub: HubProcess) -> None:
    """It can be debugged, and leaves core files: the exec has ended the server's state."""
    seen = seen_inside(hub, "sh -c 'cat /proc/$PPID/environ > /dev/null && echo readable'")
    assert seen == "readable\n"
    assert psutil.Process(hub.pid).is_running()


def test_an_agent_finds_no_secret_in_the_servers_helpers(hub: HubProcess) -> None:
    helpers = psutil.Process(hub.pid).children(recursive=True)
    assert any("guardian" in " ".join(helper.cmdline()) for helper in helpers)
    for helper in helpers:
        assert SECRET not in read_by_agent(hub, helper.pid)


def test_a_helper_gets_what_an_interpreter_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/tmp/x")
    given = helper_environment("/the/path")
    assert SECRET not in given.values()
    assert (given["PYTHONPATH"], given["PYTHONPYCACHEPREFIX"]) == ("/the/path", "/tmp/x")
    assert given["PATH"] == os.environ["PATH"]


OWN_READS = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from actors.server.unreadable import become  # now: the user below may not enter its folder
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
assert become() is None
fd = os.open("/", os.O_RDONLY)
assert str(fd) in os.listdir("/proc/self/fd")
assert os.stat(f"/proc/self/fd/{fd}").st_ino == os.stat("/").st_ino
where = subprocess.run(["/bin/pwd"], cwd=f"/proc/self/fd/{fd}", capture_output=True, check=True)
for name in ("stat", "statm", "status", "cgroup", f"task/{os.getpid()}/children"):
    open(f"/proc/self/{name}").close()
try:
    open("/proc/self/environ").close()
except PermissionError:
    print(where.stdout.decode().strip())
"""


def test_the_server_can_still_read_itself() -> None:
    """As an ordinary user: what the code reads in /proc/self, and a start in a folder that is held
    open."""
    if sys.platform != "linux":
        return
    command = [sys.executable, "-I", "-S", "-c", OWN_READS, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.stdout, done.stderr) == ("/\n", "")
