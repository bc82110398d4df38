"""The server's own files - the lock and the id of its data folder, its socket - while others move,
delete or exchange them."""

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.executor.permission_requests import PermissionRequests
from actors.executor.starter import Starter
from actors.frontend.unix_listener import UnixListener
from actors.runtime.problems import Problems
from actors.watch.places import DataFolderPlace, PlaceWatcher
from actors.watch.room import StoragePlace
from protocol import requests
from protocol.claude import SessionChoice
from storage.errors import AlreadyLocked, DataFolderLost
from storage.layout import DataLayout
from storage.lock import DataLock
from storage.projects import ProjectStore
from storage.retention import RetentionRules
from storage.segments import Compression
from tests.executor_setup import settings as executor_settings
from tests.fakes import ManualTimers, Probe, inbox_of
from tests.harness import HubProcess
from tests.processes import wait_until
from tests.project_setup import ProjectSetup, execute, frozen, setup
from tests.test_storage import a_meta, layout

__all__ = ["frozen", "layout", "setup"]

DATA_ID = "0123456789abcdef"


@pytest.fixture
def held(layout: DataLayout) -> Iterator[DataLayout]:
    layout.lock.acquire()
    yield layout
    layout.lock.release()


def path_of(layout: DataLayout) -> Path:
    return layout.root / "lock"


# -- the lock --------------------------------------------------------------------------------------


def test_a_lock_in_its_place_is_not_lost(held: DataLayout) -> None:
    assert not held.lock.is_lost
    assert held.lock.look() is None
    held.check_ours()


def test_a_deleted_lock_file_is_made_again_and_keeps_others_out(held: DataLayout) -> None:
    path_of(held).unlink()
    assert held.lock.is_lost
    with pytest.raises(DataFolderLost):
        held.check_ours()
    assert held.lock.look() is None
    assert not held.lock.is_lost
    with pytest.raises(AlreadyLocked, match=str(os.getpid())):
        DataLock(path_of(held)).acquire()
    assert sorted(p.name for p in held.root.glob("lock*")) == ["lock"]
    assert path_of(held).stat().st_mode & 0o777 == 0o600


def test_another_server_that_came_first_has_the_lock(held: DataLayout) -> None:
    path_of(held).unlink()
    second = DataLock(path_of(held))
    second.acquire()
    with pytest.raises(DataFolderLost, match="another server"):
        held.lock.look()
    assert second.look() is None
    second.release()


def test_of_two_servers_without_a_lock_file_one_stays(held: DataLayout) -> None:
    """The file of the second is deleted as well: each takes itself for the holder."""
    path_of(held).unlink()
    second = DataLock(path_of(held))
    second.acquire()
    path_of(held).unlink()
    assert second.look() is None
    with pytest.raises(DataFolderLost):
        held.lock.look()
    path_of(held).unlink()
    assert held.lock.look() is None  # the other order
    with pytest.raises(DataFolderLost):
        second.look()
    second.release()


