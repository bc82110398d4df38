"""Files of a log that others move, delete, exchange or write while the server runs: what is
acknowledged afterwards is there after a restart, numbers are not doubled, and health tells it."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from actors import messages
from protocol import requests
from storage import disk
from storage.compressor import compress
from storage.errors import DiskFailed, LogDisplaced
from storage.log_state import SyncPolicy
from storage.message_log import MessageLog, open_log
from storage.segments import Compression, list_segments
from tests.harness import HubProcess
from tests.project_setup import ProjectSetup, execute, frozen, setup
from tests.reading import read_after
from tests.test_message_log import append, seqs, settings, stamp

__all__ = ["frozen", "setup"]


def active(folder: Path) -> Path:
    return list_segments(folder)[-1].path


def move_segment(log: Path) -> None:
    path = active(log)
    path.rename(path.with_suffix(".elsewhere"))


def delete_segment(log: Path) -> None:
    active(log).unlink()


def exchange_segment(log: Path) -> None:
    path = active(log)
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    copy.replace(path)


def link_segment(log: Path) -> None:
    path = active(log)
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def cut_segment(log: Path) -> None:
    os.truncate(active(log), 0)


def write_segment(log: Path) -> None:
    with open(active(log), "ab") as file:
        file.write(b"a line of somebody else\n")


def move_log(log: Path) -> None:
    log.rename(log.with_name("log.elsewhere"))


def delete_log(log: Path) -> None:
    shutil.rmtree(log)


def exchange_log(log: Path) -> None:
    log.rename(log.with_name("log.elsewhere"))
    log.mkdir()


def move_project(log: Path) -> None:
    log.parent.rename(log.parent.with_name("Elsewhere"))


def delete_project(log: Path) -> None:
    shutil.rmtree(log.parent)


def delete_projects(log: Path) -> None:
    shutil.rmtree(log.parent.parent)


OF_THE_LOG = [
    move_segment,
    delete_segment,
    exchange_segment,
    link_segment,
    cut_segment,
    write_segment,
    move_log,
    delete_log,
    exchange_log,
]
STATUS = messages.ProjectStatusChanged
ALL = [*OF_THE_LOG, move_project, delete_project, delete_projects]
Taking = Callable[[Path], None]


def three_files(folder: Path, sync: SyncPolicy = SyncPolicy.ALWAYS) -> MessageLog:
    log = open_log(folder, settings(sync=sync), None)
    for second in range(3):
        append(log, 2, second=second)
        if second < 2:
            log.roll()
    return log


@pytest.mark.parametrize("policy", list(SyncPolicy))
@pytest.mark.parametrize("take", ALL)
def test_a_batch_is_not_acknowledged_where_no_restart_finds_it(
    tmp_path: Path, take: Taking, policy: SyncPolicy
) -> None:
    folder = tmp_path / "projects" / "p" / "log"
    log = three_files(folder, policy)
    before = log.state
    take(folder)
    with pytest.raises(LogDisplaced):
        append(log, 2, second=5)
    assert log.is_stopped
    loss = log.reopen(stamp(6))
    assert loss is not None and "while the server ran" in loss.sentence
    assert seqs(tuple(append(log, 3, second=7))) == [7, 8, 9]
    assert log.state.log_id != before.log_id
    bounds = log.bounds()
    found = seqs(read_after(log, 0).items)
    assert found[-3:] == [7, 8, 9]
    assert (6 in found) == (take is write_segment)
    log.abandon()
    again = open_log(folder, settings(sync=policy), log.state)
    assert again.bounds() == bounds
    assert seqs(read_after(again, 0).items)[-3:] == [7, 8, 9]
    assert seqs(tuple(append(again, 1, second=8))) == [10]
    again.close(stamp(9))


@pytest.mark.parametrize("take", ALL)
def test_a_look_finds_what_is_missing_where_nothing_is_written(
    tmp_path: Path, take: Taking
) -> None:
    folder = tmp_path / "projects" / "p" / "log"
    log = three_files(folder)
    log.look()
    before = log.state.log_id
    take(folder)
    with pytest.raises(LogDisplaced):
        log.look()
    log.reopen(stamp(6))
    log.look()
    assert log.state.log_id != before
    log.close(stamp(9))


def test_a_look_finds_a_closed_file_that_is_gone(tmp_path: Path) -> None:
    log = three_files(tmp_path)
    list_segments(tmp_path)[0].path.unlink()
    with pytest.raises(LogDisplaced):
        log.look()
    loss = log.reopen(stamp(6))
    assert loss is not None and [(m.first_seq, m.last_seq) for m in loss.missing] == [(1, 2)]
    assert log.bounds().first_seq == 3
    assert seqs(tuple(append(log, 1, second=7))) == [7]
    log.close(stamp(9))


def test_a_file_that_is_brought_back_in_time_is_no_loss(tmp_path: Path) -> None:
    log = three_files(tmp_path)
    before, path = log.state.log_id, active(tmp_path)
    path.rename(tmp_path / "away")
    with pytest.raises(LogDisplaced):
        append(log, 1, second=5)
    (tmp_path / "away").rename(path)
    loss = log.reopen(stamp(6))
    assert loss is not None and not loss.missing
    assert log.state.log_id == before
    assert seqs(tuple(append(log, 1, second=7))) == [7]
    assert seqs(read_after(log, 0).items) == [1, 2, 3, 4, 5, 6, 7]
    log.close(stamp(9))


def test_a_log_whose_folder_goes_before_its_first_record_keeps_its_id(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", settings(), None)
    before = log.state.log_id
    (tmp_path / "log").rmdir()
    with pytest.raises(LogDisplaced):
        append(log, 1)
    log.reopen(stamp(2))
    assert seqs(tuple(append(log, 1, second=3))) == [1]
    assert log.state.log_id == before
    log.close(stamp(9))


def test_acknowledged_records_that_were_not_flushed_go_into_the_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed flush first, and then the folder is gone."""
    folder = tmp_path / "log"
    log = open_log(folder, settings(sync=SyncPolicy.INTERVAL), None)
    append(log, 2)
    log.sync()
    append(log, 2)

    def fail(fd: int, **_: object) -> None:
        raise OSError(errno.EIO, "planned")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        with pytest.raises(DiskFailed):
            log.sync()
    shutil.rmtree(folder)
    with pytest.raises(LogDisplaced):
        log.reopen(stamp(2))
    loss = log.reopen(stamp(3))
    assert loss is not None and [(m.first_seq, m.last_seq) for m in loss.missing] == [(1, 2)]
    assert seqs(read_after(log, 0).items) == [(1, 2), 3, 4]
    assert seqs(tuple(append(log, 1, second=4))) == [5]
    log.close(stamp(9))


