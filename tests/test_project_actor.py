"""The Project actor, unstarted, under a frozen clock: order, durability, failures, the end."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from freezegun import freeze_time

from actors import messages
from actors.executor.actor import ExecutorSettings
from actors.executor.credit import CREDIT_STEP_BYTES
from actors.ports import Caller
from actors.project import Project, ProjectSettings, executor_link
from actors.slot import Slot
from protocol import requests
from protocol.claude import AgentLine, SessionChoice
from protocol.updates import Outcome, UpdateType
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings
from storage.projects import ProjectMeta, ProjectStore
from tests.fakes import FrozenClock, ManualTimers, Probe, RecordingSubscriber, inbox_of, texts

CALLER = Caller("c1")


class Setup:
    """A project whose executor and hub are probes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.layout = DataLayout(root / "data")
        self.layout.create()
        self.folder = root / "p"
        self.folder.mkdir(exist_ok=True)
        self.timers = ManualTimers()
        self.hub, self.client, self.executor = Probe(), Probe(), Probe()
        self.numbers = 0
        self.settings = self._settings(root, **settings)
        monkeypatch.setattr(executor_link.Executor, "start", lambda **_: self.executor.actor_ref)
        self.open(fresh=settings.get("fresh", False))

    def _settings(self, root: Path, **changes: Any) -> ProjectSettings:
        return ProjectSettings(
            layout=self.layout,
            log=LogSettings(
                rotate_bytes=changes.get("rotate", 1 << 30),
                sync=changes.get("sync", SyncPolicy.ALWAYS),
                boot_id="b",
            ),
            executor=ExecutorSettings(["claude"], {}, "d", "ask", 5.0, 1 << 20),
            roots=[root],
            execution_timeout_s=300.0,
            max_queue=2,
            min_free_bytes=changes.get("min_free", 0),
        )

    def open(self, *, fresh: bool = False) -> None:
        meta = ProjectStore(self.layout).load("p") or ProjectMeta(
            project_id="p",
            name="P",
            path=str(self.folder),
            created_at="2026",
            last_active="2026",
            fresh=fresh,
        )
        self.project = Project(
            hub=self.hub.actor_ref,
            meta=meta,
            settings=self.settings,
            clock=FrozenClock(),
            timers=self.timers,
        )
        monitored = self.project._watching
        monitored._failed = True  # no FileWatcher here
        self.project.started()
        self.handle_own()

    def handle_own(self) -> None:
        while own := inbox_of(self.project):
            for message in own:
                if not isinstance(message, pykka.messages._ActorStop):
                    self.project.receive(message)

    def ask(self, body: Any, subscriber: Any = None, *, handle: bool = True) -> int:
        """Sends a request; its number."""
        self.numbers += 1
        slot = Slot(self.client.actor_ref, self.numbers)
        self.project.receive(
            messages.ProjectRequest(slot=slot, caller=CALLER, body=body, subscriber=subscriber)
        )
        if handle:
            self.handle_own()
        return self.numbers

    def tell(self, message: Any) -> None:
        self.project.receive(message)
        self.handle_own()

    def execute(self, prompt: str = "x", **options: Any) -> str:
        self.ask(execute(prompt, **options))
        answer = self.answers()[-1]
        execution_id: str = answer["execution_id"]
        return execution_id

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(m.payload) for m in self.client.take()]

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted(self.layout.log("p").glob("*.jsonl")):
            found += [json.loads(line) for line in path.read_bytes().splitlines()]
        return found

    def kinds(self) -> list[str]:
        return [line["update_type"] for line in self.lines()]

    def join(self, **position: Any) -> RecordingSubscriber:
        subscriber = RecordingSubscriber("c1")
        self.ask(requests.ProjectJoin(project_id="p", **position), subscriber)
        return subscriber

    def end(self, execution_id: str, outcome: Outcome = Outcome.SUCCESS) -> None:
        self.tell(
            messages.RunEnded(
                execution_id=execution_id,
                outcome=outcome,
                result="done",
                exit_code=0,
                stderr="",
                cost_usd=None,
            )
        )

    def meta(self) -> ProjectMeta:
        meta = ProjectStore(self.layout).load("p")
        assert meta is not None
        return meta


