"""A hub whose agents run in bwrap says at its start that bwrap cannot run, and what helps."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from actors.executor import sandbox
from actors.executor.walls import NO_WALLS
from tests.harness import MOCK, ROOT, HubProcess

WRAPPER = ROOT / "deploy" / "agent-in-bwrap"
REFUSAL = "bwrap: No permissions to create a new namespace"


def bwrap(folder: Path, script: str) -> dict[str, str]:
    """Return an environment in which bwrap is a script."""
    folder.mkdir(exist_ok=True)
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The switches of a kernel that forbids nothing."""
    proc = tmp_path / "proc"
    for name, value in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("user/max_user_namespaces", "15000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
    ):
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text(f"{value}\n")
    monkeypatch.setattr(sandbox, "_PROC", proc)
    return proc


def test_a_bwrap_that_runs_is_no_problem(tmp_path: Path) -> None:
    """It gets the namespaces of the wrapper, and may gain no rights."""
    record = tmp_path / "record"
    script = f'grep NoNewPrivs /proc/self/status > {record}; echo "$@" >> {record}'
    assert sandbox.problem(bwrap(tmp_path / "bin", script), NO_WALLS) is None
    said = record.read_text()
    assert "NoNewPrivs:\t1" in said and "--unshare-all" in said and "/usr/bin/true" in said
    wanted = WRAPPER.read_text()
    tried = [word for word in said.split() if word.startswith("--") and word != "--"]
    assert [word for word in tried if word not in wanted] == []


def test_a_missing_bwrap_is_a_problem(tmp_path: Path) -> None:
    found = sandbox.problem({"PATH": str(tmp_path)}, NO_WALLS)
    assert found is not None and "bwrap was not found" in found[0] and "apt install" in found[1]


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces="),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/nothing", "", "RestrictNamespaces=no"),
    ],
)
def test_forbidden_namespaces_are_named_with_what_allows_them(
    tmp_path: Path, kernel: Path, name: str, value: str, remedy: str
) -> None:
    (kernel / name).write_text(value)
    environment = bwrap(tmp_path / "bin", f"echo '{REFUSAL}' >&2; exit 1")
    found = sandbox.problem(environment, NO_WALLS)
    assert found is not None and REFUSAL in found[0] and remedy in found[1]


def test_a_bwrap_that_hangs_keeps_the_start_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "TRY_MAX_S", 0.2)
    found = sandbox.problem(bwrap(tmp_path / "bin", "exec tail -f /dev/null"), NO_WALLS)
    assert found is not None and "timed out" in found[0]


def test_the_sandbox_is_known_by_its_name() -> None:
    assert sandbox.uses_sandbox(["/opt/claudehub/deploy/agent-in-bwrap", "--", "claude"])
    assert sandbox.uses_sandbox(["/usr/bin/bwrap", "--ro-bind", "/", "/", "claude"])
    assert not sandbox.uses_sandbox(["claude"])


@pytest.mark.parametrize("says", ["not found", REFUSAL])
def test_the_hub_does_not_start_without_its_sandbox(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    if says == REFUSAL:
        environment = bwrap(tmp_path / "bin", f"echo '{REFUSAL}' >&2; exit 1")
    else:
        (tmp_path / "bin").mkdir()
        environment = {"PATH": str(tmp_path / "bin")}
    monkeypatch.setenv("PATH", environment["PATH"])  # where the command line looks
    command = shlex.join([str(WRAPPER), "--", sys.executable, str(MOCK)])
    hub = HubProcess(scratch, CLAUDE_CMD=command, PATH=environment["PATH"])
    refusal = hub.refusal()
    assert refusal.startswith("claudehub: CLAUDE_CMD: bwrap ") and says in refusal
    assert refusal.count("\n") == 1 and os.listdir(scratch / "roots") == []