def test_a_name_that_is_taken_between_look_and_link_is_lost(
    held: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_of(held).unlink()
    second, real = DataLock(path_of(held)), os.link

    def link(source: Any, target: Any) -> None:
        second.acquire()
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        with pytest.raises(DataFolderLost):
            held.lock.look()
    assert not second.is_lost and held.lock.is_lost
    assert sorted(p.name for p in held.root.glob("lock*")) == ["lock"]
    second.release()


def test_who_locks_a_file_that_has_lost_its_name_tries_again(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads to another file between the open and the flock."""
    lock, real, opened = DataLock(path_of(layout)), os.open, []

    def open_and_lose(path: Any, *rest: Any) -> int:
        fd = real(path, *rest)
        if not opened:
            os.unlink(path)
        opened.append(fd)
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_and_lose)
        lock.acquire()
    assert len(opened) == 2 and not lock.is_lost
    lock.release()


@pytest.mark.parametrize("way", ["moved", "exchanged", "gone"])
def test_nothing_is_made_in_another_data_folder(held: DataLayout, way: str) -> None:
    if way == "gone":
        shutil.rmtree(held.root)
    else:
        held.root.rename(held.root.with_name("elsewhere"))
    if way == "exchanged":
        held.root.mkdir()
    with pytest.raises(DataFolderLost):
        held.lock.look()
    with pytest.raises(DataFolderLost):
        ProjectStore(held).save(a_meta("p"))
    assert not held.projects.exists()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOSPC, errno.EROFS])
def test_a_passing_failure_is_tried_again(
    held: DataLayout, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    path_of(held).unlink()

    def fail(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        assert os.strerror(error) in (held.lock.look() or "")
    assert held.lock.look() is None and not held.lock.is_lost


def test_without_links_the_lock_cannot_be_taken_again(
    held: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_of(held).unlink()

    def fail(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        with pytest.raises(DataFolderLost):
            held.lock.look()


def test_nothing_is_deleted_once_the_lock_is_lost(setup: ProjectSetup) -> None:
    setup.layout.lock.acquire()
    setup.end(setup.execute("x"))
    before = setup.lines()
    path_of(setup.layout).unlink()
    store = ProjectStore(setup.layout)
    for act in (
        lambda: store.remove("p"),
        lambda: store.keep(setup.meta()),
        lambda: setup.project._log.retain(RetentionRules(None, 1)),
        lambda: setup.project._log.take_compressed("x", Compression.GZIP),
    ):
        with pytest.raises(DataFolderLost):
            act()
    assert setup.lines() == before
    setup.layout.lock.release()


def test_no_agent_starts_once_the_lock_is_lost(held: DataLayout) -> None:
    starter = Starter(
        owner=Probe().actor_ref,
        name="x",
        folder=str(held.root),
        settings=executor_settings(is_ours=lambda: not held.lock.is_lost),
        timers=ManualTimers(),
        permission_requests=PermissionRequests(Probe(), background=False),  # type: ignore[arg-type]
    )
    launch, wanted = starter.wanted(requests.Options())
    path_of(held).unlink()
    with pytest.raises(OSError, match="lock"):
        starter.start(SessionChoice(), launch, wanted, model_named=False)


def test_no_prompt_is_accepted_once_the_lock_is_lost(setup: ProjectSetup) -> None:
    setup.layout.lock.acquire()
    setup.execute("before")
    path_of(setup.layout).unlink()
    setup.ask(execute("behind"))
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert setup.layout.lock.look() is None
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    setup.execute("again")
    setup.layout.lock.release()


# -- the watcher -----------------------------------------------------------------------------------


class Watching:
    def __init__(self, layout: DataLayout, *others: Any) -> None:
        self.problems, self.timers = Problems(), ManualTimers()
        self.deaths: list[str] = []
        self.watcher = PlaceWatcher(
            places=[DataFolderPlace(layout, DATA_ID), *others],
            problems=self.problems,
            timers=self.timers,
            died=self.deaths.append,
        )
        self.watcher.started()

    def look(self) -> list[str]:
        self.timers.fire(messages._PlaceLookDue)
        for message in inbox_of(self.watcher):
            self.watcher.on_receive(message)
        return self.problems.now()


def test_the_id_of_a_data_folder_is_written_again(held: DataLayout) -> None:
    watching = Watching(held)
    for content in (None, b"", b"fedcba9876543210"):
        held.id_file.unlink(missing_ok=True)
        if content is not None:
            held.id_file.write_bytes(content)
        assert watching.look() == []
        assert held.data_id() == DATA_ID
    held.id_file.unlink()
    held.id_file.mkdir()
    (held.id_file / "x").touch()
    assert "cannot be written again" in watching.look()[0]
    shutil.rmtree(held.id_file)
    assert watching.look() == [] and held.data_id() == DATA_ID
    assert watching.deaths == []


def test_the_server_stops_when_the_data_folder_is_lost(held: DataLayout) -> None:
    watching = Watching(held)
    assert watching.look() == []
    path_of(held).unlink()
    second = DataLock(path_of(held))
    second.acquire()
    (problem,) = watching.look()
    assert "another server" in problem and watching.deaths == [problem.split(": ", 1)[1]]
    second.release()


def test_too_little_space_is_logged_when_it_begins_and_when_it_ends(
    held: DataLayout, caplog: pytest.LogCaptureFixture
) -> None:
    place = StoragePlace(held.root, 1 << 60)
    watching = Watching(held, place)
    with caplog.at_level("INFO", "claudehub.health"):
        assert watching.look() == watching.look() != []
        place.min_free_bytes = 0
        assert watching.look() == watching.look() == []
    problem = "less than MIN_FREE_BYTES (1048576.0 TiB) is free; prompts are refused"
    assert [m for m in caplog.messages if "part=" in m] == [
        f'something does not work part=storage problem="{problem}"',
        "it works again part=storage",
    ]


# -- the socket ------------------------------------------------------------------------------------


@pytest.fixture
def listener(scratch: Path) -> Iterator[UnixListener]:
    made = UnixListener(scratch / "hub.sock")
    yield made
    made.close()


def reaches(listener: UnixListener) -> bool:
    """Connect to the path; return True if the listener gets the connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(listener.path))
        client.send(b"x")
        listener.socket.settimeout(5)
        with listener.socket.accept()[0] as accepted:
            return accepted.recv(1) == b"x"


def test_a_deleted_socket_is_made_again(listener: UnixListener) -> None:
    assert listener.look() is None
    listener.path.unlink()
    assert listener.look() is None
    assert reaches(listener)
    assert listener.path.stat().st_mode & 0o777 == 0o600
    listener.close()
    assert not listener.path.exists()


def test_a_dead_socket_of_another_server_is_no_obstacle(listener: UnixListener) -> None:
    listener.path.unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(listener.path))
    assert listener.look() is None
    assert reaches(listener)