def keyed(setup: ProjectSetup, prompt: str, key: str) -> str:
    setup.ask(requests.Execute(project_id="p", prompt=prompt, key=key))
    execution_id: str = setup.answers()[-1]["execution_id"]
    return execution_id


def test_a_file_that_was_exchanged_while_it_was_compressed_stays(tmp_path: Path) -> None:
    log = three_files(tmp_path)
    segment, _ = log.closed_segments[0]
    fresh = segment.path.with_name(f"{segment.name}.gz.new")
    compress(segment.path, fresh, Compression.GZIP, lambda: True)
    restored = tmp_path / "restored"
    restored.write_bytes(segment.path.read_bytes())
    restored.replace(segment.path)
    assert not log.take_compressed(segment.name, Compression.GZIP)
    assert segment.path.exists() and not fresh.exists()
    compress(segment.path, fresh, Compression.GZIP, lambda: True)
    assert log.take_compressed(segment.name, Compression.GZIP)
    assert seqs(read_after(log, 0).items) == [1, 2, 3, 4, 5, 6]
    log.close(stamp(9))


# -- a project -------------------------------------------------------------------------------------


@pytest.mark.parametrize("take", ALL)
def test_a_prompt_behind_the_loss_is_there_after_a_restart(
    setup: ProjectSetup, take: Taking
) -> None:
    setup.end(keyed(setup, "before", "k1"))
    old = setup.project._log.bounds
    take(setup.layout.log("p"))
    keyed(setup, "behind", "k2")  # it is accepted, at once
    assert setup.project._status.describe().status == "executing"
    (told,) = {m.problem for m in setup.hub.take() if isinstance(m, STATUS) and m.problem}
    assert "while the server ran" in told
    setup.project.release()  # as a crash would
    setup.open()
    bounds = setup.project._log.bounds
    assert bounds.log_id != old.log_id and bounds.last_seq > old.last_seq
    items = setup.project._log.reader().read_after(0, bounds.last_seq).items
    lines = [json.loads(item) for item in items if isinstance(item, bytes)]
    prompts = [line["data"]["prompt"] for line in lines if line["update_type"] == "prompt"]
    assert prompts[-1] == "behind"
    keys = {run.request_key for run in setup.project._log.keyed}
    assert "k2" in keys and ("k1" in keys or take not in OF_THE_LOG)