def execute(prompt: str = "x", **options: Any) -> requests.Execute:
    return requests.Execute(project_id="p", prompt=prompt, options=requests.Options(**options))


def output(execution_id: str, *datas: bytes, size: int = 1, **facts: Any) -> messages.AgentOutput:
    lines = tuple(AgentLine(UpdateType.CLAUDE, data, **facts) for data in datas)
    return messages.AgentOutput(execution_id=execution_id, lines=lines, size_bytes=size)


@pytest.fixture(autouse=True)
def frozen() -> Iterator[Any]:
    with freeze_time("2026-11-24T12:00:00Z") as clock:
        yield clock


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    made = Setup(tmp_path, monkeypatch)
    yield made
    made.project.release()


def test_a_prompt_is_answered_and_run_only_once_it_is_durable(setup: Setup) -> None:
    setup.ask(execute("hello"), handle=False)
    assert setup.answers() == [] and setup.executor.take() == [] and setup.lines() == []
    setup.handle_own()
    answer = setup.answers()[0]
    assert (answer["state"], answer["position"]) == ("started", 0)
    assert setup.kinds() == ["prompt", "execution_started"]
    assert setup.lines()[0]["timestamp"] == "2026-11-24T12:00:00.000000Z"
    assert setup.lines()[0]["data"]["client_id"] == "c1"
    order = setup.executor.take()[0]
    assert order.prompt == "hello"
    assert order.session == SessionChoice(continue_latest=True)
    assert order.timeout_s == 300.0


def test_the_time_limit_of_one_prompt(setup: Setup) -> None:
    setup.execute(timeout_seconds=7.0)
    assert setup.executor.take()[0].timeout_s == 7.0


def test_one_write_for_all_that_is_gathered(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    execution_id = setup.execute()
    writes: list[int] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(fd) or real(fd, data))
    for number in range(100):
        setup.project.receive(output(execution_id, b'{"n":%d}' % number))
    setup.handle_own()
    assert len(writes) == 1
    assert [line["data"] for line in setup.lines()[2:]] == [{"n": n} for n in range(100)]


def test_subscribers_get_the_stored_bytes_framed_once(setup: Setup) -> None:
    subscriber = setup.join()
    assert subscriber.registered == (0, 0)
    setup.execute("hello")
    frames = [json.loads(t) for batch in subscriber.batches for t in texts(batch.frames)]
    payloads = [f["payload"] for f in frames if "seq" in f["payload"]]
    assert [{"crc": None, **p} for p in payloads] == [
        {**line, "crc": None} for line in setup.lines()
    ]
    assert {f["payload"]["update_type"] for f in frames if "seq" not in f["payload"]} == {"status"}
    assert subscriber.batches[-1].last_seq == 2
    assert subscriber.batches[-1].log_id == setup.meta().log.log_id  # type: ignore[union-attr]


def test_what_is_not_stored_keeps_its_place_and_may_be_dropped(setup: Setup) -> None:
    execution_id = setup.execute()
    subscriber = setup.join()
    delta = AgentLine(UpdateType.CLAUDE_DELTA, b'{"d":1}')
    line = AgentLine(UpdateType.CLAUDE, b'{"l":1}')
    setup.tell(
        messages.AgentOutput(execution_id=execution_id, lines=(delta, line, delta), size_bytes=3)
    )
    batch = subscriber.batches[-1]
    kinds = [json.loads(t)["payload"]["update_type"] for t in texts(batch.frames)]
    assert kinds == ["claude_delta", "claude", "claude_delta"]
    assert len(texts(batch.kept_frames)) == 1
    assert len(batch.lines) == 1


