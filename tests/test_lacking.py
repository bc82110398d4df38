"""The system gives no descriptors, threads, memory or room: each command says so, in one line."""

import errno
import resource
import subprocess
import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from actors.doctor import examination, system
from actors.doctor.finding import Finding, Level, Setup
from actors.runtime.clock import SystemClock
from actors.server import banner, logs, monitoring, system_limits
from actors.server.errors import StartFailed
from actors.server.system_limits import DESCRIPTORS_MIN, is_lack, lack, without_descriptors
from tests.harness import TIMEOUT_S, HubProcess
from tests.test_usable import setup_of

NO_THREAD = "can't start new thread"


@pytest.mark.parametrize("error", [RuntimeError(NO_THREAD), MemoryError()])
def test_a_start_without_threads_names_the_limits(error: Exception) -> None:
    with (
        patch.object(resource, "getrlimit", return_value=(307_200 << 10, -1)),
        pytest.raises(StartFailed) as failed,
        logs.everything_logged(),
    ):
        raise error
    assert "ulimit -v is 307200 KiB" in str(failed.value) and "bug" not in str(failed.value)


def test_another_error_is_still_a_bug() -> None:
    assert not is_lack(RuntimeError("dictionary changed size during iteration"))
    with pytest.raises(SystemExit), logs.everything_logged():
        raise RuntimeError("odd")


def test_no_limit_is_said_too() -> None:
    with (
        patch.object(resource, "getrlimit", return_value=(resource.RLIM_INFINITY, -1)),
        patch.object(system_limits, "_tasks_of_the_cgroup", return_value=None),
    ):
        assert "no limit of this process is set" in lack(MemoryError())


def test_descriptors_are_named_and_no_other_port() -> None:
    with patch.object(
        monitoring, "StatusListener", side_effect=OSError(errno.EMFILE, "Too many open files")
    ):
        config = setup_of(Path("/nowhere")).config
        with pytest.raises(StartFailed) as failed:
            monitoring._listen(config, 9, SystemClock(), lambda _: True)
    assert "ulimit -n is " in str(failed.value) and "METRICS_PORT (0" not in str(failed.value)
    assert "fs.file-max" in (without_descriptors(OSError(errno.ENFILE, "x")) or "")
    assert without_descriptors(OSError(errno.EADDRINUSE, "x")) is None


@pytest.mark.parametrize("allowed", [16, DESCRIPTORS_MIN - 1])
def test_too_few_descriptors_are_a_fault(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    setup = setup_of(Path("/nowhere"))
    (found,) = system.limits(setup)
    assert found.level is Level.FAULT and f"{allowed} descriptors" in found.text
    assert found.remedy is not None and "ulimit -n" in found.remedy
    assert "descriptors are allowed" in (banner._obstacle(setup.config) or "")


def test_the_least_that_doctor_lets_pass_is_enough(scratch: Path) -> None:
    """A server with so few descriptors starts, and its guardian and the CLI do."""
    hub = HubProcess(scratch)
    with subprocess.Popen(
        ["sh", "-c", f'ulimit -n {DESCRIPTORS_MIN}; exec "$@"', "sh", *hub.command()],
        env=hub.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ")
        process.terminate()
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0 and "Too many open files" not in errors


def the_finding(setup: Setup, raised: Exception) -> Finding:
    def check(_: Setup) -> list[Finding]:
        raise raised

    ((found,),) = [report.findings for report in examination.examine(setup, {"it": check})]
    assert found.level is Level.FAULT
    return found


@pytest.mark.parametrize(
    ("raised", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv"), "df -h /srv"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EACCES, "Permission denied", "/srv"), "ls -ld /srv"),
        (RuntimeError(NO_THREAD), "ulimit -v"),
        (MemoryError(), "ulimit -v"),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_a_check(raised: Exception, remedy: str) -> None:
    found = the_finding(setup_of(Path("/nowhere")), raised)
    assert remedy in (found.remedy or "") and "report it" not in (found.remedy or "")


def test_a_check_without_a_thread_is_a_finding() -> None:
    with patch.object(threading.Thread, "start", side_effect=RuntimeError(NO_THREAD)):
        (report,) = examination.examine(setup_of(Path("/nowhere")), {"it": lambda _: []})
    (found,) = report.findings
    assert found.level is Level.FAULT and NO_THREAD in found.text


@pytest.mark.parametrize(
    "words", [["serve", "--check"], ["config", "example"], ["schema"], ["--help"], ["--version"]]
)
def test_no_command_ends_with_a_traceback_on_a_full_disk(scratch: Path, words: list[str]) -> None:
    hub = HubProcess(scratch)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*hub.command()[:-1], *words], env=hub.environment(), stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "claudehub: the output cannot be written: No space left on device\n"
