"""The metadata of projects where something went wrong before."""

import errno
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.layout import DataLayout
from storage.projects import ProjectStore, Unreadable
from tests.test_storage import a_meta, layout

__all__ = ["layout"]


def test_remains_of_a_failed_deletion_are_set_aside(layout: DataLayout) -> None:
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


def test_a_creation_that_never_began_leaves_the_id_free(layout: DataLayout) -> None:
    store = ProjectStore(layout)
    store.clear_way("p")
    layout.project("p").mkdir()
    (layout.project("p") / "meta.json.new").write_bytes(b"{")  # the disk was full
    store.clear_way("p")
    store.save(a_meta())
    assert store.load("p") == a_meta()


def test_unrecognised_data_blocks_a_creation(layout: DataLayout) -> None:
    (layout.project("p") / "log").mkdir(parents=True)
    with pytest.raises(StorageError, match="has data of another project"):
        ProjectStore(layout).clear_way("p")


def test_temporarily_unreadable_metadata_is_not_replaced(
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
