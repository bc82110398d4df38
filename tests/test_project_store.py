"""The metadata of projects where something went wrong before."""

import errno
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.layout import DataLayout
from storage.projects import ProjectStore, Unreadable
from tests.test_storage import a_meta, layout

__all__ = ["layout"]


def test_what_a_failed_deletion_left_is_put_aside_and_not_taken_over(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(path="/old"))
    log = layout.log("p")
    log.mkdir()
    (log / "history").write_bytes(b"of another folder")
    store.clear_way("p")
    assert not layout.project("p").exists()
    assert store.take_kept("p", "/new") is None
    assert store.take_kept("p", "/old") is not None
    assert (log / "history").exists()


def test_the_way_is_clear_where_a_creation_never_began(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.clear_way("p")
    layout.project("p").mkdir()
    (layout.project("p") / "meta.json.new").write_bytes(b"{")  # the disk was full
    store.clear_way("p")
    store.save(a_meta())
    assert store.load("p") == a_meta()


def test_data_that_cannot_be_told_is_in_the_way(layout: DataLayout) -> None:
    (layout.project("p") / "log").mkdir(parents=True)
    with pytest.raises(StorageError, match="has data of another project"):
        ProjectStore(layout).clear_way("p")


def test_metadata_that_cannot_be_read_just_now_is_not_replaced_by_an_older_version(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ProjectStore(layout)
    store.save(a_meta(name="old"))
    store.save(a_meta(name="new"))
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == "meta.json":
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read)
        (found,) = store.load_all()
        assert isinstance(found, Unreadable) and "Too many open files" in found.problem
    assert store.load("p") == a_meta(name="new")
