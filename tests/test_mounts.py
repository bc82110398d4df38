"""File systems that do less: folders that cannot be renamed into others, files without a second
name. Every such call is refused here, with every error that a file system gives for it."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageError
from storage.layout import DataLayout
from storage.log_state import LogState
from storage.projects import ProjectMeta, ProjectStore
from tests.disk_calls import DiskCalls
from tests.test_power_cut import Keeper, check_log, cut_everywhere, record
from tests.test_storage import a_meta, layout

__all__ = ["layout"]

REFUSALS = [errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBUSY]


def refuse_renames(
    patch: pytest.MonkeyPatch, error: int, between: Callable[[str, str], bool]
) -> None:
    """Refuse to move a folder where `between` says so of the two parents."""
    real = os.rename

    def rename(source: Any, target: Any, **options: Any) -> None:
        parents = os.path.dirname(os.fspath(source)), os.path.dirname(os.fspath(target))
        if os.path.isdir(source) and between(*parents):
            raise OSError(error, os.strerror(error))
        real(source, target, **options)

    patch.setattr(os, "rename", rename)


def leaves_projects(source: str, target: str) -> bool:
    """`projects` is a mount of its own."""
    return ("/projects" in source) != ("/projects" in target)


def refuse_links(patch: pytest.MonkeyPatch, error: int) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    patch.setattr(os, "link", link)


@pytest.mark.parametrize("error", REFUSALS)
def test_a_project_on_a_mount_of_projects_is_deleted(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta("p"))
    refuse_renames(monkeypatch, error, leaves_projects)
    store.remove("p")
    assert store.load_all() == [] and not layout.project("p").exists()
    assert [p for place in layout.trash_places for p in place.iterdir()] == []


@pytest.mark.parametrize("error", REFUSALS)
def test_a_history_on_a_mount_of_projects_is_kept_and_taken_up_again(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    store = ProjectStore(layout)
    meta = a_meta("p", log=LogState(log_id="1", boot_id=""))
    store.save(meta)
    refuse_renames(monkeypatch, error, leaves_projects)
    store.keep(meta)
    assert store.load_all() == []
    assert store.take_kept("p", meta.path) == meta
    assert store.load("p") == meta


def test_a_history_on_another_file_system_says_how_to_bring_it_back(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ProjectStore(layout)
    meta = a_meta("p", log=LogState(log_id="1", boot_id=""))
    store.save(meta)
    store.keep(meta)  # before `projects` became a mount
    refuse_renames(monkeypatch, errno.EXDEV, leaves_projects)
    with pytest.raises(StorageError, match=r"mv .*/kept/p~1 .*/projects/\.kept$"):
        store.take_kept("p", meta.path)
    shutil.move(layout.kept / "p~1", layout.projects / ".kept")
    assert store.load_all() == []
    assert store.take_kept("p", meta.path) == meta


@pytest.mark.parametrize("error", REFUSALS)
def test_a_project_whose_folder_is_a_mount_is_deleted(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta("p"))
    refuse_renames(monkeypatch, error, lambda *_: True)

    def rmdir(path: Any, **_: Any) -> None:
        raise OSError(errno.EBUSY, "it is a mount")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", rmdir)
        store.remove("p")
    assert list(layout.project("p").iterdir()) == []
    assert store.load_all() == []
    store.clear_way("p")
    store.save(a_meta("p"))
    assert store.load("p") == a_meta("p")


def test_a_crash_while_a_mounted_project_is_deleted_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_renames(monkeypatch, errno.EXDEV, lambda *_: True)

    def work(layout: DataLayout, calls: DiskCalls) -> None:
        keeper = Keeper(layout, calls)
        keeper.append(700, 900)
        keeper.close()
        calls.note(("deleting", None))
        keeper.store.remove("p")
        calls.note(("deleted", None))

    def check(layout: DataLayout, notes: list[Any]) -> None:
        kinds = {kind for kind, _ in notes}
        listed = ProjectStore(layout).load_all()
        if listed:
            assert "deleted" not in kinds
            check_log(layout, notes)
        elif kinds:
            assert "deleting" in kinds
            assert not layout.project("p").exists()

    assert cut_everywhere(tmp_path, record(tmp_path, monkeypatch, work), check) > 50


@pytest.mark.parametrize("error", [*REFUSALS[:4], errno.EMLINK])
def test_metadata_needs_no_second_name(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    refuse_links(monkeypatch, error)
    store = ProjectStore(layout)
    for name in ("one", "two"):
        store.save(a_meta(name=name))
    assert store.load("p") == a_meta(name="two")
    (layout.project("p") / "meta.json").write_bytes(b"{")
    assert store.load("p") == a_meta(name="one")  # the version before it
    assert sorted(p.name for p in layout.project("p").iterdir()) == ["meta.json", "meta.json.old"]


def test_metadata_without_links_is_the_old_or_the_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch, errno.EPERM)

    def work(layout: DataLayout, calls: DiskCalls) -> None:
        store = ProjectStore(layout)
        for number in range(4):
            store.save(a_meta("p").model_copy(update={"name": str(number)}))
            calls.note(number)

    def check(layout: DataLayout, notes: list[Any]) -> None:
        if not notes:
            return
        (meta,) = ProjectStore(layout).load_all()
        assert isinstance(meta, ProjectMeta)
        assert int(meta.name) in (notes[-1], notes[-1] + 1)

    assert cut_everywhere(tmp_path, record(tmp_path, monkeypatch, work), check) > 50


def test_a_link_that_fails_for_another_reason_is_an_error(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(name="one"))
    refuse_links(monkeypatch, errno.EIO)
    with pytest.raises(StorageError):
        store.save(a_meta(name="two"))
    assert store.load("p") == a_meta(name="one")


@pytest.mark.parametrize("kind", ["folder", "link", "read-only", "pipe", "file"])
def test_what_a_crash_or_a_hand_left_in_the_way_of_metadata_is_taken_away(
    layout: DataLayout, kind: str
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(name="one"))
    for name in ("meta.json.new", "meta.json.old.new"):
        way = layout.project("p") / name
        match kind:
            case "folder":
                way.mkdir()
            case "link":
                way.symlink_to("/etc/hostname")
            case "read-only":
                way.touch(0o000)
            case "pipe":
                os.mkfifo(way)
            case _:
                way.write_bytes(b"{")
    store.save(a_meta(name="two"))
    assert store.load("p") == a_meta(name="two")


_ON_A_MOUNT = """
import pathlib, sys
from storage.layout import DataLayout
from storage.projects import ProjectStore
from tests.test_storage import a_meta
from storage.log_state import LogState
layout = DataLayout(pathlib.Path(sys.argv[1]))
store = ProjectStore(layout)
meta = a_meta("p", log=LogState(log_id="1", boot_id=""))
store.save(meta)
store.keep(meta)
assert store.load_all() == []
assert store.take_kept("p", meta.path) == meta
store.remove("p")
assert store.load_all() == [] and not layout.project("p").exists()
"""


@pytest.mark.parametrize("mounted", ["projects", "projects/p"])
def test_a_real_mount_holds_projects(layout: DataLayout, mounted: str) -> None:
    """In a mount namespace of its own, which a user without rights gets as well."""
    folder = layout.root / mounted
    folder.mkdir(exist_ok=True)
    script = 'mount -t tmpfs none "$1" && exec "$2" -c "$3" "$4"'
    code = _ON_A_MOUNT
    if mounted != "projects":  # a mount can be emptied and not moved
        code = code[: code.index("store.keep")] + code[code.index("store.remove") :]
        code = code.replace("not layout.project", "layout.project")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    ended = subprocess.run(
        [*command, str(folder), sys.executable, code, str(layout.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