def test_another_servers_socket_is_left_alone_and_told(listener: UnixListener) -> None:
    listener.path.unlink()
    other = UnixListener(listener.path)
    for _ in range(3):
        assert "another server listens" in (listener.look() or "")
    other.socket.accept()[0].close()  # the one look that has called it
    listener.close()
    assert reaches(other)
    other.close()


def test_a_file_in_the_sockets_place_is_left_alone_and_told(listener: UnixListener) -> None:
    listener.path.unlink()
    listener.path.write_bytes(b"mine")
    assert "no socket" in (listener.look() or "")
    listener.close()
    assert listener.path.read_bytes() == b"mine"
    listener.path.unlink()


def test_a_socket_whose_folder_is_gone_is_told_and_made_again(
    scratch: Path, held: DataLayout
) -> None:
    folder = scratch / "run"
    folder.mkdir()
    listener = UnixListener(folder / "hub.sock")
    watching = Watching(held, listener)
    folder.rename(scratch / "moved")
    assert watching.look()[0].startswith("socket: ")
    folder.mkdir()
    assert watching.look() == []
    assert reaches(listener)
    listener.close()


# -- a server --------------------------------------------------------------------------------------


def test_a_server_whose_lock_file_is_exchanged_stops(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    second = DataLock(hub.data / "lock")
    (hub.data / "lock").unlink()
    second.acquire()
    with contextlib.ExitStack() as stack:
        stack.callback(second.release)
        assert hub.wait() == 1
    assert "another server may have it" in hub.errors.read_text().splitlines()[-1]


def test_a_server_whose_files_are_deleted_goes_on(scratch: Path) -> None:
    path = scratch / "hub.sock"
    hub = HubProcess(scratch, SOCKET=str(path)).start()
    for gone in (path, hub.data / "lock", hub.data / "id"):
        gone.unlink()
    wait_until(lambda: path.exists() and (hub.data / "id").exists())
    with pytest.raises(AlreadyLocked, match=str(hub.pid)):
        DataLock(hub.data / "lock").acquire()
    hub.url = f"unix:{path}"
    with hub.client() as client:
        assert client.request("health_check")["status"] == "ok"
    assert hub.stop() == 0
    assert not path.exists()
