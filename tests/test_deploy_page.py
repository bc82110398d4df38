"""docs/deploy.md, docs/upgrade.md and deploy/compose.yaml: who may come in, and whether the
commands find what they need. The commands for root run below a scratch folder, and note what they
would have done to the machine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from claudehub.cli.main import main
from tests.fences import fences, pages
from tests.harness import MOCK, ROOT

PAGE = ROOT / "docs" / "deploy.md"
COMPOSE = ROOT / "deploy" / "compose.yaml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJAhZQ7sn1AEOPOzvfbAcCbqtuJSPD9nb9jTEFvKPqMb me\n"
# What only root can do, or what takes minutes.
NOTED = ("python3", "useradd", "chown", "systemctl", "sudo")
TAKEN = ("/opt/claudehub", "/var/lib/claudehub", "/etc", "/run/claudehub")
TIMEOUT_S = 60.0


def block(page: Path, words: str) -> str:
    (found,) = [fence.text for fence in fences(page) if words in fence.text]
    return found


class Machine:
    """A machine below a scratch folder, as far as the pages need one."""

    def __init__(self, scratch: Path) -> None:
        self.root = scratch / "machine"
        self.home = self.root / "var/lib/claudehub"
        self.config = self.root / "etc/claudehub/config.toml"
        self._stubs = scratch / "stubs"
        self._calls = scratch / "calls"
        self._calls.touch()
        (self.root / "etc/systemd/system").mkdir(parents=True)
        share = self.root / "opt/claudehub/share/claudehub"
        share.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "claudehub.service", share)
        for name in NOTED:
            self._program(self._stubs / name, f'echo {name} "$@" >>{self._calls}')
        programs = self.root / "opt/claudehub/bin"
        self._program(programs / "pip", f'echo pip "$@" >>{self._calls}')
        python = f"PYTHONPATH={ROOT} exec {sys.executable} -m claudehub"
        self._program(programs / "claudehub", f'{python} "$@"')

    @staticmethod
    def _program(file: Path, line: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)

    def here(self, text: str) -> str:
        """Return a text with its paths below the scratch folder."""
        folders = "|".join(map(re.escape, TAKEN))
        return re.sub(rf"(?<![\w/.])({folders})\b", lambda m: f"{self.root}{m[1]}", text)

    def run(self, commands: str) -> None:
        path = f"{self._stubs}:/usr/bin:/bin"
        subprocess.run(
            ["sh", "-ec", self.here(commands)],
            env={"PATH": path, "HOME": str(self.root)},
            check=True,
            timeout=TIMEOUT_S,
        )

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    def as_hub(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as `sudo -iu claudehub` does: in a login shell, with nothing of ours."""
        return subprocess.run(
            ["sh", "-lc", command],
            env={"HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )


@pytest.fixture
def machine(scratch: Path) -> Machine:
    machine = Machine(scratch)
    machine.run(block(PAGE, "useradd --system"))
    # Where the socket is, so that the files are those of a hub on this very machine.
    machine.config.write_text(machine.here(machine.config.read_text()))
    return machine


def clients(scratch: Path, config: Path) -> str:
    """Return who may come in, as `serve --check` says it."""
    environment: dict[str, str | None] = dict.fromkeys(os.environ)
    environment |= {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    environment["CLAUDE_CMD"] = shlex.join([sys.executable, str(MOCK)])
    found = CliRunner().invoke(main, ["serve", "--check", "--config", str(config)], env=environment)
    (line,) = [x for x in found.stdout.splitlines() if x.startswith("clients: ")] or [found.output]
    return line.removeprefix("clients: ")


def test_the_machines_hub_lets_nobody_in_but_its_own_user(scratch: Path, machine: Machine) -> None:
    path = machine.root / "run/claudehub/hub.sock"
    assert clients(scratch, machine.config) == f"the server's own user, through {path}"


def test_each_configuration_on_the_page_wants_a_key(scratch: Path) -> None:
    blocks = [fence.text for fence in fences(PAGE) if fence.language == "toml"]
    assert blocks
    keys = scratch / "authorized_keys"
    keys.write_text(KEY)
    keys.chmod(0o600)
    for number, text in enumerate(blocks):
        config = scratch / f"{number}.toml"
        config.write_text(text.replace("/etc/claudehub/authorized_keys", str(keys)))
        assert clients(scratch, config) == f"who has one of 1 keys of {keys}"


def test_the_hubs_user_finds_the_commands_the_socket_and_the_data(machine: Machine) -> None:
    found = machine.as_hub("command -v claudehub").stdout.strip()
    assert found == str(machine.root / "opt/claudehub/bin/claudehub")
    path = f"{machine.home}/.local/bin"
    assert path in machine.as_hub('echo "$PATH"').stdout.split(":"), "the CLI's own installer"
    health = machine.as_hub("claudehub health")
    assert health.returncode == 7
    assert f"nothing listens at unix:{machine.root}/run/claudehub/hub.sock" in health.stderr
    logs = machine.as_hub("claudehub log verify")
    assert f"no logs in {machine.home}/.local/state/claudehub" in logs.stderr
    unit = (ROOT / "deploy" / "claudehub.service").read_text()
    assert "\nWorkingDirectory=/var/lib/claudehub\n" in unit, "the home that useradd is given"
    assert "DATA_DIR" not in unit, "the data is where the user's own commands look"


def test_an_upgrade_of_the_machines_hub_uses_its_own_files(machine: Machine) -> None:
    data = machine.home / ".local/state/claudehub"
    data.mkdir(parents=True)
    before = len(machine.calls())
    machine.run(block(ROOT / "docs" / "upgrade.md", "systemctl daemon-reload"))
    pip, *rest = machine.calls()[before:]
    assert pip.startswith("pip install dist/claudehub-") and pip.endswith(".whl")
    assert rest == [
        "systemctl daemon-reload",
        "systemctl restart claudehub",
        "sudo -iu claudehub claudehub health",
        "sudo -iu claudehub claudehub log verify",
    ]


def test_nothing_installs_claudehub_by_its_name_from_an_index() -> None:
    """Whoever registers the name there would be run."""
    name = re.compile(
        r"(pipx?|uvx?)\s+(tool\s+)?(install|inject|add|run)\s+(-\S+\s+)*['\"]?"
        r"claudehub(?![-/.\w]|`\s+would)"
    )
    code = [f for room in ("actors", "claudehub", "deploy") for f in (ROOT / room).rglob("*")]
    files = [*pages(), ROOT / "setup.py", *(f for f in code if f.suffix not in (".pyc", ""))]
    found = [f"{f}: {m[0]}" for f in files if f.is_file() for m in name.finditer(f.read_text())]
    assert found == []
    assert name.search("pip install claudehub") and name.search("pipx install 'claudehub[tui]'")


# -- the container ---------------------------------------------------------------------------------


def test_metrics_leave_the_container_with_the_two_lines_of_the_page() -> None:
    lines = COMPOSE.read_text().splitlines(keepends=True)
    taken = [line.replace("# ", "", 1) if "9464" in line else line for line in lines]
    assert len([line for line in lines if "9464" in line]) == 2, "docs/deploy.md says two"
    hub = yaml.safe_load("".join(taken))["services"]["hub"]
    assert hub["environment"]["METRICS_PORT"] == 9464
    assert "127.0.0.1:9464:9464" in hub["ports"]
    assert "METRICS_PORT" not in yaml.safe_load("".join(lines))["services"]["hub"]["environment"]


def test_every_command_of_compose_names_its_file() -> None:
    for file in (PAGE, COMPOSE, ROOT / "deploy" / "Dockerfile"):
        for command in re.findall(r"docker compose\b.*", file.read_text()):
            assert command.startswith("docker compose -f deploy/compose.yaml "), command
