"""Agents in deploy/agent-in-bwrap. Needs bwrap and is run by .ci/walls, which sees to that."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import simplejson

from tests.harness import MOCK, ROOT, HubProcess, WireClient
from tests.processes import marked, wait_until

WRAPPER = ROOT / "deploy" / "agent-in-bwrap"
EDITS = {"permission_mode": "acceptEdits"}
MARKER = "for-the-eyes-of-two"


def command() -> str:
    """The mock and the Python that runs it are brought in, as any program outside /usr must be."""
    seen = {str(ROOT), sys.prefix, sys.base_prefix}
    binds = [word for path in sorted(seen) for word in ("--ro-bind", path, path)]
    return shlex.join([str(WRAPPER), *binds, "--", sys.executable, str(MOCK)])


@pytest.fixture
def hub(scratch: Path) -> Iterator[HubProcess]:
    home = scratch / "home"
    home.mkdir()
    process = HubProcess(
        scratch, CLAUDE_CMD=command(), HOME=str(home), CLAUDE_MOCK_SESSIONS=str(home / "sessions")
    )
    process.start()
    with process.client() as client:
        for name in ("one", "two"):
            client.request("project_create", path=process.folder(name))
    yield process
    process.stop()


def said(client: WireClient, command: str) -> str:
    """What a shell command of project one's agent printed."""
    client.run("one", f"[[tool:Bash:{command}]]", options={"allowed_tools": ["Bash"]})
    return simplejson.dumps(client.take())


def test_an_agent_works_in_its_folder(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_join", project_id="one")
        client.run("one", "[[tool:Write:made.txt:HELLO]]", options=EDITS)
        assert (hub.roots / "one" / "made.txt").read_text().strip() == "HELLO"
        session_id = client.run("one", "[[text:A]]")["session_id"]
    assert hub.stop() == 0
    hub.start()
    with hub.client() as client:  # its home, and so its sessions, outlive it
        client.request("project_join", project_id="one")
        assert client.run("one", "[[text:B]]")["session_id"] == session_id


def test_an_agent_cannot_read_what_is_not_its_own(hub: HubProcess) -> None:
    hidden = hub.roots / "two" / "secret"
    hidden.write_text(MARKER)
    (hub.roots / "one" / "link").symlink_to(hidden)
    with hub.client() as client:
        client.request("project_join", project_id="one")
        client.request("project_join", project_id="two")
        client.run("two", f"[[text:{MARKER}]]")  # into its transcript
        client.take()
        looks = [
            f"cat {hidden}",
            f"cat {hub.roots}/one/link",
            f"cat {hub.roots}/one/../two/secret",
            f"grep -rs {MARKER[:-1]} /tmp /root /home",
            f"cat {hub.data}/id",
            "cat /etc/shadow /root/.bashrc",
            "ls /home /root /var /srv /run",
            "cat /proc/1/root/etc/shadow",
        ]
        for look in looks:
            seen = said(client, look)
            assert MARKER not in seen, look
            assert "daemon:" not in seen, look  # of /etc/shadow
        (hub.roots / "one" / "mine").write_text("MY-OWN")
        assert "MY-OWN" in said(client, "cat mine")
        running = said(client, "cat /proc/*/cmdline")
        assert "mock_claude" in running and "serve" not in running


def test_nothing_is_left_of_a_sandbox(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_join", project_id="one")
        for how in ("[[stubborn]][[grandchild]][[doublefork]]", "[[naked]]"):
            asked = client.request("execute", project_id="one", prompt=f"{how}[[hang]]")
            client.wait_for("execution_started", execution_id=asked["execution_id"])
            wait_until(lambda: len(marked(hub.data)) > 2)
            client.request("agent_kill", project_id="one")
            client.wait_for("execution_finished", execution_id=asked["execution_id"])
            wait_until(lambda: not marked(hub.data))


def test_what_a_turn_leaves_behind_ends_with_it(hub: HubProcess) -> None:
    """While the sandbox stays, and the CLI in it."""
    with hub.client() as client:
        client.request("project_join", project_id="one")
        client.run("one", "[[text:A]]")
        before = marked(hub.data)
        for prompt in ("[[doublefork]]", "[[grandchild]]", "[[tool:Bash:setsid sleep 300 & true]]"):
            end = client.run("one", prompt, options={"allowed_tools": ["Bash"]})
            assert end["outcome"] == "success"
            assert marked(hub.data) == before, prompt


def test_a_server_that_is_killed_leaves_no_sandbox(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_join", project_id="one")
        asked = client.request("execute", project_id="one", prompt="[[grandchild]][[hang]]")
        client.wait_for("execution_started", execution_id=asked["execution_id"])
        wait_until(lambda: len(marked(hub.data)) > 2)
    hub.stop(9)
    wait_until(lambda: not marked(hub.data))


def test_a_folder_around_the_homes_is_refused(scratch: Path) -> None:
    done = subprocess.run(
        [str(WRAPPER), "--", "true"],
        cwd=scratch,
        env={"HOME": str(scratch), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 1
    assert "has the homes of all agents in it" in done.stderr
