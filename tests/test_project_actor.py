"""The Project actor: prompts, order, sessions, supervision, the end."""

import json
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.runs import DELETED, KILLED, STOPPED
from actors.watch.project_files import FileWatcher
from protocol import requests
from protocol.claude import AgentLine, SessionChoice
from protocol.updates import Outcome, UpdateType
from tests.fakes import Probe, texts
from tests.project_setup import ProjectSetup, execute, frozen, output, setup

__all__ = ["frozen", "setup"]


def test_a_prompt_is_answered_and_run_only_once_it_is_durable(setup: ProjectSetup) -> None:
    setup.ask(execute("hello"), handle=False)
    assert setup.answers() == [] and setup.executor.take() == [] and setup.lines() == []
    setup.handle_own()
    answer = setup.answers()[0]
    assert (answer["state"], answer["position"]) == ("started", 0)
    assert setup.kinds() == ["prompt", "execution_started"]
    assert setup.lines()[0]["timestamp"] == "2026-11-24T12:00:00.000000Z"
    assert setup.lines()[0]["data"]["client_id"] == "c1"
    order = setup.executor.take()[0]
    assert order.content == "hello"
    assert order.session == SessionChoice(continue_latest=True)
    assert order.timeout_s == 300.0


def test_a_prompt_has_its_own_time_limit(setup: ProjectSetup) -> None:
    setup.execute(timeout_seconds=7.0)
    assert setup.executor.take()[0].timeout_s == 7.0


def test_compressed_streams_end_with_the_last_subscriber(setup: ProjectSetup) -> None:
    subscriber = setup.join()
    setup.execute()
    first = subscriber.batches[-1].deflation
    setup.project.on_receive(messages.SubscriberGone(subscriber_id="c1"))
    assert subscriber.has_left
    other = setup.join()
    setup.execute()
    assert first is not None and other.batches[-1].deflation is not first


def test_subscribers_get_the_stored_bytes_framed_once(setup: ProjectSetup) -> None:
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


