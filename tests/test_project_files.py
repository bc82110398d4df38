"""The FileWatcher over a real folder: bursts, bounds, and a system without watches."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import FileCreatedEvent
from watchdog.observers import Observer

from actors import messages
from actors.runtime.clock import SystemClock, ThreadTimers
from actors.watch import project_files
from actors.watch.project_files import NOTED_MAX, PATHS_MAX, FileWatcher, _Notes
from storage import ignore_rules
from storage.ignore_rules import IgnoreRules
from tests.fakes import ManualTimers, Probe
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
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


def test_another_fault_ends_the_watcher(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def schedule(self, *_: Any, **__: Any) -> None:
            raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(project_files, "Observer", Broken)
    watcher = unstarted(Probe(), scratch)
    with pytest.raises(OSError, match="no"):
        watcher.started()


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
    scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scratch / "elsewhere").mkdir()
    (scratch / "p").symlink_to("elsewhere")
    watcher = unstarted(Probe(), scratch / "p")
    watcher.started()
    assert watcher._observer is None and "leads elsewhere" in caplog.text
    assert list(watcher._worth_a_look(None)) == []