@pytest.mark.parametrize("take", ALL)
def test_health_tells_a_loss_within_a_minute(setup: ProjectSetup, take: Taking) -> None:
    setup.end(setup.execute("before"))
    setup.hub.take()
    take(setup.layout.log("p"))
    setup.tell(messages.RotateLog(created_before=""))
    told = [m.problem for m in setup.hub.take() if isinstance(m, STATUS)]
    assert "while the server ran" in told[-1]
    assert setup.meta().log is not None
    assert setup.meta().log.log_id == setup.project._log.bounds.log_id


@pytest.mark.parametrize("name", ["meta.json", "keys.jsonl"])
def test_files_beside_the_log_are_made_again(setup: ProjectSetup, name: str) -> None:
    for key in ("k1", "k2"):
        setup.end(keyed(setup, "x", key))
    path = setup.layout.project("p") / name
    path.unlink()
    (path.with_name("meta.json.old")).unlink()
    setup.end(keyed(setup, "y", "k3"))
    setup.project.release()
    setup.open()
    assert {run.request_key for run in setup.project._log.keyed} == {"k1", "k2", "k3"}


def test_prompts_are_refused_until_the_folder_can_be_made_again(setup: ProjectSetup) -> None:
    setup.end(setup.execute("before"))
    shutil.rmtree(setup.layout.projects)
    setup.layout.projects.write_bytes(b"in the way")
    setup.ask(execute("x"))
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert setup.project._status.describe().status == "error"
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.project._status.describe().status == "error"
    setup.layout.projects.unlink()
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.project._status.describe().status == "idle"
    setup.execute("again")
    assert "prompt" in setup.kinds()


def test_a_join_with_the_old_id_gets_history_gone(setup: ProjectSetup) -> None:
    setup.end(setup.execute("before"))
    old = setup.project._log.bounds
    delete_segment(setup.layout.log("p"))
    setup.execute("behind")
    setup.answers()
    setup.join(after_seq=old.last_seq, log_id=old.log_id)
    assert setup.answers()[-1]["code"] == "history_gone"
    setup.join(last=5)
    (joined,) = [m for m in setup.client.take() if isinstance(m, messages.Joined)]
    assert joined.payload["log_id"] == setup.project._log.bounds.log_id


# -- a server --------------------------------------------------------------------------------------


def test_a_moved_projects_folder_costs_no_later_prompt(scratch: Path) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.run_after_join("p", "before")
        (hub.data / "projects").rename(hub.data / "moved")
        shutil.rmtree(hub.data / "moved")
        assert client.run("p", "behind")["outcome"] == "success"
        health = client.request("health_check")
        assert health["status"] == "degraded"
        assert "was moved or deleted while the server ran" in health["problems"][0]
    hub.stop()
    hub.start()
    with hub.client() as client:
        found = client.request("get_messages", project_id="p", limit=100)["messages"]
        prompts = [u["data"]["prompt"] for u in found if u["update_type"] == "prompt"]
        assert prompts == ["behind"]
    assert hub.stop() == 0
