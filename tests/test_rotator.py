"""The Rotator, unstarted: what it tells, when it is careful, and its compressing child."""

import errno
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from freezegun import freeze_time

from actors import messages
from actors.directory import LocalDirectory, LocalProject
from actors.feed.compression import RETRY_MAX_S, RETRY_S
from actors.feed.rotator import CAUTION_S, CHECK_PERIOD_S, SPREAD_S, RotationSettings, Rotator
from actors.runtime.problems import Problems
from storage.layout import DataLayout
from storage.message_log import open_log
from storage.segments import Compression, list_segments
from tests.fakes import ManualTimers, Probe, inbox_of
from tests.test_message_log import append, settings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class SteppedClock:
    """Wall and monotonic time apart: the wall clock can be wrong."""

    def __init__(self) -> None:
        self.wall = NOW
        self.monotonic_s = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic_s += seconds


class Setup:
    def __init__(self, root: Path, **changes: Any) -> None:
        self.layout = DataLayout(root)
        self.layout.create()
        self.clock, self.timers = SteppedClock(), ManualTimers()
        self.problems = Problems()
        self.projects = {name: Probe() for name in ("a", "b")}
        self.directory = LocalDirectory()
        for name, probe in self.projects.items():
            self.directory.put(name, LocalProject(probe.actor_ref))
        self.rotator = Rotator(
            hub=Probe().actor_ref,
            directory=self.directory,
            settings=RotationSettings(
                layout=self.layout,
                rotate_days=30,
                retain_days=changes.get("days", 0),
                retain_bytes=changes.get("size", 0),
                compression=changes.get("compression", Compression.OFF),
            ),
            clock=self.clock,
            timers=self.timers,
            problems=self.problems,
        )
        self.rotator.started()

    def check(self, kind: type = messages._RotationDue) -> list[Any]:
        """One pass; what the project `a` was told."""
        self.timers.fire(kind)
        for message in inbox_of(self.rotator):
            self.rotator.on_receive(message)
        return self.projects["a"].take()


