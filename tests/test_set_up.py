"""bin/set_up.py: started twice at once, interrupted half way, pointed at a foreign environment."""

import importlib.util
import os
import socket
import subprocess
import sys
import sysconfig
import venv as venv_module
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT

TIMEOUT_S = 120

# Something that every new environment has already: nothing is downloaded here.
SETUP_CFG = (
    "[options]\ninstall_requires =\n    pip\n[options.extras_require]\n"
    "tui =\notel =\ndev =\n    pip\n"
)


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


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, with no settings of pip."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "bin" / "set_up.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return module


def test_without_a_network_one_line_says_so(
    set_up: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = iter([socket.gaierror(-2, "Name or service not known"), TimeoutError()])

    def connect(address: object, timeout_s: float) -> None:
        assert address == ("pypi.org", 443) and timeout_s < 2
        raise next(failures)

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(SystemExit) as ended:
        set_up.check_network()
    assert ended.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "Name or service not known" in said[0] and "start again" in said[0]
    set_up.check_network()  # a slow network is left to pip
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "https_proxy", "PIP_NO_INDEX"])
def test_an_index_of_ones_own_is_left_to_pip(
    set_up: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "https://packages.example.org")
    assert set_up.index_host() is None


def test_an_index_in_a_file_of_pip_is_left_to_pip(set_up: Any, tmp_path: Path) -> None:
    assert set_up.index_host() == "pypi.org"
    file = tmp_path / "config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text("[global]\nextra-index-url = https://more.example.org\n")
    assert set_up.index_host() == "pypi.org"
    file.write_text("[global]\nindex-url = https://packages.example.org\n")
    assert set_up.index_host() is None


def test_a_half_made_environment_begins_again(
    checkout: Path,
    set_up: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    venv = checkout / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text("")
    (venv / "pyvenv.cfg").write_text("")
    (venv / ".claudehub-half-made").touch()
    monkeypatch.setattr(set_up, "check_network", lambda: None)
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
