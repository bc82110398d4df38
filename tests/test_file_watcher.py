"""The FileWatcher over a real folder: bursts, bounds, and a system without watches."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import file_watcher, messages
from actors.clock import SystemClock, ThreadTimers
from actors.file_watcher import NOTED_MAX, PATHS_MAX, FileWatcher, _Notes
from tests.fakes import Probe
from tests.processes import wait_until


class Watched:
    """A watcher that runs, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.project = Probe()
        self.timers = ThreadTimers(SystemClock())
        self.timers.start()
        self.told: list[messages.FilesChanged] = []
        self.ref = FileWatcher.start(
            project=self.project.actor_ref, folder=str(folder), timers=self.timers
        )

    def paths(self) -> set[str]:
        self.told += self.project.take()
        return {path for message in self.told for path in message.paths}

    def stop(self) -> None:
        self.ref.stop(block=True, timeout=5)
        self.timers.stop(2)


@pytest.fixture
def watch(scratch: Path) -> Iterator[Any]:
    started: list[Watched] = []

    def start() -> Watched:
        started.append(Watched(scratch))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_a_burst_is_one_report_of_at_most_so_many(watch: Any, scratch: Path) -> None:
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
def test_without_watches_it_looks_by_itself(
    watch: Any,
    scratch: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class NoWatches:
        def schedule(self, *_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_watcher, "Observer", NoWatches)
    (scratch / ".gitignore").write_text("node_modules/\n")
    (scratch / "node_modules").mkdir()
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: looked.append(os.fspath(p)) or scandir(p))
    began = time.monotonic()
    watched = watch()
    wait_until(lambda: looked != [])
    (scratch / "src").mkdir()
    (scratch / "src" / "new.py").touch()
    (scratch / "node_modules" / "x.js").touch()
    wait_until(lambda: "src/new.py" in watched.paths())
    assert time.monotonic() - began < 10
    assert "fs.inotify.max_user_watches" in caplog.text
    assert not any("node_modules" in path for path in [*watched.paths(), *looked])


def test_another_fault_is_none_of_these(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def schedule(self, *_: Any, **__: Any) -> None:
            raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(file_watcher, "Observer", Broken)
    watcher = FileWatcher(project=Probe().actor_ref, folder=str(scratch), timers=None)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no"):
        watcher.started()


def test_what_is_noted_is_bounded() -> None:
    """100,000 files of a dependency folder that is being written."""
    from watchdog.events import FileCreatedEvent

    notes = _Notes(Probe().actor_ref)
    for number in range(NOTED_MAX + 100):
        notes.on_any_event(FileCreatedEvent(f"/p/node_modules/{number}"))
    paths, overflowed = notes.take()
    assert len(paths) == NOTED_MAX and overflowed
