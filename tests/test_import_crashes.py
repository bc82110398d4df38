"""An import that is killed, that loses the power or whose disk fails at any step: nothing half is
there, and the next import gives what an undisturbed one gives."""

import errno
import json
from pathlib import Path

import pytest

from claudehub.cli.failures import Failed
from claudehub.cli.import_commands import Settings, import_folder
from storage.intake import FILE_NAME
from storage.layout import DataLayout
from storage.projects import ProjectStore, read_meta
from tests.disk_calls import DiskCalls, Machine, Unsynced
from tests.test_import import Move, anonymous
from tests.test_old_log import ended, prompt, said

# The same code again and again: it is traced elsewhere, and tracing would take most of the time.
pytestmark = pytest.mark.no_cover

Tree = dict[str, bytes]


@pytest.fixture
def move(tmp_path: Path) -> Move:
    """One project with two segments, one without a log, one whose folder is not allowed."""
    move = Move(tmp_path)
    lines = [prompt("x"), said(text="x" * 900), said(text="y" * 900), ended()]
    move.add("ran", *lines, *lines)
    move.add("empty")
    move.add("outside", prompt("x"), path="/nowhere/in/the/roots")
    return move


def work(move: Move, data: Path) -> int:
    """Import; return the exit code, 1 also for what is printed as an error."""
    settings = Settings(
        data_dir=data,
        roots=(move.roots,),
        max_line_bytes=1 << 20,
        rotate_bytes=3000,
        max_projects=100,
    )
    try:
        return import_folder(move.source, settings, dry_run=False, as_json=True)
    except Failed:
        return 1


def tree(data: Path) -> Tree:
    """Return all files, without what names a log."""
    files = {str(p.relative_to(data)): p for p in sorted(data.rglob("*")) if p.is_file()}
    files.pop("lock", None)
    return {
        anonymous(name.encode()).decode(): anonymous(path.read_bytes())
        for name, path in files.items()
    }


def check_nothing_is_half_there(data: Path, wanted: Tree) -> None:
    """Look as a hub does at its start: each project that it finds is whole."""
    layout = DataLayout(data)
    layout.create()
    for found in ProjectStore(layout).load_all():
        assert hasattr(found, "log"), found
    for folder in [*layout.projects.glob("[!.]*"), *layout.kept.iterdir()]:
        name = anonymous(str(folder.relative_to(data)).encode()).decode()
        meta = read_meta(folder)
        assert meta.log is not None and (meta.log.clean is None) == (meta.project_id == "empty")
        inside = {key: value for key, value in wanted.items() if key.startswith(f"{name}/")}
        found_files = {k: v for k, v in tree(data).items() if k.startswith(f"{name}/")}
        assert found_files == inside and f"{name}/{FILE_NAME}" in inside


def recorded(move: Move, patch: pytest.MonkeyPatch) -> tuple[DiskCalls, Tree]:
    """Return the calls of an undisturbed import, and what it makes."""
    data = move.scratch / "sound"
    calls = DiskCalls(data)
    with calls.watched(patch):
        assert work(move, data) == 1  # one project is only kept
    made = tree(data)
    assert len(made) == 11 and not (data / "projects" / ".import").exists()
    return calls, made


def test_after_a_cut_at_any_step_the_next_import_gives_the_same(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`KEPT` is what kill -9 leaves; the others are what a power cut may leave."""
    calls, wanted = recorded(move, monkeypatch)
    states = 0
    for upto in range(len(calls.events) + 1):
        for unsynced in Unsynced:
            machine = Machine(calls.root)
            for event in calls.events[:upto]:
                event(machine)
            data = move.scratch / f"cut-{upto}-{unsynced.name}"
            data.mkdir()
            machine.cut_power(unsynced, data)
            try:
                if unsynced is not Unsynced.KEPT:  # else the import itself finds the leftovers
                    check_nothing_is_half_there(data, wanted)
                work(move, data)
                assert tree(data) == wanted
            except BaseException as error:
                error.add_note(f"after {upto} events, unsynced bytes {unsynced.value}")
                raise
            states += 1
    assert states > 300


@pytest.mark.parametrize(
    ("error", "for_ever"), [(errno.ENOSPC, True), (errno.EIO, False)], ids=["full", "EIO once"]
)
def test_a_disk_that_fails_leaves_nothing_half_and_says_so(
    move: Move,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: int,
    for_ever: bool,
) -> None:
    calls, wanted = recorded(move, monkeypatch)
    for number in range(1, calls.calls + 1):
        data = move.scratch / str(number)
        failing = DiskCalls(data)
        failing.fail_at, failing.fail_for_ever, failing.error = number, for_ever, error
        with failing.watched(monkeypatch):
            code = work(move, data)
        try:
            assert code == 1
            left = list((data / "projects" / ".import").glob("*"))
            assert not left or for_ever  # then the disk does not even remove what was built
            check_nothing_is_half_there(data, wanted)
            work(move, data)
            assert tree(data) == wanted
        except BaseException as failure:
            failure.add_note(f"call {number} of {calls.calls} failed")
            raise


def test_a_full_disk_is_reported_for_the_project_that_it_stops(
    move: Move, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = move.scratch / "full"
    DataLayout(data).create()
    calls = DiskCalls(data)
    calls.error = errno.ENOSPC
    with calls.watched(monkeypatch), monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left on device")

        def no_room(fd: int, payload: bytes) -> None:
            raise full

        patch.setattr("storage.disk.write_all", no_room)
        patch.setattr("storage.data_version._write", lambda root, version: None)
        assert work(move, data) == 1
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["result"] == "failed"
    assert "No space left on device" in row["notes"][-1]
    assert "import again" in row["notes"][-1]