def test_a_durable_mark_releases_no_further(setup: Setup) -> None:
    subscriber = setup.join()
    setup.project._ledger.journal.log(UpdateType.CLAUDE, b"{}")
    last = setup.project._ledger.write(setup.project.stamp())
    setup.project.receive(messages.Durable(log_id="x", last_seq=last - 1))
    assert subscriber.batches == []
    setup.project.receive(messages.Durable(log_id="x", last_seq=last))
    assert [b.last_seq for b in subscriber.batches] == [last]


def test_the_queue_and_its_end(setup: Setup) -> None:
    first = setup.execute("1")
    second = setup.execute("2")
    third = setup.execute("3")
    setup.ask(execute("4"))
    assert setup.answers()[-1]["code"] == "queue_full"
    setup.end(first)
    order = setup.executor.take()[-1]
    assert order.execution_id == second
    setup.ask(requests.AgentKill(project_id="p", execution_id=third))
    setup.ask(requests.AgentKill(project_id="p"))
    assert setup.executor.take()[-1] == messages.KillRun(execution_id=second)
    setup.end(second, Outcome.KILLED)
    finished = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(f["execution_id"], f["outcome"]) for f in finished] == [
        (first, "success"),
        (third, "cancelled"),
        (second, "killed"),
    ]
    assert setup.meta().busy_since_seq is None


def test_a_late_or_doubled_end_is_nothing(setup: Setup) -> None:
    execution_id = setup.execute()
    setup.end(execution_id)
    setup.end(execution_id)
    assert setup.kinds().count("execution_finished") == 1


def test_duration_is_the_clocks(setup: Setup, frozen: Any) -> None:
    execution_id = setup.execute()
    frozen.tick(12.5)
    setup.end(execution_id)
    assert setup.lines()[-1]["data"]["duration_ms"] == 12500
    assert setup.meta().last_active == "2026-11-24T12:00:12.500000Z"


def test_the_newest_session_is_kept(setup: Setup) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.end(execution_id)
    assert setup.meta().session_id == "s1"
    setup.execute()
    assert setup.executor.take()[-1].session == SessionChoice(resume="s1")


def test_a_new_conversation_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch, fresh=True)
    setup.execute()
    assert setup.executor.take()[0].session == SessionChoice()


def test_a_reset_holds_against_the_running_execution(setup: Setup) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.ask(requests.AgentNewSession(project_id="p"))
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.tell(messages.SessionForgotten(execution_id=execution_id))
    setup.end(execution_id)
    assert setup.meta().session_id is None
    resets = [e["data"] for e in setup.lines() if e["update_type"] == "session_reset"]
    assert resets == [{"old_session_id": "s1", "reason": "requested"}]
    setup.execute()
    assert setup.executor.take()[-1].session == SessionChoice()