def test_every_project_rolls_at_its_own_time(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    (roll,) = setup.check()
    (other,) = setup.projects["b"].take()
    assert roll.created_before != other.created_before
    for told in (roll, other):
        before = datetime.strptime(told.created_before, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        late = NOW - timedelta(days=30) - before
        assert timedelta(0) <= late <= timedelta(seconds=SPREAD_S)
    assert [timer.delay_s for timer in setup.timers.pending] == [CHECK_PERIOD_S]
    assert len(setup.check()) == 1


def test_retention_by_size_deletes_at_once(tmp_path: Path) -> None:
    setup = Setup(tmp_path, size=1000)
    for _ in range(3):
        _, retain = setup.check()
        assert (retain.rules.total_bytes, retain.rules.older_than) == (1000, None)
        setup.clock.pass_time(CHECK_PERIOD_S)


def test_retention_by_age_is_careful_after_the_start_and_after_a_jump_of_the_clock(
    tmp_path: Path,
) -> None:
    setup = Setup(tmp_path, days=7)

    def allowed() -> int:
        told = [m for m in setup.check() if isinstance(m, messages.RetainLog)]
        return told[0].rules.aged_at_most if told else 0

    for jump in (timedelta(0), timedelta(days=400), timedelta(days=-400)):
        setup.clock.wall += jump
        assert allowed() == 1
        setup.clock.pass_time(CHECK_PERIOD_S)
        assert allowed() == 0
        setup.clock.pass_time(CAUTION_S)
        assert allowed() > 1000
        setup.clock.pass_time(CHECK_PERIOD_S)
    setup.clock.wall += timedelta(hours=23)  # a suspended machine, or a small correction
    assert allowed() > 1000


def make_log(setup: Setup, project_id: str, records: int = 300) -> Path:
    folder = setup.layout.log(project_id)
    log = open_log(folder, settings(rotate=1), None)
    append(log, records)
    append(log, 1)
    log.abandon()
    return folder


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_closed_segments_are_compressed_one_after_the_other(
    tmp_path: Path, compression: Compression
) -> None:
    with freeze_time(NOW):
        setup = Setup(tmp_path, compression=compression)
        folders = [make_log(setup, name) for name in ("a", "b")]
    told = setup.check()
    told += finish(setup)
    setup.timers.fire(messages._CompressionDue)
    compressed = [m for m in told if isinstance(m, messages.SegmentCompressed)]
    assert [m.compression for m in compressed] == [compression]
    segment = list_segments(folders[0])[0]
    fresh = segment.path.with_name(f"{segment.name}{compression.suffix}.new")
    assert fresh.stat().st_mode & 0o777 == 0o600
    if compression is Compression.GZIP:
        data = fresh.read_bytes()
        plain = subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=True)
        assert plain.stdout == segment.path.read_bytes()
    assert (
        list_segments(folders[1])[0]
        .path.with_name(f"{list_segments(folders[1])[0].name}{compression.suffix}.new")
        .exists()
    )
    assert not [t for t in setup.timers.pending if isinstance(t.message, messages._CompressionDue)]


def test_an_agent_writes_a_module_where_the_server_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compressor is a Python program of the server's user, and must not import that module."""
    with freeze_time(NOW):
        setup = Setup(tmp_path / "data", compression=Compression.GZIP)
        make_log(setup, "a")
    marker = tmp_path / "run-by-the-server"
    for name in ("storage", "psutil", "logging", "encodings"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    told = setup.check() + finish(setup)
    assert any(isinstance(m, messages.SegmentCompressed) for m in told)
    assert not marker.exists()


def finish(setup: Setup) -> list[Any]:
    """Waits for the children, one after the other."""
    told = []
    while any(isinstance(t.message, messages._CompressionDue) for t in setup.timers.pending):
        child = setup.rotator._compressing._child
        assert child is not None
        child.wait(30)
        told += setup.check(messages._CompressionDue)
    return told


def test_a_file_that_cannot_be_compressed_stays_plain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(tmp_path, compression=Compression.GZIP)
    segment = list_segments(make_log(setup, "a"))[0]
    with open(segment.path, "ab") as file:
        file.write(b"half a line")
    setup.check()
    told = finish(setup)
    assert told == []
    assert "no whole line" in caplog.text
    assert len(setup.check()) == 1 and setup.rotator._compressing._child is None
    assert segment.path.exists()
    assert not list(segment.path.parent.glob("*.new"))
    (problem,) = setup.problems.now()
    assert segment.name in problem and "no whole line" in problem


def test_compression_is_tried_again_after_a_passing_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, compression=Compression.GZIP)
    make_log(setup, "a")
    started: list[float] = []

    def fail(*_: Any, **__: Any) -> None:
        started.append(setup.clock.monotonic_s)
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", fail)
        for _ in range(40):  # the rotator lives on
            setup.check()
            setup.clock.pass_time(CHECK_PERIOD_S)
        assert "Too many open files" in setup.problems.now()[0]
    waits = [round(b - a) for a, b in pairwise(started)]
    assert waits == [RETRY_S, 2 * RETRY_S]
    setup.clock.pass_time(RETRY_MAX_S)
    told = setup.check() + finish(setup)
    assert [m for m in told if isinstance(m, messages.SegmentCompressed)]
    assert setup.problems.now() == []


def test_a_compressed_file_that_nobody_took_is_handed_over_again(tmp_path: Path) -> None:
    setup = Setup(tmp_path, compression=Compression.GZIP)
    make_log(setup, "a")
    for _ in range(2):
        told = setup.check() + finish(setup)
        assert len([m for m in told if isinstance(m, messages.SegmentCompressed)]) == 1
        assert not [m for m in setup.check() if isinstance(m, messages.SegmentCompressed)]
        setup.clock.pass_time(RETRY_MAX_S)  # the exchange has failed


def test_the_child_does_not_outlive_the_rotator(tmp_path: Path) -> None:
    setup = Setup(tmp_path, compression=Compression.ZSTD)
    make_log(setup, "a", 3000)
    setup.check()
    child = setup.rotator._compressing._child
    assert child is not None
    setup.rotator.release()
    assert child.returncode is not None
    assert not psutil.pid_exists(child.pid)
    assert child.returncode == 0 or not list(setup.layout.log("a").glob("*.new"))
    assert threading.active_count() == 1
