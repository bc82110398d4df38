"""bin/set_up.py: started twice at once, interrupted half way, pointed at a foreign environment."""

import importlib.util
import subprocess
import sys
import sysconfig
import venv as venv_module
from pathlib import Path

import pytest

from tests.harness import ROOT

TIMEOUT_S = 120

# Something that every new environment has already: nothing is downloaded here.
SETUP_CFG = "[options]\ninstall_requires =\n    pip\n[options.extras_require]\ndev =\n    pip\n"


def start(checkout: Path, venv: Path, kind: str = "run") -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "bin" / "set_up.py"), str(checkout), str(venv), kind]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "setup.cfg").write_text(SETUP_CFG)
    return tmp_path


def test_two_at_once_install_once(checkout: Path) -> None:
    venv = checkout / "venv"
    both = [start(checkout, venv), start(checkout, venv)]
    words = [said(process) for process in both]
    assert sum("making" in text for text in words) == 1
    assert sum("ready" in text for text in words) == 1
    assert (venv / ".claudehub-run").read_text() == SETUP_CFG
    assert said(start(checkout, venv)) == ""
    # A change of setup.cfg installs again, into the same environment; dev covers run.
    (checkout / "setup.cfg").write_text(SETUP_CFG + "\n")
    text = said(start(checkout, venv, "dev"))
    assert "installing 2" in text and "making" not in text
    assert said(start(checkout, venv)) == ""


def test_a_half_made_environment_begins_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    venv = checkout / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text("")
    (venv / "pyvenv.cfg").write_text("")
    (venv / ".claudehub-half-made").touch()
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "bin" / "set_up.py")
    assert spec is not None and spec.loader is not None
    set_up = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(set_up)
    # Without pip, which takes long; the test above makes a whole one.
    without_pip = venv_module.EnvBuilder(symlinks=True)
    monkeypatch.setattr(venv_module, "EnvBuilder", lambda **_: without_pip)
    set_up.make_venv(venv)
    assert "making" in capsys.readouterr().err
    assert not (venv / ".claudehub-half-made").exists()
    assert subprocess.run([venv / "bin" / "python", "-c", ""], check=False).returncode == 0


def test_a_failing_pip_shows_its_output(checkout: Path) -> None:
    venv = checkout / "venv"
    # Made without pip, which takes long, and lent ours.
    venv_module.create(venv, symlinks=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib"))
    (checkout / "setup.cfg").write_text(SETUP_CFG.replace("    pip\n", "    ./no-such-thing\n", 1))
    process = start(checkout, venv)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "no-such-thing" in errors and "Starting again goes on" in errors
    assert not (venv / ".claudehub-run").exists()