def test_a_full_disk_refuses_prompts_and_loses_no_line(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
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
        assert setup.project.info().status == "error"
        assert setup.project.info().queue == []
        statuses = [m for m in setup.hub.take() if isinstance(m, messages.ProjectStatusChanged)]
        assert "No space left" in str(statuses[-1].problem)
        assert b'"data":{"status":"error"}' in subscriber.batches[-1].frames
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.lines()[-1]["data"] == {"precious": 1}
    assert setup.project.info().status == "executing"
    setup.end(execution_id)
    assert setup.project.info().status == "idle"


def test_an_idle_project_mends_by_itself_when_there_is_room(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(execute("refused"))
        patch.setattr("actors.project.publisher.free_bytes", lambda _: 0)
        setup.timers.fire(messages._RetryStorage)
        setup.handle_own()
        assert setup.project.info().status == "error"
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert setup.project.info().status == "idle"


def fail_with(error: int) -> Any:
    def write(fd: int, data: bytes) -> int:
        raise OSError(error, os.strerror(error))

    return write


def test_prompts_are_refused_below_the_floor_of_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch, min_free=1 << 62)
    setup.ask(execute())
    answer = setup.answers()[-1]
    assert answer["code"] == "storage_failed" and "MIN_FREE_BYTES" in answer["message"]


def test_credit_is_given_back_in_steps_once_stored(setup: Setup) -> None:
    execution_id = setup.execute()
    setup.executor.take()
    setup.tell(output(execution_id, b"{}", size=CREDIT_STEP_BYTES - 1))
    assert setup.executor.take() == []
    setup.tell(output(execution_id, b"{}", size=1))
    assert setup.executor.take() == [
        messages.OutputStored(execution_id=execution_id, size_bytes=CREDIT_STEP_BYTES)
    ]


def test_while_the_disk_is_full_the_pipe_is_left_unread(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
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
        messages.OutputStored(execution_id=execution_id, size_bytes=3 * CREDIT_STEP_BYTES)
    ]


def test_a_full_disk_does_not_keep_a_project_from_being_read(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    setup.end(execution_id)
    setup.tell(messages.StopProject())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.open()
        assert setup.project.info().last_seq == 3
    second = setup.execute()
    assert setup.kinds()[-2:] == ["prompt", "execution_started"]
    setup.open()
    assert setup.lines()[-1]["data"]["execution_id"] == second
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_a_log_that_cannot_be_read_is_an_answer(setup: Setup) -> None:
    setup.execute()
    setup.client.take()
    for path in setup.layout.log("p").glob("*.jsonl"):
        path.rename(path.with_suffix(".gone"))
        path.mkdir()
    setup.ask(
        requests.ProjectJoin(project_id="p", since="2026-11-24T00:00:00Z"), RecordingSubscriber()
    )
    assert setup.answers()[-1]["code"] == "storage_failed"


def test_an_interval_flushes_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch, sync=SyncPolicy.INTERVAL)
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}"))
    assert [
        t.delay_s for t in setup.timers.pending if isinstance(t.message, messages._SyncDue)
    ] == [1.0]
    with monkeypatch.context() as patch:
        patch.setattr("storage.disk.sync", lambda fd: (_ for _ in ()).throw(OSError(5, "planned")))
        setup.timers.fire(messages._SyncDue)
        setup.handle_own()
        assert setup.project.info().status == "error"


def test_a_crash_between_an_end_and_its_flush_is_found(setup: Setup) -> None:
    execution_id = setup.execute()
    setup.project.receive(
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
    setup.project._runs._save()
    setup.open()
    ends = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(e["execution_id"], e["outcome"]) for e in ends] == [(execution_id, "lost")]


def test_a_crash_before_lost_is_durable_is_found_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    monkeypatch.setattr(Setup, "handle_own", lambda self: None)
    setup.open()  # logs the end, and dies before it is flushed
    monkeypatch.undo()
    monkeypatch.setattr(executor_link.Executor, "start", lambda **_: setup.executor.actor_ref)
    setup.open()
    ends = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(e["execution_id"], e["outcome"]) for e in ends] == [(execution_id, "lost")]


