"""A disk call that fails, once or from then on, at every place: what was acknowledged holds, the
error is a StorageError, and when the disk works again so does the log."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageError
from storage.layout import DataLayout
from storage.message_log import open_log
from storage.projects import ProjectStore
from storage.record import seq_of
from storage.segments import Compression
from tests.disk_calls import DiskCalls
from tests.test_message_log import body, stamp
from tests.test_power_cut import Keeper, everything
from tests.test_storage import a_meta

# The same code again and again: it is traced elsewhere, and tracing would take most of the time.
pytestmark = pytest.mark.no_cover


class Stubborn(Keeper):
    """Goes on after a failure, as a project does."""

    def __init__(self, layout: DataLayout, calls: DiskCalls) -> None:
        super().__init__(layout, calls)
        self.refusals: list[StorageError] = []

    def attempt(self, step: Callable[..., Any], *arguments: Any) -> None:
        try:
            self.log.reopen(stamp(self.second))
            step(*arguments)
        except StorageError as refusal:  # what holds nevertheless is checked below
            self.refusals.append(refusal)
        except OSError:
            # Only the compressor, a process of its own in life, is not wrapped.
            assert step == self.compress

    def live(self) -> None:
        for sizes in ((10,), (700, 20), (900, 900), (5, 5), (2000,)):
            self.attempt(self.append, *sizes)
        self.attempt(self.compress_one)
        self.attempt(self.log.roll)
        self.attempt(self.append, 30)
        self.attempt(self.trim, 2)
        self.attempt(self.append, 40, 40)

    def compress_one(self) -> None:
        if self.log.closed_segments:
            self.attempt(self.compress, Compression.GZIP)


def opened(layout: DataLayout, calls: DiskCalls) -> Stubborn | None:
    try:
        return Stubborn(layout, calls)
    except StorageError:
        return None


def count_calls(root: Path, patch: pytest.MonkeyPatch) -> int:
    calls = DiskCalls(root / "sound")
    with calls.watched(patch):
        layout = DataLayout(root / "sound")
        layout.create()
        Stubborn(layout, calls).live()
    return calls.calls


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_failure_of_any_disk_call_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, for_ever: bool
) -> None:
    total = count_calls(tmp_path, monkeypatch)
    assert total > 80
    refused = 0
    for number in range(1, total + 1):
        data = tmp_path / str(number)
        layout = DataLayout(data)
        layout.create()
        calls = DiskCalls(data)
        calls.fail_at, calls.fail_for_ever, calls.error = number, for_ever, error
        with calls.watched(monkeypatch):
            keeper = opened(layout, calls)
            if keeper is not None:
                keeper.live()
                refused += len(keeper.refusals)
            calls.fail_at = None
            try:
                check(layout, calls, keeper)
            except BaseException as failure:
                failure.add_note(f"call {number} of {total} failed")
                raise
    assert refused > total // 2


def check(layout: DataLayout, calls: DiskCalls, keeper: Stubborn | None) -> None:
    stored = [line for _, (kind, line) in calls.notes if kind == "stored"]
    trimmed = max((seq for _, (kind, seq) in calls.notes if kind == "trimmed"), default=0)
    wanted = {seq_of(line): line for line in stored if seq_of(line) >= trimmed}
    if keeper is not None:  # the server has lived on
        assert wanted.items() <= everything(keeper.log).items()
        keeper.log.reopen(stamp(50))
        line = keeper.log.append_many([body("again")], stamp(50))[0]
        assert not stored or seq_of(line) == seq_of(stored[-1]) + 1
        wanted[seq_of(line)] = line
        keeper.log.abandon()
    again = Keeper(layout, calls)
    found = everything(again.log)
    assert wanted.items() <= found.items()
    assert list(found) == list(range(min(found), max(found) + 1)) if found else not wanted
    ids = {log_id for _, (kind, log_id) in calls.notes if kind == "log_id"}
    assert len(ids) == 1
    again.close()


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_a_failing_deletion_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_ever: bool
) -> None:
    for number in range(1, 40):
        data = tmp_path / str(number)
        layout = DataLayout(data)
        layout.create()
        calls = DiskCalls(data)
        keeper = Keeper(layout, calls)
        keeper.append(10, 10)
        keeper.close()
        calls.fail_at, calls.fail_for_ever = number, for_ever
        with calls.watched(monkeypatch):
            store = ProjectStore(layout)
            for step in (
                lambda: store.keep(keeper.meta),  # noqa: B023
                lambda: store.take_kept("p", a_meta("p").path),  # noqa: B023
            ):
                try:
                    step()
                except StorageError:
                    break
        store = ProjectStore(layout)
        assert store.load_all() or store.take_kept("p", a_meta("p").path)
        log = open_log(layout.log("p"), keeper.settings(), keeper.meta.log)
        assert list(everything(log)) == [1, 2]
        log.abandon()
