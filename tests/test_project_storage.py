"""The Project actor and its disk: durability, failures, what a crash leaves."""

import errno
import os
from pathlib import Path

import pytest

from actors import messages
from actors.executor.output import CREDIT_STEP_BYTES
from actors.project import executor_link
from protocol import requests
from protocol.updates import Outcome
from storage.log_state import SyncPolicy
from tests.project_setup import ProjectSetup, execute, fail_with, frozen, output, setup

__all__ = ["frozen", "setup"]


def test_one_write_stores_the_whole_batch(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    writes: list[int] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(fd) or real(fd, data))
    for number in range(100):
        setup.project.on_receive(output(execution_id, b'{"n":%d}' % number))
    setup.handle_own()
    assert len(writes) == 1
    assert [line["data"] for line in setup.lines()[2:]] == [{"n": n} for n in range(100)]


def test_a_full_disk_refuses_prompts_and_loses_no_line(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    subscriber = setup.join()
    before = setup.kinds()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.tell(output(execution_id, b'{"precious":1}'))
        setup.ask(execute("refused"))
        assert setup.answers()[-1]["code"] == "storage_failed"
        assert setup.kinds() == before
        assert setup.project._status.describe().status == "error"
        assert setup.project._status.describe().queue == []
        statuses = [m for m in setup.hub.take() if isinstance(m, messages.ProjectStatusChanged)]
        assert "No space left" in str(statuses[-1].problem)
        assert b'"data":{"status":"error"}' in subscriber.batches[-1].frames
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.lines()[-1]["data"] == {"precious": 1}
    assert setup.project._status.describe().status == "executing"
    setup.end(execution_id)
    assert setup.project._status.describe().status == "idle"


def test_an_idle_project_recovers_when_there_is_room(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(execute("refused"))
        patch.setattr("actors.feed.feed.free_bytes", lambda _: 0)
        setup.timers.fire(messages._RetryStorage)
        setup.handle_own()
        assert setup.project._status.describe().status == "error"
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.project._status.describe().status == "idle"


def test_prompts_are_refused_below_the_floor_of_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, min_free=1 << 62)
    setup.ask(execute())
    answer = setup.answers()[-1]
    assert (
        answer["code"] == "storage_failed"
        and "MIN_FREE_BYTES is 4194304.0 TiB" in answer["message"]
    )


def test_credit_returns_in_steps_once_lines_are_stored(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    setup.executor.take()
    setup.tell(output(execution_id, b"{}", size=CREDIT_STEP_BYTES - 1))
    assert setup.executor.take() == []
    setup.tell(output(execution_id, b"{}", size=1))
    assert setup.executor.take() == [
        messages.OutputStored(process_name="x", size_bytes=CREDIT_STEP_BYTES)
    ]


def test_while_the_disk_is_full_the_pipe_is_left_unread(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    setup.executor.take()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        for _ in range(3):
            setup.tell(output(execution_id, b"{}", size=CREDIT_STEP_BYTES))
        assert setup.executor.take() == []
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.executor.take() == [
        messages.OutputStored(process_name="x", size_bytes=3 * CREDIT_STEP_BYTES)
    ]


def test_a_full_disk_does_not_keep_a_project_from_being_read(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    setup.end(execution_id)
    setup.tell(messages.StopProject())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.open()
        assert setup.project._status.describe().last_seq == 3
    second = setup.execute()
    assert setup.kinds()[-2:] == ["prompt", "execution_started"]
    setup.open()
    assert setup.lines()[-1]["data"]["execution_id"] == second
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_an_interval_flushes_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, sync=SyncPolicy.INTERVAL)
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}"))
    assert [
        t.delay_s for t in setup.timers.pending if isinstance(t.message, messages._SyncDue)
    ] == [1.0]
    with monkeypatch.context() as patch:
        patch.setattr("storage.disk.sync", lambda fd: (_ for _ in ()).throw(OSError(5, "planned")))
        setup.timers.fire(messages._SyncDue)
        setup.handle_own()
        assert setup.project._status.describe().status == "error"


def test_a_crash_between_an_end_and_its_flush_is_found(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    setup.project.on_receive(
        messages.RunEnded(
            execution_id=execution_id,
            outcome=Outcome.SUCCESS,
            result="done",
            exit_code=0,
            stderr="",
            cost_usd=None,
        )
    )
    setup.ask(requests.AgentNewSession(project_id="p"), handle=False)
    setup.project._feed.save()
    setup.open()
    ends = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(e["execution_id"], e["outcome"]) for e in ends] == [(execution_id, "lost")]


def test_a_crash_before_lost_is_durable_is_found_again(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    monkeypatch.setattr(ProjectSetup, "handle_own", lambda self: None)
    setup.open()  # logs the end, and dies before it is flushed
    monkeypatch.undo()
    monkeypatch.setattr(executor_link.Executor, "start", lambda **_: setup.executor.actor_ref)
    setup.open()
    ends = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(e["execution_id"], e["outcome"]) for e in ends] == [(execution_id, "lost")]


def test_a_stop_with_unwritten_records_is_not_clean(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.tell(messages.StopProject())
        setup.end(execution_id, Outcome.KILLED)
    assert [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    setup.open()
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_a_refused_reset_changes_nothing(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.end(execution_id)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(requests.AgentNewSession(project_id="p"))
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert setup.project._status.describe().session_id == "s1"


def test_a_refused_prompt_leaves_no_end_behind(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.execute()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(execute("x"), handle=False)
        waiting = setup.project._queue.waiting[0].execution_id
        setup.ask(requests.AgentKill(project_id="p", execution_id=waiting))
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert "execution_finished" not in setup.kinds()


def test_executions_left_open_by_a_crash_are_lost(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = setup.execute()
    setup.end(done)
    running = setup.execute()
    waiting = setup.execute()
    setup.open()  # the actor of the crash never closed anything
    finished = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(f["execution_id"], f["outcome"]) for f in finished] == [
        (done, "success"),
        (running, "lost"),
        (waiting, "lost"),
    ]
    assert finished[1]["result"] is None
    setup.open()
    assert setup.kinds().count("execution_finished") == 3


def test_open_executions_are_found_far_before_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, rotate=2000)
    execution_id = setup.execute()
    for _ in range(20):
        setup.tell(output(execution_id, b'{"x":"%b"}' % (b"y" * 500)))
    assert setup.meta().busy_since_seq == 0
    setup.open()
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_a_log_rolls_by_age(setup: ProjectSetup) -> None:
    setup.execute()
    setup.tell(messages.RotateLog(created_before="20261124T115959Z"))
    setup.execute()
    assert len(list(setup.layout.log("p").glob("*.jsonl"))) == 1
    setup.tell(messages.RotateLog(created_before="20261124T120001Z"))
    setup.execute()
    assert len(list(setup.layout.log("p").glob("*.jsonl"))) == 2


def test_an_unlogged_update_does_not_prove_that_the_log_works(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.join()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(execute("refused"))
        setup.tell(messages.FilesChanged(paths=("a",), truncated=False))
        assert setup.project._status.describe().status == "error"
