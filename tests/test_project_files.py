"""The FileWatcher over a real folder: bursts, bounds, and a system without watches."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import FileCreatedEvent
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserverVFS

from actors import messages
from actors.runtime.clock import SystemClock, ThreadTimers
from actors.runtime.problems import Problems
from actors.watch import project_files
from actors.watch.observing import threads_of
from actors.watch.project_files import (
    NOTED_MAX,
    PATHS_MAX,
    RETRY_MAX_S,
    RETRY_S,
    FileWatcher,
    _Notes,
)
from storage import ignore_rules
from storage.ignore_rules import IgnoreRules
from tests.fakes import ManualTimers, Probe, inbox_of
from tests.harness import TIMEOUT_S
from tests.processes import wait_until


class Watched:
    """A watcher that runs, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.project = Probe()
        self.timers = ThreadTimers(SystemClock())
        self.timers.start()
        self.told: list[messages.FilesChanged] = []
        self.ref = FileWatcher.start(
            project=self.project.actor_ref,
            folder=str(folder),
            timers=self.timers,
            problems=Problems(),
            part="files",
        )

    def paths(self) -> set[str]:
        self.told += self.project.take()
        return {path for message in self.told for path in message.paths}

    def stop(self) -> None:
        self.ref.stop(block=True, timeout=5)
        self.timers.stop(2)


def unstarted(project: Probe, folder: Path) -> FileWatcher:
    return FileWatcher(
        project=project.actor_ref,
        folder=str(folder),
        timers=ManualTimers(),
        problems=Problems(),
        part="files",
    )


