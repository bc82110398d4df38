"""A project looks after its log: retention, compression, damage, a flush that failed, a disk that
stalls."""

import errno
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.executor.output import CREDIT_BYTES
from actors.feed.damage import Damage
from storage import disk
from storage.compressor import compress
from storage.log_reader import LogReader
from storage.log_state import SyncPolicy
from storage.pages import MissingRecords
from storage.recovery import Recovered
from storage.retention import RetentionRules
from storage.segments import Compression, list_segments
from tests.fakes import Probe
from tests.project_setup import ProjectSetup, execute, frozen, output, setup

__all__ = ["frozen", "setup"]

ALL = RetentionRules(None, 1)


@pytest.fixture
def rolling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every batch is a file of its own."""
    made = ProjectSetup(tmp_path, monkeypatch, rotate=1)
    yield made
    made.project.release()


def names(setup: ProjectSetup) -> list[str]:
    return [segment.path.name for segment in list_segments(setup.layout.log("p"))]


def fail_for_segments(path: Any, real: Any = os.unlink) -> None:
    if str(path).endswith(".jsonl"):
        raise OSError(errno.EIO, "planned")
    real(path)


def problems(setup: ProjectSetup) -> list[str | None]:
    told = [m for m in setup.hub.take() if isinstance(m, messages.ProjectStatusChanged)]
    return [m.problem for m in told]


def test_retention_deletes_the_oldest_files_but_nothing_of_what_runs(rolling: ProjectSetup) -> None:
    rolling.end(rolling.execute())
    open_since = rolling.lines()[-1]["seq"]
    (rolling.layout.log("p") / f"{names(rolling)[0]}.gz.new").write_bytes(b"half a file")
    running = rolling.execute()
    rolling.tell(output(running, b"{}"))
    rolling.tell(messages.RetainLog(rules=ALL))
    first = rolling.project._status.describe().first_seq
    assert first == open_since + 1
    assert rolling.lines()[0]["update_type"] == "prompt"
    rolling.end(running)
    rolling.tell(messages.RetainLog(rules=ALL))
    assert [path.name for path in rolling.layout.log("p").iterdir()] == names(rolling)[:1]
    bounds = rolling.project._status.describe()
    state = rolling.meta().log
    assert state is not None and state.first_seq == bounds.first_seq == bounds.last_seq
    log_id = state.log_id
    rolling.project.release()
    rolling.open()
    state = rolling.meta().log
    assert state is not None and state.log_id == log_id  # what was deleted is not missed


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (RetentionRules(datetime(2026, 11, 25, tzinfo=UTC), 0), 1),
        (RetentionRules(datetime(2026, 11, 25, tzinfo=UTC), 0, 2), -2),
        (RetentionRules(datetime(2026, 11, 24, tzinfo=UTC), 0), 0),
        (RetentionRules(None, 1 << 30), 0),
    ],
)
def test_retention_follows_age_and_size(
    rolling: ProjectSetup, rules: RetentionRules, left: int
) -> None:
    rolling.end(rolling.execute())
    before = len(names(rolling))
    rolling.tell(messages.RetainLog(rules=rules))
    assert len(names(rolling)) == (left if left > 0 else before + left)


def test_a_files_age_is_that_of_its_records(rolling: ProjectSetup) -> None:
    """A clock that was a year ahead, or a copy of the folder, must not keep it for ever."""
    rolling.end(rolling.execute())
    before = len(names(rolling))
    for segment in list_segments(rolling.layout.log("p")):
        os.utime(segment.path, (4e9, 4e9))
    rules = RetentionRules(datetime(2026, 11, 24, 13, tzinfo=UTC), 0)
    rolling.tell(messages.RetainLog(rules=rules))
    assert len(names(rolling)) == 1 < before


def test_retention_that_fails_is_tried_again(
    rolling: ProjectSetup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rolling.end(rolling.execute())
    before = names(rolling)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail_for_segments)
        rolling.tell(messages.RetainLog(rules=ALL))
    assert names(rolling) == before and "deleting segments" in caplog.text
    assert rolling.project._status.describe().status == "idle"
    rolling.tell(messages.RetainLog(rules=ALL))
    assert len(names(rolling)) == 1


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_a_compressed_file_takes_the_place_of_the_plain_one(
    rolling: ProjectSetup, compression: Compression
) -> None:
    rolling.end(rolling.execute())
    segment = list_segments(rolling.layout.log("p"))[0]
    plain = segment.path.read_bytes()
    fresh = segment.path.with_name(segment.name + compression.suffix + ".new")
    compress(segment.path, fresh, compression, lambda: True)
    told = messages.SegmentCompressed(name=segment.name, compression=compression)
    rolling.tell(told)
    assert names(rolling)[0] == segment.name + compression.suffix
    assert not segment.path.exists() and not fresh.exists()
    page = rolling.project._log.reader().read_after(0, 1)
    assert page.items == (plain,)
    fresh.write_bytes(b"late")
    rolling.tell(told)  # a second time, or for one that is gone: it is thrown away
    assert not fresh.exists() and names(rolling)[0].endswith(compression.suffix)


def test_damage_met_by_a_reader_is_reported_once(setup: ProjectSetup) -> None:
    problems(setup)
    setup.tell(messages.DamageSeen(missing=(MissingRecords(5, 7),)))
    (problem,) = problems(setup)
    assert problem is not None and "records 5 to 7" in problem
    setup.tell(messages.DamageSeen(missing=(MissingRecords(6, 6),)))
    assert problems(setup) == []
    setup.tell(messages.DamageSeen(missing=(MissingRecords(9, 9),)))
    (problem,) = problems(setup)
    assert problem is not None and "records 5 to 7, record 9;" in problem
    assert setup.project._status.describe().status == "idle"


def test_a_log_that_is_moved_away_is_a_problem_as_soon_as_a_reader_fails(
    setup: ProjectSetup,
) -> None:
    setup.end(setup.execute())
    problems(setup)
    folder = setup.layout.log("p")
    folder.rename(folder.with_name("elsewhere"))
    setup.tell(messages.LogUnreadable(seq=0))
    (problem,) = problems(setup)
    assert problem is not None and "was moved or deleted while the server ran" in problem
    assert setup.project._log.reader().read_after(0, setup.project._log.last_seq).missing
    setup.end(setup.execute())


def test_a_log_that_cannot_be_read_is_a_problem_until_it_can(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.end(setup.execute())
    problems(setup)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    rotate = messages.RotateLog(created_before="")
    with monkeypatch.context() as patch:
        patch.setattr(LogReader, "read_after", fail)
        setup.tell(messages.LogUnreadable(seq=1))
        (problem,) = problems(setup)
        assert problem is not None and problem.startswith("the log cannot be read: ")
        setup.tell(rotate)
        assert problems(setup) == []
    assert setup.project._status.describe().status == "idle", "it can be written"
    setup.tell(rotate)
    assert problems(setup) == [None]


def test_deleted_history_is_no_damage() -> None:
    damage = Damage([MissingRecords(1, 2)], Recovered(()))
    assert not damage.note([MissingRecords(3, 4)], first_seq=5)
    assert damage.problem(first_seq=5) is None
    many = [MissingRecords(n, n) for n in range(10, 30, 2)]
    assert damage.note(many, first_seq=5)
    problem = damage.problem(first_seq=5)
    assert problem is not None and "7 further ranges" in problem
    gone = Damage([], Recovered((), is_segment_gone=True)).problem(1)
    assert gone is not None and "a file of the log is gone" in gone


def test_after_a_failed_flush_nothing_is_taken_until_the_log_is_reopened(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    subscriber = setup.join()
    setup.executor.take()
    real = disk.sync

    def fail(fd: int, **options: Any) -> None:
        raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        setup.tell(output(execution_id, b'{"n":1}', size=CREDIT_BYTES))
    assert setup.project._status.describe().status == "error"
    shown = len(subscriber.batches)
    # The disk works again, but this log has stopped: what comes now waits too.
    setup.tell(output(execution_id, b'{"n":2}'))
    setup.ask(execute("no"))
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert setup.executor.take() == []
    assert not [batch for batch in subscriber.batches[shown:] if batch.last_seq is not None]
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert disk.sync is real
    assert [line["data"]["n"] for line in setup.lines()[-2:]] == [1, 2]
    assert [m.size_bytes for m in setup.executor.take()] == [CREDIT_BYTES + 1]
    assert len(list_segments(setup.layout.log("p"))) == 2
    setup.end(execution_id)
    assert setup.project._status.describe().status == "idle"


def test_a_disk_that_stalls_holds_back_credit_and_loses_nothing(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    setup.executor.take()
    stalled, go_on = threading.Event(), threading.Event()
    real = disk.sync

    def stall(fd: int, **options: Any) -> None:
        stalled.set()
        assert go_on.wait(10)
        real(fd, **options)

    monkeypatch.setattr(disk, "sync", stall)
    line = output(execution_id, b'{"n":1}', size=CREDIT_BYTES)
    writing = threading.Thread(target=setup.tell, args=(line,))
    writing.start()
    assert stalled.wait(10)
    assert setup.executor.take() == []  # the pipe is left unread
    go_on.set()
    writing.join()
    assert [m.size_bytes for m in setup.executor.take()] == [CREDIT_BYTES]
    assert setup.lines()[-1]["data"] == {"n": 1}


def test_a_clean_start_writes_nothing_until_the_first_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, sync=SyncPolicy.NEVER)
    setup.end(setup.execute())
    setup.tell(messages.StopProject())
    file = setup.layout.project("p") / "meta.json"
    before = file.stat().st_mtime_ns
    assert json.loads(file.read_bytes())["log"]["clean"]
    setup.open()
    assert file.stat().st_mtime_ns == before
    setup.execute()
    assert json.loads(file.read_bytes())["log"]["clean"] is None
    setup.project.release()
    assert isinstance(setup.hub, Probe)


def test_damage_is_remembered_through_restarts(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.tell(messages.DamageSeen(missing=(MissingRecords(1, 1),)))
    setup.tell(messages.StopProject())
    setup.open()
    told = problems(setup)[-1]
    assert told is not None and "record 1;" in told


def test_a_failed_metadata_flush_stops_the_log_until_it_is_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, sync=SyncPolicy.INTERVAL)
    setup.end(setup.execute())
    setup.tell(output("none", b"{}"))
    log = setup.project._log
    real = disk.sync

    def fail(fd: int, **options: Any) -> None:
        raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        setup.tell(messages.AgentOutput(process_name="x", execution_id="x", lines=(), size_bytes=0))
        setup.project._feed.save()
        setup.tell(messages.Describe(list_number=1))  # whatever comes next
    assert setup.project._status.describe().status == "error" and log.is_stopped
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.project._status.describe().status == "idle" and not log.is_stopped
    assert disk.sync is real
    setup.project.release()
