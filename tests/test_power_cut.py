"""A power cut after every single call: nothing acknowledged is lost, and deletions are whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.compressor import compress
from storage.errors import MetadataUnreadable
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings, MessageLog, open_log
from storage.pages import MissingRecords
from storage.projects import ProjectMeta, ProjectStore
from storage.record import seq_of
from storage.segments import Compression
from tests.disk_calls import DiskCalls, Machine, Unsynced
from tests.reading import read_after
from tests.test_message_log import body, stamp
from tests.test_storage import a_meta

# The same code again and again: it is traced elsewhere, and tracing would take most of the time.
pytestmark = pytest.mark.no_cover

ALWAYS = SyncPolicy.ALWAYS


class Keeper:
    """A log with its metadata, as a project keeps them; notes what is acknowledged."""

    def __init__(self, layout: DataLayout, calls: DiskCalls, policy: SyncPolicy = ALWAYS) -> None:
        self.layout, self.calls, self.policy = layout, calls, policy
        self.store = ProjectStore(layout)
        self.second = 0
        if (meta := self.store.load("p")) is None:
            meta = a_meta("p")
            self.store.save(meta)
        self.meta: ProjectMeta = meta
        self.log: MessageLog = open_log(layout.log("p"), self.settings(), meta.log)
        self.save()
        calls.note(("log_id", self.log.bounds().log_id))

    def settings(self, boot: str = "boot") -> LogSettings:
        return LogSettings(rotate_bytes=1500, sync=self.policy, boot_id=boot)

    def save(self) -> None:
        self.meta = self.meta.model_copy(update={"log": self.log.note_checkpoint()})
        self.store.save(self.meta)

    def append(self, *sizes: int) -> None:
        self.second += 1
        for line in self.log.append_many([body("x" * size) for size in sizes], stamp(self.second)):
            self.calls.note(("stored", line))
        if self.log.wants_checkpoint:
            self.save()

    def trim(self, seq: int) -> None:
        self.calls.note(("trimmed", seq))  # from here on these may be gone
        self.meta = self.meta.model_copy(update={"log": self.log.note_trim(seq)})
        self.store.save(self.meta)
        self.log.trim_before(seq)

    def compress(self, compression: Compression) -> None:
        segment, _ = self.log.closed_segments[0]
        fresh = segment.path.with_name(segment.name + compression.suffix + ".new")
        compress(segment.path, fresh, compression, lambda: True)
        assert self.log.take_compressed(segment.name, compression)

    def close(self) -> None:
        self.meta = self.meta.model_copy(update={"log": self.log.close(stamp(self.second))})
        self.store.save(self.meta)


def record(
    root: Path, patch: pytest.MonkeyPatch, work: Callable[[DataLayout, DiskCalls], None]
) -> DiskCalls:
    """Does the work on an observed disk."""
    data = root / "data"
    calls = DiskCalls(data)
    with calls.watched(patch):
        layout = DataLayout(data)
        layout.create()
        work(layout, calls)
    return calls


def cut_everywhere(
    root: Path, calls: DiskCalls, check: Callable[[DataLayout, list[Any]], None]
) -> int:
    """Cuts the power after each event, in each way; how many states that were."""
    states = 0
    for upto in range(len(calls.events) + 1):
        notes = [what for at, what in calls.notes if at <= upto]
        for unsynced in Unsynced:
            machine = Machine(calls.root)
            for event in calls.events[:upto]:
                event(machine)
            found = root / f"cut-{upto}-{unsynced.name}"
            found.mkdir()
            machine.cut_power(unsynced, found)
            layout = DataLayout(found)
            layout.create()
            try:
                check(layout, notes)
            except BaseException as error:
                error.add_note(f"after {upto} events, unsynced bytes {unsynced.value}: {found}")
                raise
            states += 1
    return states


def everything(log: MessageLog) -> dict[int, bytes]:
    items = read_after(log, log.bounds().first_seq - 1, 1 << 30).items
    return {seq_of(item): item for item in items if isinstance(item, bytes)}


def check_log(layout: DataLayout, notes: list[Any], policy: SyncPolicy = ALWAYS) -> None:
    """What was acknowledged is there, under its numbers, and the log goes on."""
    stored = [line for kind, line in notes if kind == "stored"]
    ids = [log_id for kind, log_id in notes if kind == "log_id"]
    trimmed = max((seq for kind, seq in notes if kind == "trimmed"), default=0)
    store = ProjectStore(layout)
    store.load_all()
    meta = store.load("p")
    if meta is None:
        assert not ids
        return
    settings = LogSettings(rotate_bytes=1500, sync=policy, boot_id="next boot")
    log = open_log(layout.log("p"), settings, meta.log)
    found = everything(log)
    for line in stored:
        if seq_of(line) >= trimmed:
            assert found.get(seq_of(line)) == line or policy is not ALWAYS
    if ids and policy is ALWAYS:
        assert log.bounds().log_id == ids[-1]
    elif ids and any(found.get(seq_of(line)) != line for line in stored):
        assert log.bounds().log_id != ids[-1]
    last = log.bounds().last_seq
    assert seq_of(log.append_many([body("more")], stamp(99))[0]) == last + 1
    after = read_after(log, log.bounds().first_seq - 1, 1 << 30).items
    assert not [i for i in after if isinstance(i, MissingRecords)] or policy is not ALWAYS
    log.abandon()


def a_long_life(layout: DataLayout, calls: DiskCalls) -> None:
    keeper = Keeper(layout, calls)
    for sizes in ((10,), (700, 20), (900, 900), (5, 5, 5), (2000,), (1,)):
        keeper.append(*sizes)
    keeper.close()
    keeper = Keeper(layout, calls)
    keeper.append(50)
    keeper.log.roll()
    keeper.append(1600)
    keeper.trim(4)
    keeper.append(30, 30)
    keeper.log.abandon()  # a crash of the server alone
    keeper = Keeper(layout, calls)
    keeper.append(100)
    keeper.close()


def test_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record(tmp_path, monkeypatch, a_long_life)
    assert cut_everywhere(tmp_path, calls, check_log) > 500


@pytest.mark.parametrize("policy", [SyncPolicy.INTERVAL, SyncPolicy.NEVER])
def test_a_new_log_id_tells_what_a_lazy_policy_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: SyncPolicy
) -> None:
    def work(layout: DataLayout, calls: DiskCalls) -> None:
        keeper = Keeper(layout, calls, policy)
        for sizes in ((10,), (700, 20), (900, 900), (5, 5, 5)):
            keeper.append(*sizes)

    calls = record(tmp_path, monkeypatch, work)
    states = cut_everywhere(tmp_path, calls, lambda at, notes: check_log(at, notes, policy))
    assert states > 100


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_the_exchange_for_a_compressed_segment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression
) -> None:
    def work(layout: DataLayout, calls: DiskCalls) -> None:
        keeper = Keeper(layout, calls)
        for sizes in ((700, 900), (900, 900), (10,)):
            keeper.append(*sizes)
        keeper.compress(compression)
        keeper.append(20)

    calls = record(tmp_path, monkeypatch, work)
    assert cut_everywhere(tmp_path, calls, check_log) > 100


@pytest.mark.parametrize("keep", [False, True])
def test_a_deletion_leaves_the_project_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    def work(layout: DataLayout, calls: DiskCalls) -> None:
        keeper = Keeper(layout, calls)
        keeper.append(700, 900)
        keeper.append(10)
        keeper.close()
        calls.note(("deleting", None))
        if keep:
            keeper.store.keep(keeper.meta)
        else:
            keeper.store.remove("p")
        calls.note(("deleted", None))
        if keep:
            assert keeper.store.take_kept("p", keeper.meta.path) is not None
            calls.note(("taken", None))

    def check(layout: DataLayout, notes: list[Any]) -> None:
        kinds = {kind for kind, _ in notes}
        store = ProjectStore(layout)
        listed = store.load_all()
        if "deleting" not in kinds or "taken" in kinds:
            check_log(layout, notes)
            assert len(listed) == 1 or not kinds
            return
        assert not list(layout.trash.iterdir())
        if listed:
            assert "deleted" not in kinds or keep  # it may be on its way back
            check_log(layout, notes)
            return
        assert not list(layout.projects.iterdir())
        if keep:
            assert store.take_kept("p", a_meta("p").path) is not None
            check_log(layout, notes)

    calls = record(tmp_path, monkeypatch, work)
    assert cut_everywhere(tmp_path, calls, check) > 100


def test_metadata_is_the_old_or_the_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(layout: DataLayout, calls: DiskCalls) -> None:
        store = ProjectStore(layout)
        for number in range(4):
            store.save(a_meta("p").model_copy(update={"name": str(number)}))
            calls.note(number)

    def check(layout: DataLayout, notes: list[Any]) -> None:
        found = ProjectStore(layout).load_all()
        if not notes:
            return
        (meta,) = found
        assert isinstance(meta, ProjectMeta), MetadataUnreadable
        assert int(meta.name) in (notes[-1], notes[-1] + 1)

    cut_everywhere(tmp_path, record(tmp_path, monkeypatch, work), check)