@pytest.fixture
def watch(scratch: Path) -> Iterator[Any]:
    started: list[Watched] = []

    def start() -> Watched:
        started.append(Watched(scratch))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and reports come sooner."""
    monkeypatch.setattr(project_files, "POLL_S", 0.2)
    monkeypatch.setattr(project_files, "REPORT_DELAY_S", 0.1)


def test_a_burst_is_one_report_with_limited_paths(watch: Any, scratch: Path) -> None:
    watched = watch()

    def is_heard() -> bool:
        (scratch / "ready").touch()  # again: the watch begins in a thread of its own
        return "ready" in watched.paths()

    wait_until(is_heard)
    watched.told.clear()
    for number in range(10 * PATHS_MAX):
        (scratch / f"f{number:04}").touch()
    wait_until(lambda: len(watched.paths()) >= PATHS_MAX)
    assert all(len(m.paths) <= PATHS_MAX for m in watched.told)
    assert any(m.truncated for m in watched.told)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_without_watches_the_watcher_polls(
    watch: Any,
    scratch: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class NoWatches:
        def schedule(self, *_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

        def stop(self) -> None:
            pass

        def is_alive(self) -> bool:
            return False

    hurry(monkeypatch)
    monkeypatch.setattr(project_files, "Observer", NoWatches)
    (scratch / ".gitignore").write_text("node_modules/\n")
    (scratch / "node_modules").mkdir()
    (scratch / "loop").symlink_to("loop")
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: looked.append(os.fspath(p)) or scandir(p))
    began = time.monotonic()
    watched = watch()
    wait_until(lambda: looked != [])
    (scratch / "src").mkdir()
    sizes = iter(range(1, 1000))

    def is_heard() -> bool:
        for path in (scratch / "src" / "new.py", scratch / "node_modules" / "x.js"):
            path.write_text("x" * next(sizes))  # again: the first look may have seen it
        return "src/new.py" in watched.paths()

    wait_until(is_heard)
    assert time.monotonic() - began < 10
    assert "fs.inotify.max_user_watches" in caplog.text
    assert not any("node_modules" in path for path in [*watched.paths(), *looked])


class Broken(Observer):  # type: ignore[valid-type, misc]  # watchdog picks the class
    """An observer that cannot begin."""

    fault: Exception

    def start(self) -> None:
        raise self.fault


def look(watcher: FileWatcher) -> float:
    """Let the time pass until the watcher looks after its watch; return how long that was."""
    timers: Any = watcher._timers
    (due,) = [t for t in timers.pending if isinstance(t.message, messages._WatchDue)]
    timers.fire(messages._WatchDue)
    for message in inbox_of(watcher):
        watcher.on_receive(message)
    return float(due.delay_s)


@pytest.mark.parametrize(
    "fault", [OSError(errno.EACCES, "no"), OSError(errno.EIO, "no"), RuntimeError("no")]
)
def test_a_fault_is_told_and_tried_again(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    project = Probe()
    watcher = unstarted(project, scratch)
    with monkeypatch.context() as patch:
        patch.setattr(Broken, "fault", fault, raising=False)
        patch.setattr(project_files, "Observer", Broken)
        watcher.started()
        assert watcher._problems.now() == ["files: changes are not noticed at present: no"]
        delays = [look(watcher) for _ in range(8)]
    assert delays == sorted(delays) and delays[0] == RETRY_S and delays[-1] == RETRY_MAX_S
    assert (
        watcher._problems.now() == ["files: changes are not noticed at present: no"]
        and not project.take()
    )
    look(watcher)
    assert watcher._problems.now() == []
    assert project.take() == [messages.FilesChanged(paths=(), truncated=True)]
    look(watcher)
    assert look(watcher) == RETRY_S
    watcher.release()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_polling_ends_when_there_are_watches_again(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    project = Probe()
    watcher = unstarted(project, scratch)
    with monkeypatch.context() as patch:
        patch.setattr(Broken, "fault", OSError(number, "no"), raising=False)
        patch.setattr(project_files, "Observer", Broken)
        watcher.started()
        polling = watcher._observer
        assert isinstance(polling, PollingObserverVFS)
        look(watcher)
        assert watcher._observer is polling  # it goes on meanwhile
    look(watcher)
    assert not isinstance(watcher._observer, PollingObserverVFS) and not polling.is_alive()
    assert project.take() == []  # nothing was missed
    watcher.release()


@pytest.mark.parametrize("way", ["replaced", "moved and back"])
def test_the_folder_that_has_the_name_is_watched(scratch: Path, way: str) -> None:
    folder = scratch / "p"
    folder.mkdir()
    project = Probe()
    watcher = unstarted(project, folder)
    watcher.started()
    look(watcher)
    first = watcher._observer
    assert first is not None
    folder.rename(scratch / "elsewhere")
    if way == "replaced":
        folder.mkdir()
    else:
        look(watcher)
        assert "not noticed" in watcher._problems.now()[0]
        (scratch / "elsewhere").rename(folder)
    look(watcher)
    assert watcher._observer not in (None, first)
    assert messages.FilesChanged(paths=(), truncated=True) in project.take()
    (folder / "new").touch()
    wait_until(lambda: any("new" in path for path in watcher._notes._paths))
    watcher.release()


def test_a_watch_that_has_ended_begins_again(scratch: Path) -> None:
    watcher = unstarted(Probe(), scratch)
    watcher.started()
    assert watcher._observer is not None
    for emitter in watcher._observer.emitters:  # as watchdog does it when its folder is deleted
        emitter.stop()
        emitter.join()
    look(watcher)
    assert all(emitter.is_alive() for emitter in watcher._observer.emitters)
    watcher.release()


def end_thread(observer: Any, method: str, touched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the thread of an observer that has this method fail at its next call."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError(method)

    (thread,) = [each for each in threads_of(observer) if hasattr(each, method)]
    setattr(thread, method, fail)
    touched.touch()
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("method", ["dispatch_events", "queue_events", "read_events"])
def test_a_watch_begins_again_whichever_of_its_threads_has_failed(
    method: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Probe()
    watcher = unstarted(project, scratch)
    watcher.started()
    first = watcher._observer
    end_thread(first, method, scratch / "unnoticed", monkeypatch)
    look(watcher)
    assert watcher._observer not in (None, first)
    assert messages.FilesChanged(paths=(), truncated=True) in project.take()
    (scratch / "new").touch()
    wait_until(lambda: any("new" in path for path in watcher._notes._paths))
    watcher.release()


class FewWatches:
    """As watchdog does it: of all folders only the first one's fault is heard."""

    left = 1

    def __init__(self) -> None:
        self.observer = Observer()

    def schedule(self, *given: Any, **options: Any) -> None:
        self.observer.schedule(*given, **options)

    def start(self) -> None:
        if FewWatches.left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        FewWatches.left -= 1
        self.observer.start()

    @property
    def emitters(self) -> Any:
        return self.observer.emitters

    def is_alive(self) -> bool:
        return self.observer.is_alive()

    def stop(self) -> None:
        self.observer.stop()

    def join(self, timeout: float) -> None:
        if self.is_alive():
            self.observer.join(timeout)


