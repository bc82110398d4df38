"""What keeps a server from using a data folder, found without a change of it: by `serve --check`
and by `doctor`."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from actors.config.precedence import FileSource
from actors.config.settings import Config
from actors.doctor import folders, storage_speed
from actors.doctor.finding import Finding, Level, Setup
from actors.runtime.clock import SystemClock
from actors.server import banner
from storage import disk, usable
from storage.data_version import take_over
from storage.errors import DiskFailed
from storage.layout import DataLayout
from storage.usable import check_usable


def setup_of(folder: Path) -> Setup:
    given = {"data_dir": str(folder), "project_roots": "/", "ws_port": "0"}
    return Setup(Config.read(given, FileSource(Config, None)), {}, SystemClock())


def finding(folder: Path) -> Finding:
    (found,) = folders.data_folder(setup_of(folder))
    return found


def used(folder: Path) -> Path:
    """Make what a server leaves in its folder."""
    layout = DataLayout(folder)
    layout.create()
    layout.lock.acquire()
    take_over(folder)
    layout.data_id()
    layout.lock.release()
    return folder


def refuse_writing(number: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_look_at_a_copy_gives_it_no_id(tmp_path: Path) -> None:
    """Only a start does: to check a folder must not make it another one."""

    def content(folder: Path) -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    copy = Path(shutil.copytree(used(tmp_path / "data"), tmp_path / "copy"))
    before = content(copy)
    check_usable(copy)
    assert content(copy) == before
    assert DataLayout(copy).data_id() != DataLayout(tmp_path / "data").data_id()


def test_a_folder_in_use_and_a_new_one_are_usable_and_stay_as_they_are(tmp_path: Path) -> None:
    for folder in (used(tmp_path / "data"), tmp_path / "new" / "deep"):
        before = sorted(tmp_path.rglob("*")), tmp_path.stat().st_mtime_ns
        check_usable(folder)
        assert (sorted(tmp_path.rglob("*")), tmp_path.stat().st_mtime_ns) == before
        assert banner._obstacle(setup_of(folder).config) is None


def link(folder: Path) -> None:
    folder.symlink_to(folder.parent / "nowhere")


def projects_link(folder: Path) -> None:
    used(folder)
    (folder / "projects").rmdir()
    link(folder / "projects")


def file(folder: Path) -> None:
    folder.write_text("x")


def folder_in_the_way(folder: Path) -> None:
    used(folder)
    (folder / "version").unlink()
    (folder / "version.new" / "x").mkdir(parents=True)


def lock_that_is_a_folder(folder: Path) -> None:
    used(folder)
    (folder / "lock").unlink()
    (folder / "lock").mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link, "a link that leads nowhere"),
        (projects_link, "a link that leads nowhere"),
        (file, "Not a directory"),
        (folder_in_the_way, "Directory not empty"),
        (lock_that_is_a_folder, "is no file"),
    ],
)
def test_what_a_start_would_fail_at_is_found(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "data"
    make(folder)
    obstacle = banner._obstacle(setup_of(folder).config)
    assert obstacle is not None and said in obstacle
    assert obstacle.startswith(f"DATA_DIR {folder} cannot be used")
    assert finding(folder).level is Level.FAULT
    with pytest.raises((OSError, DiskFailed)):
        layout = DataLayout(folder)
        layout.create()
        layout.lock.acquire()
        take_over(folder)


def test_a_damaged_id_is_found(tmp_path: Path) -> None:
    (used(tmp_path / "data") / "id").write_text("x")
    obstacle = banner._obstacle(setup_of(tmp_path / "data").config)
    assert obstacle is not None and "should hold 16 hex digits" in obstacle


def test_a_place_where_nothing_can_be_made_is_found() -> None:
    """Root may write there by its mode, and still cannot."""
    with pytest.raises(OSError):
        check_usable(Path("/proc/data"))


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "df -h {}"), (errno.EROFS, "remount,rw")]
)
def test_a_full_and_a_read_only_disk_are_the_disks_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    monkeypatch.setattr(disk, "write_all", refuse_writing(number))
    setup = setup_of(tmp_path / "data")
    (flushed,) = storage_speed.sync_time(setup)
    for found in (finding(tmp_path / "data"), flushed):
        assert found.level is Level.FAULT and os.strerror(number) in found.text
        assert remedy.format(tmp_path) in (found.remedy or "")
    obstacle = banner._obstacle(setup.config)
    assert obstacle is not None and os.strerror(number) in obstacle
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_none_where_nothing_is_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = used(tmp_path / "data")
    monkeypatch.setattr(disk, "write_all", refuse_writing(errno.ENOSPC))
    check_usable(folder)


def test_a_file_system_without_nameless_files_is_tried_with_a_name(tmp_path: Path) -> None:
    opened = os.open

    def without_nameless(path: object, flags: int, *more: int, **named: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no")
        return opened(path, flags, *more, **named)  # type: ignore[arg-type]

    with patch.object(usable.os, "open", without_nameless):
        usable.try_to_write(tmp_path)
    assert list(tmp_path.iterdir()) == []
