"""Upgrades of a data folder: an older one is taken over, whatever interrupts it, and a newer one is
refused."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from claudehub.cli.main import main
from storage import disk
from storage.data_version import (
    DATA_VERSION,
    FILE_NAME,
    STEPS,
    check_version,
    keep_version,
    read_version,
    take_over,
)
from storage.errors import DiskFailed, NewerData
from storage.layout import DataLayout
from tests.disk_calls import CHANGING, DiskCalls, Machine, Unsynced
from tests.harness import ROOT, HubProcess


def old_folder(root: Path) -> Path:
    """Make a folder as version 1 has it: a log, and its metadata, without a version."""
    layout = DataLayout(root)
    layout.create()
    layout.data_id()
    for name in ("a", "b"):
        disk.make_folder(layout.project(name))
        disk.replace_file(layout.project(name) / "meta.json", b'{"n": 1}')
    return root


def to_3(root: Path) -> None:
    """The step of a program of tomorrow: it renames each file."""
    for folder in sorted((root / "projects").iterdir()):
        if (folder / "meta.json").exists():
            (folder / "meta.json").replace(folder / "project.json")
            disk.sync_folder(folder)


def to_4(root: Path) -> None:
    """Another one, which must not be done twice: it counts up what it has not counted yet."""
    for folder in sorted((root / "projects").iterdir()):
        found = json.loads((folder / "project.json").read_bytes())
        if "format" not in found:
            changed = {"n": found["n"] + 1, "format": 4}
            disk.replace_file(folder / "project.json", json.dumps(changed).encode())


TOMORROW = {**STEPS, DATA_VERSION: to_3, DATA_VERSION + 1: to_4}
NEWEST = DATA_VERSION + 2


def assert_taken_over(root: Path) -> None:
    assert read_version(root) == NEWEST
    for name in ("a", "b"):
        folder = root / "projects" / name
        assert json.loads((folder / "project.json").read_bytes()) == {"n": 2, "format": 4}
        assert not (folder / "meta.json").exists()


def test_a_new_folder_gets_the_present_version(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path / "data")
    assert check_version(layout.root) is None
    layout.create()
    assert take_over(layout.root) is None
    assert json.loads((layout.root / FILE_NAME).read_bytes()) == {"version": DATA_VERSION}
    assert (layout.root / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert take_over(layout.root) == DATA_VERSION


@pytest.mark.parametrize("lost", ["nothing", "id"])
def test_a_folder_without_a_version_counts_as_version_1(tmp_path: Path, lost: str) -> None:
    root = old_folder(tmp_path)
    (root / lost).unlink(missing_ok=True)
    assert take_over(root) == 1
    assert read_version(root) == DATA_VERSION


def test_every_step_is_done_in_order(tmp_path: Path) -> None:
    root = old_folder(tmp_path)
    assert take_over(root, TOMORROW) == 1
    assert_taken_over(root)


def count_calls(tmp_path: Path, patch: pytest.MonkeyPatch) -> tuple[DiskCalls, Path]:
    """Return what a whole upgrade does to the disk."""
    data = tmp_path / "data"
    calls = DiskCalls(data)
    with calls.watched(patch):
        old_folder(data)
        calls.note("upgrade")
        take_over(data, TOMORROW)
    return calls, data


@pytest.mark.no_cover
def test_a_power_cut_at_any_call_of_an_upgrade_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, data = count_calls(tmp_path, monkeypatch)
    ((begin, _),) = calls.notes
    tried = 0
    for at in range(begin, len(calls.events) + 1):
        machine = Machine(str(data))
        for event in calls.events[:at]:
            event(machine)
        for unsynced in Unsynced:
            found = tmp_path / f"cut-{at}-{unsynced.name}"
            found.mkdir()
            machine.cut_power(unsynced, found)
            take_over(found, TOMORROW)
            assert_taken_over(found)
            tried += 1
    assert tried >= 5 * 20


def test_a_kill_at_any_write_of_an_upgrade_costs_nothing(tmp_path: Path) -> None:
    """Each child is killed one call later than the one before, until one gets through. The next
    start ends what each has begun."""
    done, calls = False, 0
    while not done:
        root = old_folder(tmp_path / str(calls))
        pid = os.fork()
        if pid == 0:
            _die_at(root, calls)
        _, status = os.waitpid(pid, 0)
        done = os.WIFEXITED(status)
        assert done or os.WTERMSIG(status) == signal.SIGKILL
        take_over(root, TOMORROW)
        assert_taken_over(root)
        calls += 1
    assert calls > 30


def _die_at(root: Path, calls: int) -> None:
    """Take over in this process, which is a child, and kill it at a call that changes the disk."""
    left = calls

    def killing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    try:
        for name in ("open", *CHANGING):
            setattr(os, name, killing(getattr(os, name)))
        take_over(root, TOMORROW)
        os._exit(0)
    finally:
        os._exit(1)


def test_a_failed_write_is_told_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = old_folder(tmp_path)
    calls = DiskCalls(root)
    failures = 0
    done = False
    while not done:
        calls.calls, calls.fail_at = 0, failures + 1
        with calls.watched(monkeypatch):
            try:
                take_over(root, TOMORROW)
                done = True
            except OSError:
                failures += 1
    assert failures > 5
    assert_taken_over(root)


DAMAGED = [b"", b"3", b"[]", b'{"version": "2"}', b'{"version": true}', b'{"version": 0}']


@pytest.mark.parametrize("content", [*DAMAGED, b"[" * 4000])
def test_a_damaged_version_is_not_guessed(tmp_path: Path, content: bytes) -> None:
    root = old_folder(tmp_path)
    (root / FILE_NAME).write_bytes(content)
    with pytest.raises(DiskFailed, match="is damaged"):
        take_over(root)
    assert (root / FILE_NAME).read_bytes() == content


def test_a_lost_version_is_written_again(tmp_path: Path) -> None:
    take_over(old_folder(tmp_path))
    assert keep_version(tmp_path) is False
    (tmp_path / FILE_NAME).unlink()
    assert keep_version(tmp_path) is True
    assert read_version(tmp_path) == DATA_VERSION


def test_the_page_says_what_is_new_in_each_version() -> None:
    rows = re.findall(r"(?m)^\| (\d+) \| ", (ROOT / "docs" / "upgrade.md").read_text())
    assert [int(row) for row in rows] == list(range(1, DATA_VERSION + 1))


# -- an older program on a newer folder


def state_of(root: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    root = old_folder(tmp_path / "data")
    take_over(root, TOMORROW)
    return root


def test_a_newer_folder_is_refused_and_left_alone(newer: Path) -> None:
    before = state_of(newer)
    with pytest.raises(NewerData, match=f"of version {NEWEST}, .* up to {DATA_VERSION}: "):
        take_over(newer)
    assert state_of(newer) == before


def test_serve_refuses_a_newer_folder_with_one_line(newer: Path, tmp_path: Path) -> None:
    before = state_of(newer)
    hub = HubProcess(tmp_path, LOG_LEVEL="error")
    ended = subprocess.run(
        hub.command(), env=hub.environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    page = (ROOT / "docs" / "upgrade.md").read_text()
    shown = " ".join(page.split("$ claudehub serve\n")[1].split("\n```")[0].split())
    assert line == shown.replace("/var/lib/claudehub", str(newer)).replace(
        "of version 4, and this program knows only versions up to 2",
        f"of version {NEWEST}, and this program knows only versions up to {DATA_VERSION}",
    )
    assert state_of(newer) == before


@pytest.mark.parametrize(
    "words",
    [["log", "stats"], ["log", "show", "a"], ["log", "verify"], ["log", "new-id"], ["audit"]],
)
def test_commands_that_read_the_folder_refuse_a_newer_one(newer: Path, words: list[str]) -> None:
    ended = CliRunner().invoke(main, [*words, "--data-dir", str(newer)])
    assert ended.exit_code == 1 and ended.stdout == ""
    assert ended.stderr.startswith(f"claudehub: {newer} has data of version {NEWEST}")
    assert len(ended.stderr.splitlines()) == 1
