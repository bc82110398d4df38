"""deploy/claudehub.service under systemd, as docs/deploy.md installs it.

It needs root and debootstrap, and is run by .ci/container, which sees to that."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted import Booted, put
from tests.fences import fences
from tests.harness import ROOT
from tests.image import carry_out, copy_source, make_debian
from tests.processes import wait_until

SHOP = "/var/lib/claudehub/projects/shop"
MOCK = "python3 /mock/mock_claude.py"
WALLED = f"/opt/claudehub/share/claudehub/agent-in-bwrap --ro-bind /mock /mock -- {MOCK}"


def as_user(*words: str) -> list[str]:
    """Return the command as `sudo -iu claudehub claudehub …` runs it: in a login shell."""
    return ["runuser", "-l", "claudehub", "-c", shlex.join(["claudehub", *words])]


def install(root: Path) -> None:
    """Run the commands of docs/deploy.md, but for the two that need a wheel and a running
    systemd."""
    copy_source(root / "src")
    page = ROOT / "docs" / "deploy.md"
    (block,) = [f.text for f in fences(page) if "useradd --system" in f.text]
    wheel = "install dist/claudehub-0.1.0-py3-none-any.whl\n"
    assert wheel in block
    commands = block.replace(wheel, "install --no-cache-dir /src\n")
    commands = commands.replace("systemctl enable --now claudehub", "")
    carry_out(root, f"set -e\n{commands}")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    scratch = tmp_path_factory.mktemp("system").resolve()
    root = scratch / "debian"
    packages = ("systemd-sysv", "bubblewrap", "ca-certificates", "python3-venv", "procps")
    make_debian(root, *packages)
    install(root)
    for file in (ROOT / "tests").glob("mock_*.py"):
        put(root, file, f"/mock/{file.name}")
    carry_out(root, f"install -d -o claudehub -g claudehub {SHOP}")
    with Booted(root) as booted:
        yield booted
    subprocess.run(["rm", "-rf", str(scratch)], check=True)


def configure(system: Booted, command: str) -> None:
    file = system.root / "etc" / "claudehub" / "config.toml"
    lines = file.read_text().splitlines()
    kept = [line for line in lines if line.startswith(("socket", "ws_port"))]
    assert len(kept) == 2, "docs/deploy.md sets the socket, and no port"
    more = [f"claude_cmd = {command!r}", "min_free_bytes = 0"]
    file.write_text("\n".join([*kept, *more]) + "\n")


@pytest.fixture
def hub(system: Booted) -> Iterator[Booted]:
    configure(system, MOCK)
    system.must("systemctl", "restart", "claudehub")
    yield system
    system.must("systemctl", "stop", "claudehub")


def shown(system: Booted, *names: str) -> dict[str, str]:
    said = system.must("systemctl", "show", "claudehub", f"--property={','.join(names)}")
    return dict(line.split("=", 1) for line in said.splitlines())


def test_it_is_started_when_clients_can_connect(hub: Booted) -> None:
    assert hub.must(*as_user("health")) == "ok\n"
    assert "hello" in hub.must(*as_user("run", SHOP, "[[text:hello]]"))


def test_a_reload_ends_when_the_settings_are_read(hub: Booted) -> None:
    before = shown(hub, "MainPID")
    hub.must("systemctl", "reload", "claudehub")
    wait_until(lambda: shown(hub, "ActiveState")["ActiveState"] == "active")
    assert shown(hub, "MainPID") == before
    log = hub.must("journalctl", "--no-pager", "-u", "claudehub")
    assert "SIGHUP" in log or "read again" in log


def test_a_sandbox_works_within_the_walls_of_the_unit(hub: Booted) -> None:
    configure(hub, WALLED)
    hub.must("systemctl", "restart", "claudehub")
    outside = "/var/lib/claudehub/escaped"
    words = f"[[tool:Bash:touch {outside}; touch inside]]"
    hub.must(*as_user("run", SHOP, "--permission-mode", "acceptEdits", words))
    assert (hub.root / SHOP.lstrip("/") / "inside").exists()
    assert not (hub.root / outside.lstrip("/")).exists()


def test_after_a_crash_it_comes_back_and_loses_nothing(hub: Booted) -> None:
    before = shown(hub, "MainPID", "NRestarts")
    hub.must("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "claudehub")
    wait_until(lambda: shown(hub, "NRestarts") != {"NRestarts": before["NRestarts"]})
    wait_until(lambda: hub.run(*as_user("health")) == (0, "ok\n"))
    assert shown(hub, "MainPID")["MainPID"] != before["MainPID"]
    assert "hello" in hub.must(*as_user("history", "shop"))


def test_a_stop_lets_the_hub_end_its_agents(hub: Booted) -> None:
    hub.must(*as_user("run", "shop", "--detach", "[[hang]]"))
    hub.must("systemctl", "stop", "claudehub")
    stopped = shown(hub, "Result", "ExecMainStatus", "ActiveState")
    assert stopped == {"Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}
    hub.must("systemctl", "start", "claudehub")
    assert "killed" in hub.must(*as_user("history", "shop")), "it says how the prompt ended"


def test_a_fault_in_the_configuration_is_not_tried_again(hub: Booted) -> None:
    hub.must("systemctl", "stop", "claudehub")
    file = hub.root / "etc" / "claudehub" / "config.toml"
    file.write_text(file.read_text() + "no_such_setting = 1\n")
    assert hub.run("systemctl", "start", "claudehub")[0] != 0
    state = shown(hub, "ActiveState", "ExecMainStatus")
    assert state == {"ActiveState": "failed", "ExecMainStatus": "2"}
    hub.must("systemctl", "reset-failed", "claudehub")