def test_an_unlogged_update_keeps_its_place_and_may_be_dropped(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    subscriber = setup.join()
    delta = AgentLine(UpdateType.CLAUDE_DELTA, b'{"d":1}')
    line = AgentLine(UpdateType.CLAUDE, b'{"l":1}')
    setup.tell(
        messages.AgentOutput(
            execution_id=execution_id, process_name="x", lines=(delta, line, delta), size_bytes=3
        )
    )
    batch = subscriber.batches[-1]
    kinds = [json.loads(t)["payload"]["update_type"] for t in texts(batch.frames)]
    assert kinds == ["claude_delta", "claude", "claude_delta"]
    assert len(texts(batch.kept_frames)) == 1
    assert batch.last_seq == 3


def test_prompts_queue_and_a_full_queue_refuses(setup: ProjectSetup) -> None:
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
    assert setup.executor.take()[-1] == messages.KillRun(execution_id=second, why=KILLED)
    setup.end(second, Outcome.KILLED)
    finished = [e["data"] for e in setup.lines() if e["update_type"] == "execution_finished"]
    assert [(f["execution_id"], f["outcome"]) for f in finished] == [
        (first, "success"),
        (third, "cancelled"),
        (second, "killed"),
    ]
    assert setup.meta().busy_since_seq is None


def test_a_late_or_repeated_end_changes_nothing(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    setup.end(execution_id)
    setup.end(execution_id)
    assert setup.kinds().count("execution_finished") == 1


def test_the_duration_comes_from_the_clock(setup: ProjectSetup, frozen: Any) -> None:
    execution_id = setup.execute()
    frozen.tick(12.5)
    setup.end(execution_id)
    assert setup.lines()[-1]["data"]["duration_ms"] == 12500
    assert setup.meta().last_active == "2026-11-24T12:00:12.500000Z"


def test_only_a_new_status_is_told(setup: ProjectSetup) -> None:
    def told() -> list[str]:
        changes = [m for m in setup.hub.take() if isinstance(m, messages.ProjectStatusChanged)]
        return [change.status for change in changes]

    assert told() == ["idle"]
    setup.tell(messages.SubscriberGone(subscriber_id="nobody"))
    assert told() == []
    setup.execute()
    setup.execute()
    assert told() == ["executing"]


def test_the_newest_session_is_kept(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.end(execution_id)
    assert setup.meta().session_id == "s1"
    setup.execute()
    assert setup.executor.take()[-1].session == SessionChoice(resume="s1")


def test_a_new_session_begins_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, fresh=True)
    setup.execute()
    assert setup.executor.take()[0].session == SessionChoice()


def test_a_model_holds_for_its_prompt_only(setup: ProjectSetup) -> None:
    first = setup.execute(model="opus")
    setup.tell(output(first, b"{}", session_id="s1"))
    setup.end(first)
    setup.execute()
    order = setup.executor.take()[-1]
    assert order.session == SessionChoice(resume="s1") and order.model_named


def test_a_reset_holds_against_the_running_execution(setup: ProjectSetup) -> None:
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


def test_the_death_of_a_watcher_is_not_the_executors(setup: ProjectSetup) -> None:
    setup.execute()
    died = messages.ActorDied(child=Probe().actor_ref, name="w", reason="x", started=False)
    setup.tell(died)
    assert setup.project._status.describe().status == "executing"


def test_a_watcher_that_failed_is_started_again(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Probe] = []

    def start(**_: Any) -> Any:
        if len(started) == 1:
            started.append(Probe())
            raise OSError("can't start new thread")
        started.append(Probe())
        return started[-1].actor_ref

    def pass_time() -> None:
        setup.timers.fire(messages._WatcherDue)
        setup.handle_own()

    monkeypatch.setattr(FileWatcher, "start", start)
    setup.project._watching._is_due = False
    setup.join()
    problems = setup.settings.problems
    assert len(started) == 1 and problems.now() == []
    first = started[0].actor_ref
    setup.tell(messages.ActorDied(child=first, name="w", reason="a bug", started=True))
    assert problems.now() == ["files of p: changes are not noticed: a bug"]
    pass_time()
    assert problems.now() == ["files of p: changes are not noticed: can't start new thread"]
    pass_time()
    assert problems.now() == [] and len(started) == 3
    second = started[2].actor_ref
    setup.tell(messages.ActorDied(child=second, name="w", reason="a bug", started=True))
    setup.ask(requests.ProjectLeave(project_id="p"))
    pass_time()
    assert problems.now() == [] and len(started) == 3  # nobody wants to know


def test_an_executor_that_dies_fails_one_execution(setup: ProjectSetup) -> None:
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


def test_an_executor_that_dies_too_often_is_given_up(setup: ProjectSetup) -> None:
    for _ in range(4):
        setup.execute()
        died = messages.ActorDied(
            child=setup.executor.actor_ref, name="executor", reason="bug", started=True
        )
        setup.tell(died)
    assert setup.project._status.describe().status == "error"
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "internal"
    setup.timers.fire(messages._ExecutorDue)  # what made it fail may be over
    setup.handle_own()
    assert setup.project._status.describe().status == "idle"
    setup.execute()
    assert setup.project._status.describe().status == "executing"


def test_a_deletion_says_why_it_ended_what_ran(setup: ProjectSetup) -> None:
    running = setup.execute()
    reply_to = ReplyTo(setup.client.actor_ref, 9)
    setup.tell(messages.DeleteProject(reply_to=reply_to, by=None, keep_history=False))
    assert messages.KillRun(execution_id=running, why=DELETED) in setup.executor.take()


def test_a_stop_ends_everything_and_closes(setup: ProjectSetup) -> None:
    running = setup.execute()
    waiting = setup.execute()
    setup.tell(messages.StopProject())
    assert messages.KillRun(execution_id=running, why=STOPPED) in setup.executor.take()
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "shutting_down"
    setup.tell(messages.ProcessChanged(pid=1))
    setup.end(running, Outcome.KILLED)
    assert not any(isinstance(m, messages.ProjectClosed) for m in setup.hub.take())
    assert messages.LetGo(tasks_too=True) in setup.executor.take()
    setup.tell(messages.ProcessChanged(pid=None))
    closed = [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    assert len(closed) == 1 and closed[0].deletion is None
    meta = setup.meta()
    assert meta.log is not None and meta.log.clean is not None
    outcomes = [e["data"]["outcome"] for e in setup.lines() if "outcome" in e["data"]]
    assert outcomes == ["cancelled", "killed"]
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "shutting_down"
    assert waiting


def test_a_kill_before_the_prompt_is_stored_cancels(setup: ProjectSetup) -> None:
    setup.ask(execute("x"), handle=False)
    setup.tell(messages.StopProject())
    assert setup.executor.take() == []
    assert setup.kinds() == ["prompt", "execution_finished"]
    assert setup.answers()[0]["state"] == "finished"


def test_project_deleted_is_the_last_update(setup: ProjectSetup) -> None:
    subscriber = setup.join()
    setup.numbers += 1
    reply_to = ReplyTo(setup.client.actor_ref, setup.numbers)
    setup.tell(messages.DeleteProject(reply_to=reply_to, by="me", keep_history=False))
    assert setup.answers()[-1] == {"project_id": "p"}
    assert subscriber.batches[-1].is_final
    last = json.loads(texts(subscriber.batches[-1].frames)[-1])["payload"]
    assert (last["update_type"], last["data"]) == ("project_deleted", {"by": "me"})
    assert subscriber.closed_with is None
    closed = [m for m in setup.hub.take() if isinstance(m, messages.ProjectClosed)]
    assert closed[0].deletion is not None
    setup.ask(requests.GetMessages(project_id="p"))
    assert setup.answers()[-1]["code"] == "project_not_found"


def test_a_failure_closes_the_subscribers(setup: ProjectSetup) -> None:
    subscriber = setup.join()
    setup.project.on_failure(ValueError, ValueError("bug"), None)
    assert subscriber.closed_with is not None
    died = [m for m in setup.hub.take() if isinstance(m, messages.ActorDied)]
    assert died[0].reason == "ValueError: bug"


def test_a_request_that_a_dead_project_has_not_handled_is_answered(setup: ProjectSetup) -> None:
    def left() -> str:
        setup.numbers += 1
        setup.project.left_over(
            messages.ProjectRequest(
                reply_to=ReplyTo(setup.client.actor_ref, setup.numbers),
                caller=Caller("c1"),
                body=requests.GetMessages(project_id="p"),
            )
        )
        code: str = setup.answers()[-1]["code"]
        return code

    assert left() == "internal"
    setup.tell(messages.StopProject())
    assert left() == "shutting_down"


def test_files_changed_only_while_someone_has_joined(setup: ProjectSetup) -> None:
    changed = messages.FilesChanged(paths=("a",), truncated=False)
    setup.tell(changed)
    subscriber = setup.join()
    setup.tell(changed)
    assert len(subscriber.batches) == 1
    setup.tell(messages.SubscriberGone(subscriber_id="c1"))
    assert setup.project._status.describe().subscribers == 0
