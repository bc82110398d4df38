"""The server names limits of the system that are below MAX_CONN, and what to do."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from actors.server import system_limits


@pytest.fixture(autouse=True)
def a_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """With room for everything."""
    for name, value in (("kernel/threads-max", "1000000"), ("vm/max_map_count", "1000000")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(value)
    monkeypatch.setattr(system_limits, "_PROC", tmp_path)
    monkeypatch.setattr(system_limits, "_CGROUPS", tmp_path)
    monkeypatch.setattr(system_limits, "_soft", lambda _: None)
    return tmp_path


def test_sufficient_limits_give_no_warning() -> None:
    assert system_limits.warnings(100_000) == []


@pytest.mark.parametrize(
    ("file", "remedy"),
    [("kernel/threads-max", "sysctl kernel.threads-max="), ("vm/max_map_count", "max_map_count=")],
)
def test_a_limit_of_the_kernel_that_is_too_low_is_named(
    a_system: Path, file: str, remedy: str
) -> None:
    (a_system / file).write_text("30000\n")
    (warning,) = system_limits.warnings(20_000)
    assert "MAX_CONN=20000" in warning and "30000 are allowed" in warning and remedy in warning
    assert system_limits.warnings(100) == []
    (a_system / file).write_text("max")
    assert system_limits.warnings(20_000) == []


def test_a_limit_of_the_process_that_is_too_low_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NOFILE: 500, resource.RLIMIT_NPROC: 900}
    monkeypatch.setattr(system_limits, "_soft", limits.get)
    found = system_limits.warnings(1000)
    assert ["ulimit -n" in line for line in found] == [True, False]
    assert "ulimit -u" in found[1]


def test_the_limits_of_another_process_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of whoever asks; the threads of root are not limited."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); "
        "print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        (line,) = system_limits.warnings(1000, pid=child.pid)
        assert "200 are allowed" in line and "ulimit -n" in line
        assert system_limits.warnings(1000) == []
        child.stdin.close()
    assert system_limits._soft_of(child.pid, resource.RLIMIT_NOFILE) is None


@pytest.mark.parametrize(("user", "limit"), [(0, None), (1000, 900)])
def test_the_threads_of_another_process(
    a_system: Path, monkeypatch: pytest.MonkeyPatch, user: int, limit: int | None
) -> None:
    (a_system / "7").mkdir()
    (a_system / "7" / "status").write_text(f"Name:\thub\nUid:\t{user}\t{user}\t0\t0\n")
    (a_system / "7" / "limits").write_text("Max processes             900     1000     processes\n")
    monkeypatch.setattr(system_limits, "_PROCESSES", a_system)
    assert system_limits._soft_of(7, resource.RLIMIT_NPROC) == limit


def test_threads_of_root_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (500, 500))
    for user, limit in ((0, None), (1000, 500)):
        monkeypatch.setattr(system_limits.os, "geteuid", lambda user=user: user)
        assert system_limits._soft(resource.RLIMIT_NPROC) == limit
        assert system_limits._soft(resource.RLIMIT_NOFILE) == 500


@pytest.mark.parametrize(("descriptors", "handshakes"), [(64, 16), (16, 8), (65536, 1024)])
def test_connections_that_say_nothing_get_a_part_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, handshakes: int
) -> None:
    monkeypatch.setattr(system_limits, "_soft", lambda _: descriptors)
    assert system_limits.handshakes_max() == handshakes