def test_a_stop_that_could_not_write_is_not_clean(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.tell(messages.StopProject())
        setup.end(execution_id, Outcome.KILLED)
    assert [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    setup.open()
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_a_refused_reset_changes_nothing(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.end(execution_id)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(requests.AgentNewSession(project_id="p"))
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert setup.project.info().session_id == "s1"


def test_a_refused_prompt_leaves_no_end_behind(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.execute()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(errno.ENOSPC))
        setup.ask(execute("x"), handle=False)
        waiting = setup.project._runs.queue.waiting[0].execution_id
        setup.ask(requests.AgentKill(project_id="p", execution_id=waiting))
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    assert "execution_finished" not in setup.kinds()


def test_the_death_of_a_watcher_is_not_the_executors(setup: Setup) -> None:
    setup.execute()
    died = messages.ActorDied(child=Probe().actor_ref, name="w", reason="x", started=False)
    setup.tell(died)
    assert setup.project.info().status == "executing"


def test_an_executor_that_dies_fails_one_execution(setup: Setup) -> None:
    first = setup.execute()
    second = setup.execute()
    for execution_id in (first, second):
        died = messages.ActorDied(
            child=setup.executor.actor_ref, name="executor", reason="bug", started=True
        )
        setup.tell(died)
        end = setup.lines()
        finished = [e["data"] for e in end if e["update_type"] == "execution_finished"]
        assert finished[-1]["execution_id"] == execution_id
        assert finished[-1]["outcome"] == "error"
        assert "bug" in finished[-1]["result"]


def test_an_executor_that_dies_too_often_is_given_up(setup: Setup) -> None:
    for _ in range(4):
        setup.execute()
        died = messages.ActorDied(
            child=setup.executor.actor_ref, name="executor", reason="bug", started=True
        )
        setup.tell(died)
    assert setup.project.info().status == "error"
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "internal"


def test_what_a_crash_left_open_is_lost(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_open_executions_are_found_far_behind_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path, monkeypatch, rotate=2000)
    execution_id = setup.execute()
    for _ in range(20):
        setup.tell(output(execution_id, b'{"x":"%b"}' % (b"y" * 500)))
    assert setup.meta().busy_since_seq == 0
    setup.open()
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_a_stop_ends_everything_and_closes(setup: Setup) -> None:
    running = setup.execute()
    waiting = setup.execute()
    setup.tell(messages.StopProject())
    assert setup.executor.take()[-1] == messages.KillRun(execution_id=running)
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "shutting_down"
    setup.end(running, Outcome.KILLED)
    closed = [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    assert len(closed) == 1 and closed[0].deletion is None
    meta = setup.meta()
    assert meta.log is not None and meta.log.clean is not None
    outcomes = [e["data"]["outcome"] for e in setup.lines() if "outcome" in e["data"]]
    assert outcomes == ["cancelled", "killed"]
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "shutting_down"
    assert waiting


def test_a_kill_before_the_prompt_is_stored_cancels(setup: Setup) -> None:
    setup.ask(execute("x"), handle=False)
    setup.tell(messages.StopProject())
    assert setup.executor.take() == []
    assert setup.kinds() == ["prompt", "execution_finished"]
    assert setup.answers()[0]["state"] == "finished"


def test_a_deletion_says_goodbye_last(setup: Setup) -> None:
    subscriber = setup.join()
    setup.numbers += 1
    slot = Slot(setup.client.actor_ref, setup.numbers)
    setup.tell(messages.DeleteProject(slot=slot, by="me", keep_history=False))
    assert setup.answers()[-1] == {"project_id": "p"}
    assert subscriber.batches[-1].final
    last = json.loads(texts(subscriber.batches[-1].frames)[-1])["payload"]
    assert (last["update_type"], last["data"]) == ("project_deleted", {"by": "me"})
    assert subscriber.closed_with is None
    closed = [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    assert closed[0].deletion is not None
    setup.ask(requests.GetMessages(project_id="p"))
    assert setup.answers()[-1]["code"] == "project_not_found"


def test_a_failure_closes_the_subscribers(setup: Setup) -> None:
    subscriber = setup.join()
    setup.project.on_failure(ValueError, ValueError("bug"), None)
    assert subscriber.closed_with is not None
    died = [m for m in setup.hub.take() if isinstance(m, messages.ActorDied)]
    assert died[0].reason == "ValueError: bug"


def test_rotation_by_age(setup: Setup) -> None:
    setup.execute()
    setup.tell(messages.RotateLog(created_before="20261124T115959Z"))
    setup.execute()
    assert len(list(setup.layout.log("p").glob("*.jsonl"))) == 1
    setup.tell(messages.RotateLog(created_before="20261124T120001Z"))
    setup.execute()
    assert len(list(setup.layout.log("p").glob("*.jsonl"))) == 2


def test_files_changed_only_while_someone_has_joined(setup: Setup) -> None:
    changed = messages.FilesChanged(paths=("a",), truncated=False)
    setup.tell(changed)
    subscriber = setup.join()
    setup.tell(changed)
    assert len(subscriber.batches) == 1
    setup.tell(messages.SubscriberGone(key="c1"))
    assert setup.project.info().subscribers == 0
