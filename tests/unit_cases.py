"""The units under systemd-analyze. Needs systemd's programs, and is run by .ci/units, which sees to
that."""

import configparser
import subprocess
from pathlib import Path

import pytest

from actors.server.shutdown import stop_timeout_s
from claudehub.cli.service_files import STOP_TIMEOUT_S, Service, user_unit
from tests.harness import ROOT

UNIT = ROOT / "deploy" / "claudehub.service"
# systemd's figure times ten; it calls up to 2.9 "OK". Ours is 2.8.
EXPOSURE_MAX = 29


@pytest.fixture
def root(scratch: Path) -> Path:
    """Return a folder with the programs that the units name."""
    for program in ("opt/claudehub/bin/claudehub", "opt/my hub/100%/claudehub", "bin/kill"):
        file = scratch / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    return scratch


def verified(root: Path, unit: str, *options: str) -> None:
    """Raises AssertionError with what systemd says. It tells faults and mistypings alike."""
    file = root / "etc" / "systemd" / "system" / "claudehub.service"
    file.parent.mkdir(parents=True)
    file.write_text(unit)
    for target in ("network-online", "multi-user", "default", "sysinit", "basic", "shutdown"):
        (file.parent / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    words = ["systemd-analyze", "verify", f"--root={root}", "--man=no", *options, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_takes_the_unit_of_the_machine(root: Path) -> None:
    verified(root, UNIT.read_text())


@pytest.mark.parametrize("program", ["/opt/claudehub/bin/claudehub", "/opt/my hub/100%/claudehub"])
def test_systemd_takes_the_unit_of_a_user(root: Path, program: str) -> None:
    path = "/home/ann/my programs:/usr/bin"
    verified(root, user_unit(Service([program, "serve"], path, Path("/home/ann"))))


def test_the_check_finds_a_mistyped_line(root: Path) -> None:
    with pytest.raises(AssertionError, match="WatchdogSeconds"):
        verified(root, UNIT.read_text().replace("WatchdogSec=", "WatchdogSeconds="))


def exposure(unit: str, folder: Path) -> int:
    """Return the exit code of systemd's judgement: 0 up to EXPOSURE_MAX."""
    file = folder / "claudehub.service"
    file.write_text(unit)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    words += [f"--threshold={EXPOSURE_MAX}", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    print(done.stdout[done.stdout.index("→") :])
    return done.returncode


def test_the_service_is_exposed_to_less_than_three(scratch: Path) -> None:
    text = UNIT.read_text()
    assert exposure(text, scratch) == 0
    weaker = text.replace("NoNewPrivileges=yes\n", "").replace("ProtectSystem=strict\n", "")
    assert exposure(weaker, scratch) != 0, "the check must be able to fail"


def settings(unit: str) -> dict[str, str]:
    """Return the section [Service]; of a setting that comes twice, the last line."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    return dict(parser["Service"])


def test_both_units_are_run_in_the_same_way() -> None:
    machine = settings(UNIT.read_text())
    user = settings(user_unit(Service(["/bin/true"], "/bin", Path("/home/ann"))))
    same = "Type NotifyAccess ExecReload TimeoutStartSec WatchdogSec Restart RestartSec "
    same += "RestartPreventExitStatus KillMode TimeoutStopSec OOMPolicy"
    for name in same.split():
        assert machine[name] == user[name], name


def test_systemd_waits_longer_than_a_stop_takes() -> None:
    """It must, with the default settings: twice the hub's own deadline for its actors."""
    kill_grace_s = 5.0
    assert 2 * stop_timeout_s(kill_grace_s) < STOP_TIMEOUT_S
