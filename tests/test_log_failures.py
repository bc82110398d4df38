"""The log on a disk that is full or fails."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import disk
from storage.errors import DiskFailed, DiskFull, LogStopped
from storage.log_state import SyncPolicy
from storage.message_log import open_log
from storage.segments import list_segments
from tests.reading import last, read_after
from tests.test_message_log import append, body, seqs, settings, stamp


def failing(error: int, after: int = 0) -> Callable[..., int]:
    calls = iter(range(1 << 20))
    real = os.write

    def write(fd: int, data: bytes, *_: object) -> int:
        if next(calls) >= after:
            raise OSError(error, os.strerror(error))
        return real(fd, data[:40])  # a short write first

    return write


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_refuses_the_batch_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 2)
    before = list_segments(tmp_path)[0].path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(error, after=1))
        for _ in range(2):
            with pytest.raises(DiskFull):
                append(log, 5)
    assert list_segments(tmp_path)[0].path.read_bytes() == before
    assert seqs(tuple(append(log, 1))) == [3]
    assert seqs(read_after(log, 0).items) == [1, 2, 3]


def test_a_failed_flush_is_not_repeated_on_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 2)
    synced: list[int] = []

    def fail(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        with pytest.raises(DiskFailed):
            append(log, 1)
    assert len(synced) == 1
    assert log.is_stopped
    with pytest.raises(LogStopped):
        append(log, 1)
    assert seqs(last(log, 9).items) == [1, 2]
    log.reopen(stamp(2))
    # The number was told to nobody: it is given out again, in a new file, and counts there.
    assert seqs(tuple(append(log, 2, second=2))) == [3, 4]
    assert len(list_segments(tmp_path)) == 2
    assert seqs(read_after(log, 0).items) == [1, 2, 3, 4]
    again = open_log(tmp_path, settings(), log.close(stamp(9)))
    assert seqs(last(again, 4).items) == [1, 2, 3, 4]


@pytest.mark.parametrize("policy", [SyncPolicy.INTERVAL, SyncPolicy.NEVER])
def test_records_before_a_failed_flush_move_into_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: SyncPolicy
) -> None:
    log = open_log(tmp_path, settings(sync=policy), None)
    append(log, 2)
    log.sync()
    carried = append(log, 3)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", lambda fd, **_: failing(errno.EIO)(fd, b""))
        with pytest.raises(DiskFailed):
            log.sync()
        with pytest.raises(DiskFailed):
            log.reopen(stamp(2))
    old = list_segments(tmp_path)[0].path
    assert seqs(last(log, 9).items) == [1, 2, 3, 4, 5]
    state = log.close(stamp(3))
    new = list_segments(tmp_path)[-1]
    assert (new.first_seq, new.path.read_bytes()) == (3, b"".join(carried))
    os.truncate(old, old.stat().st_size - len(b"".join(carried)))  # as the power may leave it
    again = open_log(tmp_path, settings(sync=policy), state)
    assert seqs(last(again, 9).items) == [1, 2, 3, 4, 5]
    assert again.bounds().log_id == state.log_id


def test_a_segment_after_a_failure_sorts_behind_it_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, settings(), None)
    append(log, 4, second=1000)
    log.roll()

    def fail(fd: int, *, is_folder: bool = False) -> None:
        if not is_folder:  # the new file has its name, and only then its flush fails
            raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        with pytest.raises(DiskFailed):
            append(log, 1, second=1000)
    assert [segment.first_seq for segment in list_segments(tmp_path)] == [1, 5]
    log.reopen(stamp(990))
    append(log, 3, second=990)
    assert [segment.first_seq for segment in list_segments(tmp_path)] == [1, 5, 5]
    assert seqs(last(log, 9).items) == [1, 2, 3, 4, 5, 6, 7]
    log.abandon()
    again = open_log(tmp_path, settings(), log.state)
    assert again.bounds() == log.bounds()
    assert seqs(tuple(append(again, 1, second=991))) == [8]


def test_a_carried_segment_appears_only_when_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, settings(sync=SyncPolicy.INTERVAL), None)
    append(log, 2)
    log.sync()
    append(log, 3)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", lambda fd, **_: failing(errno.EIO)(fd, b""))
        with pytest.raises(DiskFailed):
            log.sync()
    seen = []

    def write(fd: int, data: bytes) -> None:
        seen.append(seqs(last(log, 9).items))
        raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_all", write)
        with pytest.raises(DiskFailed):
            log.reopen(stamp(2))
    assert seen == [[1, 2, 3, 4, 5]]
    assert not list(tmp_path.glob("*.new"))


def test_a_failed_roll_loses_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path, settings(), None)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(errno.EIO))
        with pytest.raises(DiskFailed):
            append(log, 1)
    assert seqs(tuple(append(log, 1))) == [1]


@pytest.mark.parametrize(
    ("policy", "must_sync", "syncs"),
    [
        (SyncPolicy.ALWAYS, False, 1),
        (SyncPolicy.INTERVAL, False, 0),
        (SyncPolicy.INTERVAL, True, 1),
        (SyncPolicy.NEVER, True, 0),
    ],
)
def test_each_policy_flushes_as_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: SyncPolicy, must_sync: bool, syncs: int
) -> None:
    log = open_log(tmp_path, settings(sync=policy), None)
    append(log, 1)
    log.sync()
    counted: list[int] = []
    monkeypatch.setattr(disk, "sync", counted.append)
    log.append_many([body()] * 64, stamp(2), must_sync=must_sync)
    assert len(counted) == syncs
