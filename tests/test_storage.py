"""Layout, lock, metadata, ignore rules: the rest of the disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage import disk
from storage.disk import free_bytes
from storage.errors import (
    AlreadyLocked,
    DiskFailed,
    FolderOutsideRoots,
    FolderRefused,
    StorageError,
)
from storage.ignore_rules import IgnoreRules
from storage.layout import DataLayout, boot_id, is_inside, nests, resolve_folder
from storage.lock import DataLock
from storage.log_state import LogState
from storage.projects import META_VERSION, ProjectMeta, ProjectStore, Unreadable


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    made = DataLayout(tmp_path / "data")
    made.create()
    return made


def a_meta(project_id: str = "p", **fields: object) -> ProjectMeta:
    given = {
        "project_id": project_id,
        "name": "P",
        "path": "/p",
        "created_at": "2026",
        "last_active": "2026",
        **fields,
    }
    return ProjectMeta.model_validate(given)


def test_folders_are_private_and_made_so_again(layout: DataLayout) -> None:
    layout.root.chmod(0o755)
    layout.create()
    assert layout.root.stat().st_mode & 0o777 == 0o700


def test_the_data_folder_has_one_id_for_ever(layout: DataLayout) -> None:
    assert layout.data_id() == layout.data_id()
    assert len(layout.data_id()) == 16


def copied(layout: DataLayout, to: Path) -> DataLayout:
    shutil.copytree(layout.root, to)
    return DataLayout(to)


def test_a_copy_beside_its_original_gets_an_id_of_its_own(
    layout: DataLayout, tmp_path: Path
) -> None:
    first = layout.data_id()
    copy = copied(layout, tmp_path / "copy")
    assert copy.copied_from() == layout.root
    second = copy.data_id()
    assert second != first and layout.data_id() == first
    assert copy.copied_from() is None and copy.data_id() == second, "once"
    of_copy = copied(copy, tmp_path / "of-copy")
    assert of_copy.copied_from() == copy.root


def test_a_folder_that_was_moved_or_restored_keeps_its_id(
    layout: DataLayout, tmp_path: Path
) -> None:
    first = layout.data_id()
    backup = copied(layout, tmp_path / "backup")
    before = layout.root.rename(tmp_path / "before")
    assert DataLayout(before).data_id() == first, "moved"
    shutil.copytree(backup.root, layout.root)
    assert layout.data_id() == first, "restored to the same path"
    shutil.rmtree(before)
    shutil.rmtree(layout.root)
    assert backup.data_id() == first, "what is left"


@pytest.mark.parametrize("content", [b"", b"x", b"1:2 \0", b"1:2 relative", b"1:2 " + b"x" * 5000])
def test_a_place_that_cannot_be_read_changes_no_id(layout: DataLayout, content: bytes) -> None:
    first = layout.data_id()
    (layout.root / "place").write_bytes(content)
    assert layout.copied_from() is None and layout.data_id() == first


@pytest.mark.parametrize("bad", ["", "..", "a/b", "A", "a" * 65, "-a", "a\n"])
def test_no_id_leads_out_of_the_data_folder(layout: DataLayout, bad: str) -> None:
    with pytest.raises(ValueError, match="not a project id"):
        layout.project(bad)


def test_project_folders_are_checked_against_the_roots(tmp_path: Path) -> None:
    root, data = (tmp_path / "root").resolve(), tmp_path / "data"
    (root / "a").mkdir(parents=True)
    (root / "file").touch()
    (root / "link").symlink_to("a")
    (root / "out").symlink_to("/")
    assert resolve_folder(str(root / "link"), [root], data) == root / "a"
    assert resolve_folder(str(root), [root], data) == root
    for bad in (
        "a",
        str(root / "none"),
        str(root / "file"),
        str(root) + "/\0",
        str(root) + "/\ud800",
    ):
        with pytest.raises(FolderRefused):
            resolve_folder(bad, [root], data)
    for outside in ("/", str(tmp_path), str(root / "out"), str(root) + "x", str(root / "..")):
        with pytest.raises(FolderOutsideRoots):
            resolve_folder(outside, [root], data)


def test_the_hubs_own_data_is_no_project(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    data = root / "state" / "hub"
    (data / "projects").mkdir(parents=True)
    (root / "link").symlink_to("state")
    (root / "free").mkdir()
    for inside in ("", "state", "state/hub", "state/hub/projects", "link", "link/hub"):
        with pytest.raises(FolderOutsideRoots, match="DATA_DIR"):
            resolve_folder(str(root / inside), [root], data)
    with pytest.raises(FolderOutsideRoots, match="DATA_DIR"):
        resolve_folder(str(root), [root], root / "link" / "hub")
    assert resolve_folder(str(root / "free"), [root], data) == root / "free"


def test_nested_projects_are_refused() -> None:
    assert nests(Path("/a"), Path("/a/b")) and nests(Path("/a/b"), Path("/a"))
    assert not nests(Path("/a"), Path("/a")) and not nests(Path("/a"), Path("/ab"))
    assert is_inside(Path("/a"), Path("/a"))


def test_the_boot_id_and_the_free_space_are_read(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    assert boot_id() == boot_id()


def test_one_server_uses_a_data_folder(layout: DataLayout) -> None:
    lock, other = DataLock(layout.root / "lock"), DataLock(layout.root / "lock")
    lock.acquire()
    with pytest.raises(AlreadyLocked, match=str(os.getpid())):
        other.acquire()
    lock.release()
    lock.release()
    other.acquire()
    other.release()


def test_a_child_process_does_not_hold_the_lock(layout: DataLayout) -> None:
    lock = DataLock(layout.root / "lock")
    lock.acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lock.release()
    lock.acquire()
    lock.release()
    child.communicate()
    assert child.returncode == 1


def test_metadata_survives_and_keeps_the_version_before(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(name="one"))
    store.save(a_meta(name="two"))
    assert store.load_all() == [a_meta(name="two")]
    folder = layout.project("p")
    assert sorted(p.name for p in folder.iterdir()) == ["meta.json", "meta.json.old"]
    (folder / "meta.json").write_text("{")
    assert store.load("p") == a_meta(name="one")


def test_an_older_metadata_file_is_not_trusted_about_the_log(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    state = LogState(log_id="l", boot_id="b")
    store.save(a_meta(log=state))
    store.save(a_meta(log=state))
    (layout.project("p") / "meta.json").unlink()
    loaded = store.load("p")
    assert loaded is not None and loaded.log is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"version": 99, "project_id": "p", "name": "", "path": "", '
        '"created_at": "", "last_active": ""}',
    ],
)
def test_unreadable_metadata_is_reported(layout: DataLayout, text: str) -> None:
    store = ProjectStore(layout)
    folder = layout.project("p")
    folder.mkdir()
    (folder / "meta.json").write_text(text)
    assert META_VERSION < 99
    found = store.load_all()[0]
    assert isinstance(found, Unreadable) and found.project_id == "p"


def test_an_interrupted_creation_is_cleared_away(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    for name in ("a", "b"):
        layout.project(name).mkdir()
    (layout.project("b") / "meta.json.new").write_text("{")
    (layout.projects / "notes.txt").write_text("foreign")
    assert store.load_all() == []
    assert [path.name for path in layout.projects.iterdir()] == ["notes.txt"]


def test_metadata_of_another_project_is_not_used(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.save(a_meta("p"))
    layout.project("p").rename(layout.project("q"))
    found = store.load_all()[0]
    assert isinstance(found, Unreadable) and "another project" in found.problem


def test_removal_leaves_all_or_nothing(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.save(a_meta("p"))
    store.remove("p")
    assert store.load_all() == []
    store.save(a_meta("q"))
    layout.project("q").rename(layout.trash / "q.1234")  # a crash in the middle
    assert store.load_all() == []
    assert list(layout.trash.iterdir()) == []
    with pytest.raises(StorageError):
        store.remove("none")


def test_kept_histories_are_found_by_id_and_folder(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    for path, log_id in (("/a", "1"), ("/b", "2")):
        meta = a_meta(path=path, log=LogState(log_id=log_id, boot_id=""))
        store.save(meta)
        store.keep(meta)
    (layout.kept / "p~broken").mkdir()
    assert store.take_kept("p", "/c") is None
    assert store.take_kept("q", "/a") is None
    taken = store.take_kept("p", "/b")
    assert taken is not None and taken.path == "/b"
    assert store.load("p") == taken


def test_a_failing_disk_is_a_storage_error(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(name="one"))

    def fail(fd: int) -> None:
        raise OSError(5, "planned")

    monkeypatch.setattr(disk, "sync", fail)
    with pytest.raises(DiskFailed):
        store.save(a_meta(name="two"))
    assert store.load("p") == a_meta(name="one")


def test_ignore_rules_match_as_in_git(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n/only-here\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("*.tmp\n!special.log\n")
    (tmp_path / ".git" / "info").mkdir(parents=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("secret\n")
    rules = IgnoreRules(tmp_path)
    ignored = [
        "a.log",
        "sub/b.log",
        "build/x",
        "sub/build/y/z",
        "only-here",
        ".git/index",
        "sub/c.tmp",
        "secret",
        "sub/secret",
        "sub/.git/HEAD",
    ]
    seen = [
        "a.txt",
        "keep.log",
        "sub/only-here",
        "sub/special.log",
        "c.tmp",
        "builder",
        ".gitignore",
    ]
    assert [path for path in ignored if not rules.match(path)] == []
    assert [path for path in seen if rules.match(path)] == []


def test_broken_ignore_files_ignore_nothing(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").mkdir()
    assert not IgnoreRules(tmp_path).match("a")


def test_a_bad_pattern_affects_no_other(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("!\nx[z-a]\nnode_modules/\n")
    assert IgnoreRules(tmp_path).match("node_modules/a")
    assert not IgnoreRules(tmp_path).match("src/a")


def test_a_gitignore_that_is_no_file_has_no_rules(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitignore")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").symlink_to("../rules")
    (tmp_path / "rules").write_text("a\n")
    assert not IgnoreRules(tmp_path).match("sub/a")
