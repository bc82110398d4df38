"""The server names limits of the system that are below MAX_CONN, and what to do."""

import resource
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


def test_threads_of_root_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (500, 500))
    for user, limit in ((0, None), (1000, 500)):
        monkeypatch.setattr(system_limits.os, "geteuid", lambda user=user: user)
        assert system_limits._soft(resource.RLIMIT_NPROC) == limit
        assert system_limits._soft(resource.RLIMIT_NOFILE) == 500
