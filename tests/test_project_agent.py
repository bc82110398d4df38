"""The Project actor and its agent: questions, keys, content, turns without a prompt, one end."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors import messages
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.permissions import ANSWERS_MAX
from protocol import requests
from protocol.claude import SessionChoice
from protocol.updates import Outcome, PermissionRequest
from storage.request_keys import LINES_MAX, REQUEST_KEYS_KEPT, KeyedExecution, RequestKeyFile
from tests.fakes import FrozenClock, said
from tests.project_setup import ProjectSetup, fail_with, frozen, output, setup

__all__ = ["frozen", "setup"]


def ask(
    setup: ProjectSetup, execution_id: str | None, permission_id: str = "q", **facts: Any
) -> None:
    request = PermissionRequest(
        permission_id=permission_id,
        execution_id=execution_id,
        tool="Bash",
        input={"command": "x"},
        description=None,
        suggestions=[],
        blocked_path=None,
    )
    given = {"outlives_turn": False, **facts}
    setup.tell(messages.PermissionAsked(request=request, **given))


def answer(permission_id: str = "q", decision: Any = "allow", **more: Any) -> Any:
    return requests.PermissionAnswer(
        project_id="p", permission_id=permission_id, decision=decision, **more
    )


def resolved(setup: ProjectSetup) -> list[tuple[str, str]]:
    lines = [e["data"] for e in setup.lines() if e["update_type"] == "permission_resolved"]
    return [(data["decision"], data["by"]) for data in lines]


def answers_given(setup: ProjectSetup) -> list[Any]:
    return [m for m in setup.executor.take() if isinstance(m, messages.AnswerPermission)]


def test_a_question_is_logged_shown_and_answered_once(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id)
    asked = setup.lines()[-1]
    assert asked["update_type"] == "permission_request"
    assert asked["execution_id"] == execution_id
    assert setup.project._status.describe().pending_permissions == [asked["data"]]
    setup.ask(answer(updated_input={"command": "y"}, remember=True), handle=False)
    assert answers_given(setup) == []  # not before it is durable
    setup.handle_own()
    (given,) = answers_given(setup)
    assert (given.allow, given.updated_input, given.remember) == (True, {"command": "y"}, True)
    assert setup.answers()[-1] == {"permission_id": "q"}
    assert resolved(setup) == [("allow", "c1")]
    assert setup.project._status.describe().pending_permissions == []
    setup.ask(answer(decision="deny"))
    late = setup.answers()[-1]
    assert late["code"] == "already_answered"
    assert late["details"] == {"by": "c1", "decision": "allow"}
    assert answers_given(setup) == []


def test_the_user_is_named_if_known(setup: ProjectSetup) -> None:
    ask(setup, setup.execute())
    setup.project.on_receive(
        messages.ProjectRequest(
            reply_to=ReplyTo(setup.client.actor_ref, 9),
            caller=Caller("c", user="ann"),
            body=answer(),
        )
    )
    setup.handle_own()
    assert resolved(setup) == [("allow", "ann")]


def test_the_first_of_two_answers_wins(setup: ProjectSetup) -> None:
    ask(setup, setup.execute())
    setup.answers()
    first = setup.ask(answer(decision="deny"), handle=False)
    setup.ask(answer(), handle=False)
    setup.handle_own()
    answers = {m.number: said(m) for m in setup.client.take()}
    assert answers[first] == {"permission_id": "q"}
    assert answers[first + 1]["details"]["decision"] == "deny"
    assert [given.allow for given in answers_given(setup)] == [False]


def test_an_answer_to_an_unknown_question_is_an_error(setup: ProjectSetup) -> None:
    setup.ask(answer("nothing"))
    assert setup.answers()[-1]["code"] == "permission_not_found"


def test_answers_are_remembered_until_a_later_execution_has_finished(setup: ProjectSetup) -> None:
    first = setup.execute()
    ask(setup, first)
    setup.ask(answer())
    setup.end(first)
    setup.ask(answer())
    assert setup.answers()[-1]["code"] == "already_answered"
    setup.end(setup.execute())
    setup.ask(answer())
    assert setup.answers()[-1]["code"] == "permission_not_found"


def test_a_question_without_an_answer_is_denied(setup: ProjectSetup) -> None:
    ask(setup, setup.execute())
    assert any(t.delay_s == 120.0 for t in setup.timers.pending)
    setup.timers.fire(messages._PermissionExpired)
    setup.handle_own()
    assert resolved(setup) == [("deny", "timeout")]
    (given,) = answers_given(setup)
    assert not given.allow and "within 120 seconds" in given.message
    setup.tell(messages._PermissionExpired(permission_id="q"))  # doubled
    assert resolved(setup) == [("deny", "timeout")]


def test_a_withdrawn_question_is_resolved(setup: ProjectSetup) -> None:
    ask(setup, setup.execute())
    for _ in range(2):
        setup.tell(messages.PermissionWithdrawn(permission_id="q"))
    assert resolved(setup) == [("deny", "withdrawn")]
    setup.ask(answer())
    assert setup.answers()[-1]["details"] == {"by": "withdrawn", "decision": "deny"}


def test_an_end_closes_its_questions_before_it(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id)
    ask(setup, execution_id, "background", outlives_turn=True)
    setup.end(execution_id)
    assert setup.kinds()[-2:] == ["permission_resolved", "execution_finished"]
    assert resolved(setup) == [("deny", "execution_finished")]
    assert [p["permission_id"] for p in setup.project._status.describe().pending_permissions] == [
        "background"
    ]


def test_a_dead_executor_leaves_no_question(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id)
    ask(setup, execution_id, "background", outlives_turn=True)
    setup.tell(
        messages.ActorDied(child=setup.executor.actor_ref, name="e", reason="bug", started=True)
    )
    assert resolved(setup) == [("deny", "execution_finished"), ("deny", "withdrawn")]
    assert setup.project._status.describe().pending_permissions == []


def test_an_answer_that_cannot_be_stored_is_asked_for_again(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(28))
        setup.ask(answer())
    assert setup.answers()[-1]["code"] == "storage_failed"
    assert answers_given(setup) == []
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    setup.ask(answer())
    assert setup.answers()[-1] == {"permission_id": "q"}
    assert [given.allow for given in answers_given(setup)] == [True]


def test_remembered_answers_are_limited(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    for number in range(ANSWERS_MAX + 1):
        ask(setup, execution_id, f"q{number}")
        setup.project.on_receive(messages.PermissionWithdrawn(permission_id=f"q{number}"))
    setup.handle_own()
    setup.ask(answer("q0"))
    assert setup.answers()[-1]["code"] == "permission_not_found"


def test_a_crash_leaves_no_question_open(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id)
    ask(setup, execution_id, "answered")
    setup.ask(answer("answered"))
    setup.open()
    assert setup.kinds()[-2:] == ["permission_resolved", "execution_finished"]
    assert setup.lines()[-2]["data"]["permission_id"] == "q"
    assert resolved(setup)[-1] == ("deny", "execution_finished")


# -- keys and content ------------------------------------------------------------------------


def keyed(prompt: str = "x", key: str = "k", **options: Any) -> requests.Execute:
    return requests.Execute(
        project_id="p", prompt=prompt, key=key, options=requests.Options(**options)
    )


def test_a_key_runs_once(setup: ProjectSetup) -> None:
    setup.ask(keyed())
    first = setup.answers()[-1]
    setup.ask(keyed())
    assert setup.answers()[-1] == {**first, "state": "started"}
    setup.ask(keyed(key="l"))
    assert setup.answers()[-1]["state"] == "queued"
    setup.end(first["execution_id"])
    setup.ask(keyed())
    assert setup.answers()[-1] == {**first, "state": "finished"}
    assert setup.kinds().count("prompt") == 2
    assert setup.lines()[0]["data"]["key"] == "k"


def test_a_key_is_for_one_prompt_with_its_options(setup: ProjectSetup) -> None:
    setup.ask(keyed())
    for other in (keyed("y"), keyed(model="opus")):
        setup.ask(other)
        refused = setup.answers()[-1]
        assert (refused["code"], refused["details"]) == (
            "invalid_message",
            {"field": "payload.key"},
        )


def test_a_key_sent_twice_before_it_is_durable_runs_once(setup: ProjectSetup) -> None:
    """Two clients send it at once; both get their answer when the first is durable."""
    setup.ask(keyed(), handle=False)
    setup.ask(keyed(), handle=False)
    assert setup.client.take() == []
    setup.handle_own()
    one, other = setup.answers()
    assert one == other and setup.kinds().count("prompt") == 1


def test_a_refused_key_may_be_used_again(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(28))
        setup.ask(keyed())
        assert setup.answers()[-1]["code"] == "storage_failed"
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    setup.ask(keyed("another prompt"))
    assert setup.answers()[-1]["state"] == "started"


@pytest.mark.parametrize("clean", [True, False])
def test_a_key_is_known_after_a_restart(setup: ProjectSetup, clean: bool) -> None:
    setup.ask(keyed())
    first = setup.answers()[-1]
    if clean:
        setup.end(first["execution_id"])
        setup.tell(messages.StopProject())
    else:  # what had not been kept is in the log
        (setup.layout.project("p") / "keys.jsonl").unlink(missing_ok=True)
    setup.open()
    setup.ask(keyed())
    assert setup.answers()[-1] == {**first, "state": "finished"}


def test_a_clean_stop_keeps_the_keys(setup: ProjectSetup) -> None:
    setup.project._log.note_key(KeyedExecution("k", "e", "f"))
    setup.tell(messages.StopProject())
    assert [run.request_key for run in RequestKeyFile(setup.layout.project("p")).load()] == ["k"]


def test_the_file_of_request_keys_is_limited_and_repairs_itself(tmp_path: Path) -> None:
    file = RequestKeyFile(tmp_path)
    for number in range(LINES_MAX + 10):
        file.note(KeyedExecution(f"k{number}", "e", "f"))
        if number % 100 == 0:
            file.save()
    file.save()
    path = tmp_path / "keys.jsonl"
    assert path.read_bytes().count(b"\n") < LINES_MAX
    with open(path, "ab") as torn:
        torn.write(b'{"key":"half')
    again = RequestKeyFile(tmp_path)
    assert again.load()[-1].request_key == f"k{LINES_MAX + 9}"
    again.note(KeyedExecution("new", "e", "f"))
    again.save()
    known = RequestKeyFile(tmp_path).load()
    assert len(known) == REQUEST_KEYS_KEPT and known[-1].request_key == "new"


def test_content_takes_the_place_of_a_prompt(setup: ProjectSetup) -> None:
    blocks = [{"type": "text", "text": "a" * 300}, {"type": "text", "text": "b"}]
    body = requests.Execute.model_validate({"project_id": "p", "content": blocks})
    setup.ask(body)
    assert setup.executor.take()[-1].content == tuple(blocks)
    data = setup.lines()[0]["data"]
    assert data["content"] == blocks and "prompt" not in data
    setup.ask(body)
    assert setup.project._status.describe().queue[0].prompt == "a" * 200


# -- sessions, turns of the CLI's own, interrupts --------------------------------------------


def test_clear_becomes_a_session_reset(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.tell(output(execution_id, b"{}", session_id="s2"))
    assert setup.kinds()[-1] == "claude", "another session alone may be a fork"
    setup.tell(messages.SessionCleared(execution_id=execution_id, old_session_id="s1"))
    reset = setup.lines()[-1]
    assert reset["data"] == {"old_session_id": "s1", "reason": "cleared"}
    setup.end(execution_id)
    assert setup.meta().session_id == "s2"


def new_session(setup: ProjectSetup, *, handle: bool = True) -> None:
    setup.ask(requests.AgentNewSession(project_id="p"), handle=handle)


def with_session(setup: ProjectSetup) -> None:
    """The project has the conversation s1."""
    execution_id = setup.execute()
    setup.tell(output(execution_id, b"{}", session_id="s1"))
    setup.end(execution_id)
    setup.executor.take()


def last_order(setup: ProjectSetup) -> messages.StartRun:
    orders = [m for m in setup.executor.take() if isinstance(m, messages.StartRun)]
    return orders[-1]


def test_a_reset_right_after_a_prompt_applies_to_it(setup: ProjectSetup) -> None:
    with_session(setup)
    setup.ask(requests.Execute(project_id="p", prompt="x"), handle=False)
    new_session(setup)
    assert last_order(setup).session == SessionChoice()
    running = setup.project._status.describe().execution_id
    assert running is not None
    setup.tell(output(running, b"{}", session_id="s2"))
    assert setup.meta().session_id == "s2"


def test_a_prompt_that_starts_while_a_reset_is_stored_runs_in_the_new_session(
    setup: ProjectSetup,
) -> None:
    with_session(setup)
    first, second = setup.execute(), setup.execute()
    setup.executor.take()
    new_session(setup, handle=False)
    setup.end(first)
    order = last_order(setup)
    assert (order.execution_id, order.session) == (second, SessionChoice())


def test_a_running_turn_cannot_bring_its_old_session_back(setup: ProjectSetup) -> None:
    with_session(setup)
    new_session(setup)
    setup.tell(messages.BackgroundBegan(execution_id="own", session_id="s1"))
    setup.tell(output("own", b"{}", session_id="s1"))
    setup.end("own")
    assert setup.meta().session_id is None


def test_a_reset_that_is_refused_changes_nothing(
    setup: ProjectSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_session(setup)
    running = setup.execute()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_with(28))
        new_session(setup)
    assert setup.answers()[-1]["code"] == "storage_failed"
    setup.timers.fire(messages._RetryStorage)
    setup.handle_own()
    setup.tell(output(running, b"{}", session_id="s2"))
    setup.end(running)
    assert setup.meta().session_id == "s2"
    assert setup.execute() and last_order(setup).session == SessionChoice(resume="s2")


@pytest.mark.parametrize("option", ["model", "fallback_model"])
def test_a_model_may_come_back_as_long_as_the_session_lives(
    setup: ProjectSetup, option: str
) -> None:
    """Also after a prompt that succeeded without calling a model (`/cost`), and after a crash."""
    with_session(setup)
    setup.end(setup.execute(**{option: "haiku"}), Outcome.KILLED)
    for outcome in (Outcome.ERROR, Outcome.SUCCESS, Outcome.SUCCESS):
        execution_id = setup.execute()
        assert last_order(setup).model_named
        setup.end(execution_id, outcome)


def test_a_named_model_is_known_after_a_crash(setup: ProjectSetup) -> None:
    with_session(setup)
    running = setup.execute(model="haiku")
    setup.tell(output(running, b"{}"))
    assert setup.meta().model_named


def test_a_new_session_has_no_model(setup: ProjectSetup) -> None:
    with_session(setup)
    setup.end(setup.execute(model="haiku"))
    new_session(setup)
    setup.execute()
    assert not last_order(setup).model_named


def test_a_session_is_kept_with_its_first_line(setup: ProjectSetup) -> None:
    """A crash brings back neither the earlier session nor none."""
    execution_id = setup.execute()
    for session_id in ("s1", "s2"):  # /clear
        setup.tell(output(execution_id, b"{}", session_id=session_id))
        assert setup.meta().session_id == session_id
    setup.open()
    setup.execute()
    assert last_order(setup).session == SessionChoice(resume="s2")


def test_a_question_behind_its_execution_is_found_after_a_crash(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    ask(setup, execution_id, outlives_turn=True)
    setup.end(execution_id)
    setup.end(setup.execute())
    setup.open()
    assert resolved(setup) == [("deny", "execution_finished")]
    setup.open()
    assert len(resolved(setup)) == 1


def test_a_turn_of_the_clis_own_is_an_execution(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.tell(messages.BackgroundBegan(execution_id="own", session_id="s"))
    started = setup.lines()[-1]["data"]
    assert started == {"execution_id": "own", "session_id": "s", "origin": "background"}
    assert setup.project._status.describe().status == "executing"
    assert setup.project._status.describe().execution_id == "own"
    setup.tell(output("own", b"{}"))
    waiting = setup.execute()
    setup.ask(requests.AgentInterrupt(project_id="p"))
    assert setup.executor.take()[-1] == messages.InterruptRun(execution_id="own")
    setup.end("own", Outcome.INTERRUPTED)
    setup.end(waiting)
    assert setup.project._status.describe().status == "idle"


def test_a_crash_loses_a_turn_of_the_clis_own(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.tell(messages.BackgroundBegan(execution_id="own", session_id="s"))
    setup.open()
    assert setup.lines()[-1]["data"]["execution_id"] == "own"
    assert setup.lines()[-1]["data"]["outcome"] == "lost"


def test_an_interrupt_is_for_the_running_execution(setup: ProjectSetup) -> None:
    interrupt = requests.AgentInterrupt(project_id="p")
    setup.ask(interrupt)
    assert setup.answers()[-1]["code"] == "nothing_running"
    running, waiting = setup.execute(), setup.execute()
    for body in (interrupt, requests.AgentInterrupt(project_id="p", execution_id=running)):
        setup.ask(body)
        assert setup.answers()[-1] == {"execution_id": running}
        assert setup.executor.take()[-1] == messages.InterruptRun(execution_id=running)
    setup.ask(requests.AgentInterrupt(project_id="p", execution_id=waiting))
    assert setup.answers()[-1]["code"] == "nothing_running"


def test_lines_of_no_execution_carry_no_id(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.tell(output(None, b'{"late":1}'))  # type: ignore[arg-type]
    assert "execution_id" not in setup.lines()[-1]


def test_a_join_starts_a_process_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, warm_ahead=True)
    setup.join()
    assert setup.executor.take() == [
        messages.WarmUp(session=SessionChoice(continue_latest=True), trusted=False)
    ]
    setup.tell(messages.ProcessChanged(pid=1, is_idle=True, memory_bytes=5))
    assert (warm := warm_process(setup)).pid == 1 and warm.memory_bytes == 5
    setup.join()
    assert setup.executor.take() == []


def test_a_process_was_used_last_when_its_turn_ended(setup: ProjectSetup, frozen: Any) -> None:
    """The hub measures its memory after the end, and may report it much later."""
    execution_id = setup.execute()
    setup.tell(messages.ProcessChanged(pid=1))
    assert warm_process(setup).pid is None
    frozen.tick(3)
    setup.end(execution_id)
    ended_at_s = FrozenClock().monotonic()
    frozen.tick(5)
    setup.tell(messages.ProcessChanged(pid=1, is_idle=True, memory_bytes=5))
    assert warm_process(setup).used_at_s == ended_at_s


def warm_process(setup: ProjectSetup) -> messages.WarmProcess:
    return [m for m in setup.hub.take() if isinstance(m, messages.WarmProcess)][-1]


def end_running(setup: ProjectSetup) -> None:
    active = setup.project._queue.background or setup.project._queue.running
    if active is not None and active.started_at_s is not None:
        setup.end(active.execution_id)


def own_turn(setup: ProjectSetup) -> None:
    if setup.project._queue.background is None:
        own = f"o{setup.numbers}"
        setup.tell(messages.BackgroundBegan(execution_id=own, session_id=None))


COURSE = {
    "execute": lambda s: s.ask(requests.Execute(project_id="p", prompt="x")),
    "kill": lambda s: s.ask(requests.AgentKill(project_id="p")),
    "interrupt": lambda s: s.ask(requests.AgentInterrupt(project_id="p")),
    "new session": lambda s: s.ask(requests.AgentNewSession(project_id="p")),
    "end": end_running,
    "own": own_turn,
    "line": lambda s: s.tell(output("nobody", b"{}")),
    "crash": lambda s: s.tell(
        messages.ActorDied(child=s.executor.actor_ref, name="e", reason="bug", started=True)
    ),
    "server crash": lambda s: s.open(),
}


@given(names=st.lists(st.sampled_from(sorted(COURSE)), max_size=12))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_sequence_has_one_end_for_each_execution(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        setup = ProjectSetup(tmp_path_factory.mktemp("course"), patch)
        for name in names:
            setup.numbers += 1
            COURSE[name](setup)
        for _ in range(20):
            end_running(setup)
        begun = [
            e["data"]["execution_id"]
            for e in setup.lines()
            if e["update_type"] in ("prompt", "execution_started")
        ]
        ended = [
            e["data"]["execution_id"]
            for e in setup.lines()
            if e["update_type"] == "execution_finished"
        ]
        assert sorted(ended) == sorted(set(begun)), names
        setup.project.release()


def test_an_executor_that_has_just_died_takes_nothing_with_it(setup: ProjectSetup) -> None:
    """Its parent learns of the death only when its process is gone."""
    setup.end(setup.execute())
    setup.executor.actor_ref.actor_stopped.set()
    running = setup.execute()
    COURSE["crash"](setup)
    assert setup.lines()[-1]["data"]["execution_id"] == running
    assert setup.lines()[-1]["data"]["outcome"] == "error"
    assert warm_process(setup).pid is None


@pytest.mark.parametrize(
    "line",
    [b'{"update_type":"prompt","x":1}', b'{"seq":1,"update_type":"execution_finished","x":1}'],
)
def test_recovery_does_not_believe_what_the_agent_wrote(setup: ProjectSetup, line: bytes) -> None:
    """After a crash the project opens, and each execution has its end."""
    setup.tell(output(setup.execute(), line))
    setup.project._log.abandon()
    setup.open()
    assert setup.kinds()[-1] == "execution_finished"
    assert setup.lines()[-1]["data"]["outcome"] == "lost"
