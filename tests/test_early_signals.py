"""A signal while `claudehub serve` starts, and while it ends: SIGHUP and SIGUSR1 end nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, TIMEOUT_S, HubProcess
from tests.processes import wait_until

# It runs the server, and sends itself a signal when a module is about to be imported.
AT_IMPORT = """
import os, signal, sys
from importlib import abc
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it
number, module = int(sys.argv.pop(1)), sys.argv.pop(1)
class Signal(abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Signal())
from claudehub.__main__ import main
main()
"""
# The module that reads the command line is the first one; when the other is imported, the
# configuration is known.
FIRST, LATE = "claudehub.cli.main", "actors.server.main"


class Signalled(HubProcess):
    """A server that gets a signal during its imports."""

    number: int = signal.SIGHUP
    module = FIRST

    def command(self) -> list[str]:
        return [sys.executable, "-c", AT_IMPORT, str(int(self.number)), self.module, "serve"]


@pytest.fixture
def signalled(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    hub = Signalled(scratch)
    yield hub
    if hub.is_running():
        hub.stop()


@pytest.mark.parametrize("module", [FIRST, LATE])
def test_a_sighup_during_the_imports_is_a_reread_after_the_start(
    signalled: Signalled, module: str
) -> None:
    signalled.module = module
    signalled.start()
    wait_until(lambda: "configuration read again" in signalled.errors.read_text())
    assert signalled.stop() == 0


def test_a_sigusr1_during_the_imports_ends_nothing(signalled: Signalled) -> None:
    signalled.number = signal.SIGUSR1
    signalled.start()
    assert signalled.stop() == 0
    assert "configuration read again" not in signalled.errors.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_imports_begins_nothing(signalled: Signalled, number: int) -> None:
    signalled.number = number
    ended = subprocess.run(
        signalled.command(),
        env=signalled.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not signalled.data.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_behind_the_first_line_is_taken(scratch: Path, number: int) -> None:
    hub = HubProcess(scratch)
    with subprocess.Popen(
        hub.command(), env=hub.environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "claudehub starts" in process.stderr.readline()
        process.send_signal(number)
        said = ""
        if number != signal.SIGTERM:
            while "clients may come in" not in said:
                said = process.stderr.readline()
            process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(TIMEOUT_S) == 0
    assert said.rstrip().endswith("stopped")


def test_the_launcher_hands_a_server_to_a_python_that_no_signal_ends(scratch: Path) -> None:
    """Python takes a moment until it runs anything of ours."""
    programs = scratch / "bin"
    programs.mkdir()
    (scratch / ".claudehub-run").write_bytes((ROOT / "setup.cfg").read_bytes())
    python = programs / "python"
    python.write_text('#!/bin/sh\nkill -HUP $$\nkill -USR1 $$\necho "$2"\n')
    python.chmod(0o755)
    for command, output in (("serve", "serve\n"), ("status", "")):
        ended = subprocess.run(
            [str(ROOT / "bin" / "claudehub"), command],
            env={**os.environ, "CLAUDEHUB_VENV": str(scratch)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert ended.stdout == output


# It runs a server that "ends" while the signals come, and says so behind them.
AT_THE_END = """
import os, signal, sys
from actors.server import main as server
def serve(config, announce, load, hung_up):
    hung_up()
    send("HUP", "USR1", "TERM", "INT")
    return 3
def send(*names):
    for name in names:
        os.kill(os.getpid(), signal.Signals["SIG" + name])
server.serve = serve
from claudehub.__main__ import main
try:
    main()
except SystemExit:
    send("HUP", "USR1")
    print("still there", flush=True)
    send("TERM")
"""


def test_signals_at_the_end_change_neither_what_is_said_nor_the_exit_code(scratch: Path) -> None:
    hub = HubProcess(scratch)
    ended = subprocess.run(
        [sys.executable, "-c", AT_THE_END, "serve"],
        env={**hub.environment(), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "still there\n", "")