@pytest.mark.parametrize("left", [1, 2], ids=["at the start", "when a folder comes"])
def test_watches_that_run_out_below_the_root_are_noticed(
    watch: Any,
    scratch: Path,
    left: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(FewWatches, "left", left)
    monkeypatch.setattr(project_files, "Observer", FewWatches)
    watched = watch()
    numbers = iter(range(10_000))

    def is_noticed() -> bool:
        (scratch / f"folder{next(numbers)}").mkdir()
        return "fs.inotify.max_user_watches" in caplog.text

    wait_until(is_noticed)
    if left == 2:
        wait_until(lambda: bool(watched.paths()))  # what had been noted before is not lost

    def is_heard() -> bool:
        (scratch / "folder0" / f"f{next(numbers)}").touch()
        return any(path.startswith("folder0/f") for path in watched.paths())

    wait_until(is_heard)


def test_changes_beyond_the_limit_are_reported_as_truncated(scratch: Path) -> None:
    """One that matters may be among those that were not noted."""
    project = Probe()
    watcher = unstarted(project, scratch)
    (scratch / ".gitignore").write_text("node_modules/\n")
    for number in range(NOTED_MAX):
        path = scratch / "node_modules" / str(number)
        watcher._notes.on_any_event(FileCreatedEvent(str(path)))
    watcher._send_report()
    assert project.take() == []
    for number in range(NOTED_MAX):
        path = scratch / "node_modules" / str(number)
        watcher._notes.on_any_event(FileCreatedEvent(str(path)))
    watcher._notes.on_any_event(FileCreatedEvent(str(scratch / "src.py")))
    watcher._send_report()
    assert project.take() == [messages.FilesChanged(paths=(), truncated=True)]


def test_noted_paths_are_limited() -> None:
    """For example 100,000 files of a dependency folder."""
    notes = _Notes(Probe().actor_ref)
    for number in range(NOTED_MAX + 100):
        notes.on_any_event(FileCreatedEvent(f"/p/node_modules/{number}"))
    paths, overflowed, _ = notes.take()
    assert len(paths) == NOTED_MAX and overflowed


@pytest.mark.parametrize(
    "pattern", ["*a" * 25 + "*b", "**/a/" * 25 + "z", "*" * 300 + "x", "[" * 300, "?" * 250]
)
def test_a_hostile_gitignore_delays_nobody(scratch: Path, pattern: str) -> None:
    """An agent or a repository writes it, and nothing could interrupt the match."""
    (scratch / ".gitignore").write_text(f"*.log\n{pattern}\n" * 100)
    began_s = time.process_time()
    for path in ("a" * 200, "a/" * 20 + "a", "sub/" + "a" * 200):
        assert not IgnoreRules(scratch).match(path)
    assert IgnoreRules(scratch).match("sub/x.log")
    assert time.process_time() - began_s < 20


def test_paths_beyond_the_limit_count_as_changed(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignore_rules, "TRIES_MAX", 50)
    (scratch / ".gitignore").write_text("*.log\n" * 10)
    project = Probe()
    watcher = unstarted(project, scratch)
    for number in range(8):
        watcher._notes.on_any_event(FileCreatedEvent(str(scratch / f"{number}.txt")))
    watcher._send_report()
    (told,) = project.take()
    assert told.truncated and 0 < len(told.paths) < 8


def test_a_folder_that_became_a_link_is_not_watched(
    scratch: Path,
) -> None:
    (scratch / "elsewhere").mkdir()
    (scratch / "p").symlink_to("elsewhere")
    watcher = unstarted(Probe(), scratch / "p")
    watcher.started()
    assert watcher._observer is None and "leads elsewhere" in watcher._problems.now()[0]
    assert list(watcher._worth_a_look(None)) == []
