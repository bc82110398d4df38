"""What a start finds of the last run: nothing after an orderly stop, else its mark."""

import os
import signal
from pathlib import Path

import pytest

from storage import run_mark
from storage.layout import DataLayout
from storage.run_mark import CutOff
from tests.harness import HubProcess

UNCLEAN = "the last run did not stop cleanly"


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    layout = DataLayout(tmp_path / "data")
    layout.create()
    return layout


def test_a_run_leaves_its_mark_until_it_stops_in_order(layout: DataLayout) -> None:
    assert run_mark.cut_off(layout.root) is None
    run_mark.put_up(layout.root)
    assert run_mark.cut_off(layout.root) == CutOff(os.getpid(), system_restarted=False)
    run_mark.take_down(layout)
    run_mark.take_down(layout)
    assert run_mark.cut_off(layout.root) is None


def test_a_run_that_the_end_of_the_system_cut_off_is_told_apart(
    layout: DataLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_mark.put_up(layout.root)
    monkeypatch.setattr(run_mark, "boot_id", lambda: "another")
    assert run_mark.cut_off(layout.root) == CutOff(os.getpid(), system_restarted=True)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"[" * 4000, b"{}", b'{"pid": "x", "boot_id": ""}', b"\xff"]
)
def test_a_damaged_mark_is_a_mark(layout: DataLayout, content: bytes) -> None:
    (layout.root / run_mark.FILE_NAME).write_bytes(content)
    assert run_mark.cut_off(layout.root) == CutOff(None, system_restarted=False)


def test_the_mark_of_another_server_stays(layout: DataLayout) -> None:
    layout.lock.acquire()
    run_mark.put_up(layout.root)
    (layout.root / "lock").unlink()
    run_mark.take_down(layout)
    assert run_mark.cut_off(layout.root) is not None
    layout.lock.release()


def test_only_a_killed_server_did_not_stop_cleanly(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    assert hub.stop() == 0
    hub.start()
    assert UNCLEAN not in hub.errors.read_text()
    killed = hub.pid
    hub.stop(signal.SIGKILL)
    hub.start()
    said = f'{UNCLEAN} pid={killed} reason="killed, or crashed"'
    assert hub.errors.read_text().count(said) == 1
    assert hub.stop() == 0
    hub.start()
    assert hub.errors.read_text().count(UNCLEAN) == 1
    assert hub.stop() == 0


def test_a_mark_that_cannot_be_written_keeps_no_server_from_starting(scratch: Path) -> None:
    hub = HubProcess(scratch)
    (hub.data / run_mark.FILE_NAME / "in the way").mkdir(parents=True)
    hub.start()
    assert "the mark of a run cannot be written" in hub.errors.read_text()
    assert hub.stop() == 0
