"""Agents in deploy/agent-in-bwrap. Needs bwrap and is run by .ci/walls, which sees to that."""

import secrets
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
MARKER = f"for-the-eyes-of-two-{secrets.token_hex(8)}"  # not in this file, which is in the sandbox


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
        scratch, CLAUDE_CMD=command(), HOME=str(home), CLAUDE_MOCK_SESSIONS="/agent-home/sessions"
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
        note = f"[[tool:Bash:echo {MARKER} > $HOME/note; cat $HOME/note]]"
        client.run("two", note, options={"allowed_tools": ["Bash"]})
        assert MARKER in simplejson.dumps(client.take())
        client.take()
        looks = [
            f"cat {hidden}",
            f"cat {hub.roots}/one/link",
            "cat $HOME/note",
            f"cat {hub.roots}/one/../two/secret",
            f"grep -rs {MARKER[:-1]} {hub.scratch} /agent-home /root /home",
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


def test_processes_of_a_turn_end_with_it(hub: HubProcess) -> None:
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


def run_in(folder: Path, home: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WRAPPER), "--", *command],
        cwd=folder,
        env={"HOME": home, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.mark.parametrize("below", [".", ".local", ".local/state/claudehub-agents"])
def test_a_folder_around_the_homes_is_refused(scratch: Path, below: str) -> None:
    (scratch / ".local" / "state" / "claudehub-agents").mkdir(parents=True)
    link = scratch.with_name("link-to-home")
    link.symlink_to(scratch)
    for home in (str(scratch), f"{scratch}/", str(link)):
        done = run_in(scratch / below, home, "true")
        assert done.returncode == 1, home
        assert "has the homes of all agents in it" in done.stderr
    link.unlink()


def test_folders_whose_names_differ_by_a_newline_are_two(scratch: Path) -> None:
    for name in ("x", "x\n"):
        (scratch / name).mkdir()
        (scratch / name / f"in-{len(name)}").touch()
        done = run_in(scratch / name, str(scratch / "home"), "sh", "-c", "ls; touch $HOME/x; ls ~")
        assert done.stdout == f"in-{len(name)}\nx\n"
    assert len(list((scratch / "home/.local/state/claudehub-agents").iterdir())) == 2


def test_an_agent_puts_a_link_where_its_folder_is_mounted(scratch: Path) -> None:
    """In its home, which it keeps: bwrap must not follow it at the next start."""
    home, other = scratch / "home", scratch / "home" / "src" / "other"
    project = home / "src" / "project"
    project.mkdir(parents=True)
    other.mkdir()
    script = (
        f"mkdir -p $HOME/src; mv $HOME/src $HOME/old; ln -s /oldroot{other} $HOME/src; mv {home} x"
    )
    for _ in range(3):
        run_in(project, str(home), "sh", "-c", script)
    assert run_in(project, str(home), "pwd").stdout == f"{project}\n"
    assert list(other.iterdir()) == []


def starts_in_namespaces(before: str) -> subprocess.CompletedProcess[str]:
    """Start an empty sandbox in a mount namespace in which a command has run before."""
    sandbox = "bwrap --ro-bind / / --unshare-all --proc /proc --dev /dev true"
    words = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f"{before} && {sandbox}",
    ]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_covered_proc_keeps_a_sandbox_from_starting() -> None:
    """The reason for what deploy/claudehub.service leaves out: it would cover parts of /proc."""
    assert starts_in_namespaces("true").returncode == 0
    covered = starts_in_namespaces("mount --bind /proc/sys /proc/sys")
    assert covered.returncode != 0 and "mount proc" in covered.stderr
