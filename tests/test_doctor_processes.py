"""`claudehub doctor` asks the CLI, and leaves no process of it behind."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from actors.config.precedence import FileSource
from actors.config.settings import Config
from actors.doctor import agents
from actors.doctor.finding import Level, Setup
from actors.runtime.clock import SystemClock
from tests.harness import HubProcess
from tests.processes import wait_until


def cli(folder: Path, script: str) -> str:
    program = folder / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def is_gone(pid: Path) -> bool:
    return not psutil.pid_exists(int(pid.read_text()))


def test_what_begins_a_session_of_its_own_ends_with_the_check(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = cli(
        tmp_path,
        f"setsid sh -c 'echo $$ >{pid}; exec sleep 60' >/dev/null 2>&1 &\n"
        f"while ! [ -s {pid} ]; do :; done\n"
        "echo '2.1.331 (Claude Code)'",
    )
    config = Config.read(
        {"DATA_DIR": str(tmp_path), "CLAUDE_CMD": command, "PROJECT_ROOTS": str(tmp_path)},
        FileSource(Config, None),
    )
    (found,) = agents.cli(Setup(config, {}, SystemClock()))
    assert found.level is Level.OK, found
    wait_until(lambda: is_gone(pid))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_everything_ends_if_the_program_is_killed(scratch: Path, number: int) -> None:
    pid = scratch / "pid"
    hub = HubProcess(scratch, CLAUDE_CMD=cli(scratch, f"echo $$ >{pid}; exec sleep 60"))
    with subprocess.Popen(
        [*hub.command()[:-1], "doctor"], env=hub.environment(), stdout=subprocess.DEVNULL
    ) as doctor:
        wait_until(lambda: pid.exists() and pid.read_text() != "")
        doctor.send_signal(number)
    wait_until(lambda: is_gone(pid))
