"""The Executor actor, unstarted: processes, prompts, preparation, warm_processes, attribution."""

import signal
from typing import Any

import pytest

from actors import messages
from actors.executor import questions, starter
from actors.executor.actor import AgentThreadFailed
from actors.executor.output import LINE_COST_BYTES
from actors.executor.questions import QUESTIONS_MAX
from protocol.claude import Cut, SessionChoice
from protocol.updates import Outcome
from tests.executor_setup import (
    ABORTED,
    FORGOTTEN,
    INIT,
    LINE,
    RESULT,
    FakeProcess,
    KnownCli,
    Left,
    Setup,
    cold,
    found,
    no_processes,
    setup,
)

__all__ = ["cold", "no_processes", "setup"]

RESUMED = SessionChoice(resume="s")


def finish(setup: Setup, execution_id: str = "e") -> messages.RunEnded:
    setup.read(INIT, RESULT)
    ended = setup.end()
    assert ended.execution_id == execution_id
    return ended


def test_a_prompt_goes_to_the_input_of_a_process_which_is_kept(setup: Setup) -> None:
    setup.start()
    spec = setup.process.spec
    assert spec.argv[:3] == ["claude", "--x", "-p"]
    assert spec.folder == "/p"
    assert spec.mark == f"data:{spec.process_name}" and spec.process_name.startswith("run-")
    assert [p["message"]["content"] for p in setup.process.prompts()] == ["hi"]
    setup.read(INIT, LINE, RESULT)
    told = setup.project.take()
    assert [type(m).__name__ for m in told] == [
        "ProcessChanged",
        "RunBegan",
        "AgentOutput",
        "RunEnded",
        "ProcessChanged",
    ]
    assert (told[3].outcome, told[3].result, told[3].exit_code) == (Outcome.SUCCESS, "done", None)
    assert (told[4].pid, told[4].is_idle, told[4].memory_bytes) == (4242, True, 1 << 20)
    setup.start(RESUMED, "f", "again")
    assert len(FakeProcess.started) == 1
    prompts = setup.process.prompts()
    assert [p["message"]["content"] for p in prompts] == ["hi", "again"]
    assert prompts[0]["uuid"] != prompts[1]["uuid"]
    assert finish(setup, "f").outcome == Outcome.SUCCESS


def test_content_blocks_are_sent_as_they_are(setup: Setup) -> None:
    blocks = ({"type": "text", "text": "look"},)
    setup.start(content=blocks)
    assert setup.process.prompts()[0]["message"]["content"] == list(blocks)


def test_the_mode_is_reset_after_each_turn(setup: Setup) -> None:
    """After the turn, so that the next one need not wait."""
    setup.start()
    assert setup.process.controls("set_permission_mode") == []  # it was an argument
    finish(setup)
    assert [c["mode"] for c in setup.process.controls("set_permission_mode")] == ["default"]
    setup.start(RESUMED, "f")
    assert len(setup.process.prompts()) == 2
    finish(setup, "f")
    setup.start(RESUMED, "g", permission_mode="plan")
    request = setup.process.controls("set_permission_mode")[-1]
    assert request["mode"] == "plan" and len(setup.process.prompts()) == 2
    setup.respond(request["id"])
    assert len(setup.process.prompts()) == 3
    finish(setup, "g")
    assert setup.process.controls("set_permission_mode")[-1]["mode"] == "default"


def test_a_prompt_waits_for_a_mode_that_the_cli_has_changed(setup: Setup) -> None:
    setup.start()
    setup.read(RESULT)
    setup.say({"type": "system", "subtype": "status", "permissionMode": "acceptEdits"})
    setup.start(RESUMED, "f")
    assert len(setup.process.prompts()) == 1
    setup.respond(setup.process.controls("set_permission_mode")[-1]["id"])
    assert len(setup.process.prompts()) == 2


def test_model_and_rules_reach_a_process_and_leave_it(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f", model="opus", allowed_tools=["Read"], add_dirs=["/usr"])
    assert len(FakeProcess.started) == 1
    assert setup.process.controls("set_model")[0]["model"] == "opus"
    settings = setup.process.controls("apply_flag_settings")[0]["settings"]
    assert settings == {"permissions": {"allow": ["Read"], "additionalDirectories": ["/usr"]}}
    ids = [line["request_id"] for line in setup.process.written if "request_id" in line]
    for request_id in reversed(ids):  # answers may come in any order
        assert len(setup.process.prompts()) == 1
        setup.respond(request_id)
        if len(setup.process.prompts()) == 2:
            break
    finish(setup, "f")
    assert setup.process.controls("apply_flag_settings")[-1]["settings"] == {"permissions": None}
    setup.start(RESUMED, "g")
    assert "model" not in setup.process.controls("set_model")[-1]


def test_rules_of_a_first_prompt_are_told_and_not_arguments(setup: Setup) -> None:
    setup.start(disallowed_tools=["Bash"])
    assert not any("Bash" in argument for argument in setup.process.spec.argv)
    settings = setup.process.controls("apply_flag_settings")[0]["settings"]
    assert settings == {"permissions": {"deny": ["Bash"]}}


def test_a_refused_setting_fails_the_execution_and_not_the_process(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f", model="opus")
    setup.respond(setup.process.controls("set_model")[0]["id"], error="no such model")
    ended = setup.end()
    assert ended.outcome == Outcome.ERROR
    assert ended.result == "The agent refused the model: no such model"
    setup.start(RESUMED, "g", model="opus")
    assert len(FakeProcess.started) == 1
    # What is not known is said again.
    assert len(setup.process.controls("set_model")) == 2
    assert len(setup.process.prompts()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"max_turns": 3},
        {"fallback_model": "haiku"},
        {"append_system_prompt": "be brief"},
        {"permission_mode": "bypassPermissions"},
    ],
)
def test_some_options_need_another_process(setup: Setup, options: dict[str, Any]) -> None:
    setup.start()
    finish(setup)
    first = setup.process
    setup.start(RESUMED, "f", **options)
    assert first.controls("end_session") and first.input_closed
    assert len(FakeProcess.started) == 1  # never two on one session
    setup.gone()
    assert len(FakeProcess.started) == 2
    assert "--resume=s" in setup.process.spec.argv
    assert finish(setup, "f").outcome == Outcome.SUCCESS
    setup.start(RESUMED, "g", **options)
    assert len(FakeProcess.started) == 2


def test_another_session_needs_another_process(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(SessionChoice(), "f")
    setup.gone()
    assert "--resume=s" not in setup.process.spec.argv and len(FakeProcess.started) == 2


def test_the_model_of_an_earlier_process_is_restored(setup: Setup) -> None:
    setup.start(RESUMED, model_named=True)
    assert "model" not in setup.process.controls("set_model")[0]
    assert setup.process.prompts() == []
    setup.respond(setup.process.controls("set_model")[0]["id"])
    assert len(setup.process.prompts()) == 1


def test_the_system_prompt_of_a_session_is_not_restored() -> None:
    setup = Setup(cli=KnownCli(knows_snapshots=True))
    setup.start(RESUMED)
    assert "--system-prompt-snapshot=off" in setup.process.spec.argv


def test_lines_are_passed_on_with_their_credit(setup: Setup) -> None:
    setup.start()
    setup.read(LINE, b"", b"text")
    (output,) = setup.told(messages.AgentOutput)
    assert [line.update_type for line in output.lines] == ["claude", "claude_text"]
    cost = sum(len(line) + 1 + LINE_COST_BYTES for line in (LINE, b"", b"text"))
    assert (output.execution_id, output.size_bytes) == ("e", cost)
    assert output.process_name == setup.process.process_name
    answer = b'{"type":"control_response","response":{"request_id":"r","subtype":"success"}}'
    setup.process.credit.take(len(answer) + 1 + LINE_COST_BYTES)
    setup.read(answer)
    assert setup.told(messages.AgentOutput) == []
    assert setup.process.credit._on_the_way == 0


def test_credit_comes_back_through_the_executor(setup: Setup) -> None:
    setup.start()
    setup.process.credit.take(30)
    process_name = setup.process.process_name
    setup.tell(messages.OutputStored(process_name=process_name, size_bytes=20))
    setup.tell(messages.OutputStored(process_name="other", size_bytes=5))
    assert setup.process.credit._on_the_way == 10


def test_lines_after_the_result_belong_to_no_execution(setup: Setup) -> None:
    setup.start()
    setup.read(LINE, RESULT, LINE)
    outputs = setup.told(messages.AgentOutput)
    assert [o.execution_id for o in outputs] == ["e", None]
    cost = sum(len(line) + 1 + LINE_COST_BYTES for line in (LINE, RESULT, LINE))
    assert [o.size_bytes for o in outputs] == [0, cost]


def test_lines_after_the_result_belong_to_no_execution_while_the_process_leaves(
    cold: Setup,
) -> None:
    cold.start()
    cold.read(LINE, RESULT, LINE)
    assert [o.execution_id for o in cold.told(messages.AgentOutput)] == ["e", None]


RULE = {
    "type": "addRules",
    "behavior": "allow",
    "rules": [{"toolName": "Bash", "ruleContent": "x"}],
}
FOLDER = {"type": "addDirectories", "directories": ["/usr"]}
MODE = {"type": "setMode", "mode": "acceptEdits", "destination": "session"}


def remember(setup: Setup, *suggestions: dict[str, Any]) -> dict[str, Any]:
    """Allows a tool for the rest of the session; what the CLI is answered."""
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    request["permission_suggestions"] = list(suggestions)
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    (asked,) = setup.told(messages.PermissionAsked)
    setup.tell(
        messages.AnswerPermission(
            permission_id=asked.request.permission_id,
            allow=True,
            message="",
            updated_input=None,
            remember=True,
        )
    )
    answer: dict[str, Any] = setup.process.answers()[-1]["response"]
    return answer


def test_suggestions_are_granted_for_the_session(setup: Setup) -> None:
    setup.start()
    answer = remember(setup, {**RULE, "destination": "localSettings"}, FOLDER, MODE)
    assert answer["behavior"] == "allow" and answer["updatedInput"] == {"command": "x"}
    assert [p["destination"] for p in answer["updatedPermissions"]] == ["session"] * 3
    setup.read(RESULT)
    # A mode is wider than the rule beside it: the next prompt has its own again.
    assert setup.process.controls("set_permission_mode")[-1]["mode"] == "default"
    setup.start(RESUMED, "f", max_turns=2)
    setup.gone()
    settings = setup.process.controls("apply_flag_settings")[0]["settings"]["permissions"]
    assert settings == {"allow": ["Bash(x)"], "additionalDirectories": ["/usr"]}


def test_a_rule_to_ask_is_not_remembered_as_allowed(setup: Setup) -> None:
    setup.start()
    asks = {**RULE, "behavior": "ask"}
    denies = {**RULE, "behavior": "deny", "rules": [{"toolName": "Bash", "ruleContent": "y"}]}
    remember(setup, asks, {**RULE, "behavior": "unknown"}, denies)
    setup.read(RESULT)
    setup.start(RESUMED, "f", max_turns=2)
    setup.gone()
    (settings,) = setup.process.controls("apply_flag_settings")
    assert settings["settings"]["permissions"] == {"deny": ["Bash(y)"]}


def test_a_suggested_mode_alone_holds(setup: Setup) -> None:
    setup.start()
    remember(setup, MODE)
    setup.read(RESULT)
    assert setup.process.controls("set_permission_mode")[-1]["mode"] == "acceptEdits"
    setup.tell(messages.ForgetPermissions())
    setup.start(RESUMED, "f")
    assert setup.process.controls("set_permission_mode")[-1]["mode"] == "default"


def test_a_forgotten_session_has_no_permissions(setup: Setup) -> None:
    setup.start(RESUMED)
    remember(setup, RULE)
    setup.read(FORGOTTEN)
    setup.gone(1)
    assert setup.process.controls("apply_flag_settings") == []


def test_a_question_that_cannot_be_shown_is_refused(setup: Setup) -> None:
    setup.start()
    odd = [
        {"subtype": "elicitation"},
        {"subtype": "can_use_tool", "tool_name": 5, "input": {}},
        {"subtype": "can_use_tool", "tool_name": "Bash", "input": []},
    ]
    for number, request in enumerate(odd):
        setup.say({"type": "control_request", "request_id": f"r{number}", "request": request})
    assert [a["subtype"] for a in setup.process.answers()] == ["error"] * 3
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    for number in range(QUESTIONS_MAX + 1):
        setup.say({"type": "control_request", "request_id": f"q{number}", "request": request})
    assert len(setup.told(messages.PermissionAsked)) == QUESTIONS_MAX
    assert setup.process.answers()[-1]["request_id"] == f"q{QUESTIONS_MAX}"


def test_a_question_outside_of_an_execution_is_refused(setup: Setup) -> None:
    setup.start()
    finish(setup)
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    assert setup.process.answers()[-1]["response"]["behavior"] == "deny"


def test_an_answer_that_comes_too_late_is_not_written(setup: Setup) -> None:
    setup.start()
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    (asked,) = setup.told(messages.PermissionAsked)
    setup.say({"type": "control_cancel_request", "request_id": "r"})
    assert len(setup.told(messages.PermissionWithdrawn)) == 1
    setup.tell(
        messages.AnswerPermission(
            permission_id=asked.request.permission_id,
            allow=False,
            message="no",
            updated_input=None,
            remember=False,
        )
    )
    assert setup.process.answers() == []


def test_lines_belong_to_the_prompt_with_their_uuid(setup: Setup) -> None:
    setup.start()
    uuid = setup.process.prompts()[0]["uuid"]
    other = {"type": "result", "is_error": False, "result": "x", "user_message_uuids": ["other"]}
    setup.say(
        {"type": "command_lifecycle", "command_uuid": "other", "state": "completed"},
        {"type": "system", "subtype": "init", "user_message_uuids": [uuid]},
        other,
        {"type": "assistant"},
    )
    outputs = setup.told(messages.AgentOutput)
    assert [o.execution_id for o in outputs] == [None, "e", None, "e"]
    setup.say({**other, "result": "mine", "user_message_uuids": [uuid]})
    assert setup.end().result == "mine"


def test_without_uuids_a_result_with_an_origin_is_not_of_the_prompt(setup: Setup) -> None:
    setup.start()
    own = {"type": "result", "is_error": False, "result": "x", "origin": {"kind": "task"}}
    setup.say(own)
    assert setup.told(messages.RunEnded) == []
    setup.say({**own, "origin": None, "result": "mine"})
    assert setup.end().result == "mine"


def test_the_cost_is_that_of_one_execution(setup: Setup) -> None:
    result = {"type": "result", "is_error": False, "result": "x", "session_id": "s"}
    costs = []
    for number, facts in enumerate(
        [
            {"total_cost_usd": 0.5},
            {"total_cost_usd": 0.75},
            {"total_cost_usd": 0},  # /clear
            {"total_cost_usd": 9, "model_usage_since_last_result": {"m": {"costUSD": 0.125}}},
            {"total_cost_usd": 9.5},
            {},
        ]
    ):
        setup.start(RESUMED if number else None, f"e{number}")
        setup.say({**result, **facts})
        costs.append(setup.end().cost_usd)
    assert costs == [0.5, 0.25, 0.0, 0.125, 0.5, None]


def test_standard_error_belongs_to_its_execution(setup: Setup) -> None:
    setup.start()
    setup.process.errors = "mine"
    setup.read(INIT, RESULT)
    assert setup.end().stderr == "mine"
    setup.start(RESUMED, "f")
    assert finish(setup, "f").stderr == ""


def test_a_prompt_for_a_forgotten_session_runs_again_in_a_new_one(setup: Setup) -> None:
    setup.start(RESUMED)
    first = setup.process
    setup.read(FORGOTTEN)
    setup.gone(1)
    told = setup.project.take()
    assert messages.SessionForgotten(execution_id="e") in told
    assert setup.process is not first
    assert not any(a.startswith(("--resume", "-c")) for a in setup.process.spec.argv)
    assert setup.process.prompts()[0]["uuid"] != first.prompts()[0]["uuid"]
    setup.read(LINE, process=first)  # late, of the old process
    assert setup.project.take() == []
    assert finish(setup).outcome == Outcome.SUCCESS


def test_a_kill_while_the_session_is_forgotten_runs_nothing_more(setup: Setup) -> None:
    setup.start(RESUMED)
    setup.read(FORGOTTEN)
    setup.kill()
    setup.gone(1)
    assert setup.end().outcome == Outcome.KILLED
    assert len(FakeProcess.started) == 1


def test_a_process_that_dies_between_turns_is_no_error(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.gone(-9)
    assert setup.told(messages.RunEnded) == []
    setup.start(RESUMED, "f")
    assert len(FakeProcess.started) == 2
    assert finish(setup, "f").outcome == Outcome.SUCCESS


def test_a_prompt_for_a_dead_process_goes_to_another(setup: Setup) -> None:
    """The news of the death comes after the prompt; the process has written nothing about it."""
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f")
    setup.gone(-9)
    assert len(FakeProcess.started) == 2 and len(setup.process.prompts()) == 1
    setup.gone(-9)  # once is enough
    assert setup.end().outcome == Outcome.ERROR


def test_a_prompt_with_output_is_not_run_again(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f")
    setup.read(LINE)
    setup.gone(-9)
    ended = setup.end()
    assert (ended.outcome, ended.exit_code) == (Outcome.ERROR, 137)


def test_a_cli_that_cannot_start_is_an_error(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file", "claude")

    monkeypatch.setattr(starter, "AgentProcess", fail)
    setup.tell(messages.WarmUp(session=SessionChoice()))
    setup.start()
    end = setup.end()
    assert end.outcome == Outcome.ERROR and "could not be started" in end.result


def test_a_failing_executor_leaves_no_process(setup: Setup) -> None:
    setup.start()
    setup.executor.release()
    assert setup.process.killed


# -- warm processes ---------------------------------------------------------------------------


def test_without_warm_sessions_the_process_ends_with_its_turn(cold: Setup) -> None:
    cold.start()
    cold.read(INIT, RESULT)
    assert cold.process.controls("end_session")
    assert cold.told(messages.RunEnded) == []
    cold.gone(0)
    ended = cold.end()
    assert (ended.outcome, ended.exit_code) == (Outcome.SUCCESS, 0)


def test_an_idle_process_is_released(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f")
    setup.fire(messages._IdleDue)  # of before this turn
    assert not setup.process.controls("end_session")
    finish(setup, "f")
    setup.fire(messages._IdleDue)
    assert setup.process.controls("end_session")
    setup.gone()
    assert setup.told(messages.ProcessChanged)[-1].pid is None


def test_an_executor_has_one_idle_timer_at_most(setup: Setup) -> None:
    """A timer for each turn stayed for WARM_IDLE."""

    def waiting() -> list[int]:
        due = [t for t in setup.timers.pending if isinstance(t.message, messages._IdleDue)]
        return [t.message.turns for t in due if not t.cancelled]

    setup.start()
    finish(setup)
    for number in range(5):
        setup.start(RESUMED, f"f{number}")
        finish(setup, f"f{number}")
    assert waiting() == [6]
    setup.gone()
    assert waiting() == []


def test_only_an_idle_process_is_released(setup: Setup) -> None:
    setup.start()
    setup.tell(messages.LetGo())
    assert not setup.process.controls("end_session")
    setup.read(RESULT)
    setup.tell(messages.LetGo())
    assert setup.process.controls("end_session")


def test_a_process_ahead_takes_the_first_prompt(setup: Setup) -> None:
    setup.tell(messages.WarmUp(session=SessionChoice(continue_latest=True)))
    setup.tell(messages.WarmUp(session=SessionChoice(continue_latest=True)))
    assert len(FakeProcess.started) == 1
    assert setup.told(messages.ProcessChanged)[-1].is_idle
    setup.start(SessionChoice(continue_latest=True))
    assert len(FakeProcess.started) == 1 and len(setup.process.prompts()) == 1


def test_live_tasks_keep_a_process() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.say(
        {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "t"}]}
    )
    setup.process.left_of_turn = found(Left())  # a background shell is not to be ended
    setup.read(RESULT)
    assert not any(m.is_idle for m in setup.told(messages.ProcessChanged))
    setup.tell(messages.LetGo())
    assert not setup.process.controls("end_session")
    setup.say({"type": "system", "subtype": "background_tasks_changed", "tasks": []})
    assert setup.told(messages.ProcessChanged)[-1].is_idle
    setup.tell(messages.LetGo())
    assert setup.process.controls("end_session")


def test_live_tasks_are_counted_where_the_cli_does_not_list_them() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.say({"type": "system", "subtype": "task_started", "task_id": "t"})
    assert setup.worker.has_tasks
    setup.say({"type": "system", "subtype": "task_notification", "task_id": "t"})
    assert not setup.worker.has_tasks


# -- turns of the CLI's own ------------------------------------------------------------------


def test_a_turn_that_the_cli_begins_is_an_execution() -> None:
    setup = Setup(background=True)
    setup.start()
    finish(setup)
    setup.read(INIT, LINE)
    began, output = setup.told(messages.BackgroundBegan | messages.AgentOutput)  # type: ignore[arg-type]
    assert output.execution_id == began.execution_id
    setup.start(RESUMED, "f")
    assert len(setup.process.prompts()) == 1  # it waits
    setup.say({"type": "result", "is_error": False, "result": "x", "origin": {"kind": "task"}})
    assert setup.end().execution_id == began.execution_id
    assert len(setup.process.prompts()) == 2


def test_a_prompt_in_preparation_waits_for_the_clis_turn() -> None:
    setup = Setup(background=True)
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f", permission_mode="plan", allowed_tools=["Read"])
    setup.read(INIT)
    (began,) = setup.told(messages.BackgroundBegan)
    assert setup.process.controls("apply_flag_settings")[-1]["settings"] == {"permissions": None}
    setup.prepare()
    assert len(setup.process.prompts()) == 1
    setup.read(RESULT)
    assert setup.end().execution_id == began.execution_id
    setup.prepare()
    assert len(setup.process.prompts()) == 2
    assert finish(setup, "f").outcome == Outcome.SUCCESS


def test_a_turn_that_the_cli_begins_has_a_time_limit_and_an_end() -> None:
    setup = Setup(background=True)
    setup.start()
    finish(setup)
    setup.read(INIT)
    (began,) = setup.told(messages.BackgroundBegan)
    setup.kill(began.execution_id)
    setup.gone(-15)
    assert setup.end().outcome == Outcome.KILLED


def test_with_background_off_lines_after_a_turn_belong_to_no_execution(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.read(INIT, LINE, RESULT)
    (output,) = setup.told(messages.AgentOutput)
    assert output.execution_id is None


# -- races and strange lines -----------------------------------------------------------------


def test_a_session_may_be_forgotten_during_preparation(setup: Setup) -> None:
    """The CLI says so before it reads anything."""
    setup.start(RESUMED, allowed_tools=["Read"])
    assert setup.process.prompts() == []
    setup.read(FORGOTTEN)
    setup.gone(1)
    assert messages.SessionForgotten(execution_id="e") in setup.project.take()
    setup.prepare()
    assert len(setup.process.prompts()) == 1
    assert finish(setup).outcome == Outcome.SUCCESS


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_failed_second_start_leaves_no_process(
    setup: Setup, forgotten: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file", "claude")

    setup.start(RESUMED)
    if not forgotten:
        finish(setup)
        setup.start(RESUMED, "f")
    monkeypatch.setattr(starter, "AgentProcess", fail)
    if forgotten:
        setup.read(FORGOTTEN)
    setup.gone(1)
    told = setup.project.take()
    assert [m.outcome for m in told if isinstance(m, messages.RunEnded)] == [Outcome.ERROR]
    assert told[-1] == messages.ProcessChanged(pid=None)


def test_a_remembered_permission_belongs_to_the_session_that_asked(setup: Setup) -> None:
    """The project may have left that session in the meantime."""
    setup.start()
    setup.tell(messages.ForgetPermissions())
    remember(setup, RULE, MODE)
    setup.read(RESULT)
    setup.start(SessionChoice(), "f")
    setup.gone()
    assert setup.process.controls("apply_flag_settings") == []
    assert "--permission-mode=default" in setup.process.spec.argv


def test_a_session_that_was_cleared_has_no_permissions(setup: Setup) -> None:
    """The process keeps its rules after /clear, so the hub does not use it again."""
    setup.start()
    setup.read(INIT)
    remember(setup, RULE)
    cleared = {"type": "system", "subtype": "init", "session_id": "t"}
    setup.say(cleared, {"type": "result", "is_error": False, "result": "", "session_id": "t"})
    setup.start(SessionChoice(resume="t"), "f")
    setup.gone()
    assert len(FakeProcess.started) == 2
    assert setup.process.controls("apply_flag_settings") == []


def test_a_process_without_remembered_rules_stays_after_clear(setup: Setup) -> None:
    setup.start()
    cleared = {"type": "system", "subtype": "init", "session_id": "t"}
    setup.read(INIT)
    setup.say(cleared)
    setup.read(b'{"type":"result","is_error":false,"result":"","session_id":"t"}')
    setup.start(SessionChoice(resume="t"), "f")
    assert len(FakeProcess.started) == 1


@pytest.mark.parametrize("mode", [["plan"], {"a": 1}, None, 5, "bypassPermissions", "nonsense"])
def test_a_strange_mode_is_not_remembered(setup: Setup, mode: Any) -> None:
    setup.start()
    remember(setup, {"type": "setMode", "mode": mode})
    setup.read(RESULT)
    assert setup.process.controls("set_permission_mode")[-1]["mode"] == "default"


def test_strange_suggestions_are_ignored(setup: Setup) -> None:
    setup.start()
    odd = [{"type": ["x"]}, {}, {"type": "addRules", "rules": 5}, {"type": "addDirectories"}]
    assert remember(setup, *odd)["behavior"] == "allow"
    setup.read(RESULT)
    assert not setup.worker.remembered


def test_the_cli_may_begin_a_turn_while_the_last_one_is_tidied() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.process.left_of_turn = found(fleeting=True)
    setup.read(INIT, RESULT, INIT, LINE)
    told = setup.project.take()
    kinds = [type(m).__name__ for m in told]
    assert kinds.index("RunEnded") < kinds.index("BackgroundBegan")
    (began,) = [m for m in told if isinstance(m, messages.BackgroundBegan)]
    assert told[-1].execution_id == began.execution_id
    setup.start(RESUMED, "f")
    assert len(setup.process.prompts()) == 1
    setup.process.left_of_turn = found()
    setup.fire(messages._SweepDue)
    setup.read(RESULT)
    assert setup.end().execution_id == began.execution_id
    assert len(setup.process.prompts()) == 2


def test_a_question_of_a_process_that_is_replaced_is_withdrawn() -> None:
    setup = Setup(background=True)
    setup.start()
    setup.say({"type": "system", "subtype": "task_started", "task_id": "t"})
    finish(setup)
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "agent_id": "a"}
    setup.say({"type": "control_request", "request_id": "r", "request": request})
    (asked,) = setup.told(messages.PermissionAsked)
    setup.start(RESUMED, "f")
    setup.gone(-9)
    (withdrawn,) = setup.told(messages.PermissionWithdrawn)
    assert withdrawn.permission_id == asked.request.permission_id
    assert len(FakeProcess.started) == 2


def test_lifecycle_lines_of_one_turn_do_not_affect_the_next(setup: Setup) -> None:
    setup.start()
    uuid = setup.process.prompts()[0]["uuid"]
    finish(setup)
    setup.start(RESUMED, "f", allowed_tools=["Read"])
    setup.say({"type": "command_lifecycle", "command_uuid": uuid, "state": "completed"})
    assert setup.told(messages.AgentOutput)[-1].execution_id is None
    setup.gone(-9)  # it had said nothing to this one
    assert len(FakeProcess.started) == 2


def test_a_prompt_that_the_cli_only_queued_goes_to_another_process(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f")
    uuid = setup.process.prompts()[-1]["uuid"]
    setup.say({"type": "command_lifecycle", "command_uuid": uuid, "state": "queued"})
    setup.gone(-9)
    assert len(FakeProcess.started) == 2
    assert finish(setup, "f").outcome == Outcome.SUCCESS


def test_a_dead_process_ahead_is_replaced(setup: Setup) -> None:
    setup.tell(messages.WarmUp(session=RESUMED))
    setup.start(RESUMED)
    setup.gone(-9)
    assert len(FakeProcess.started) == 2


def test_a_result_that_is_too_long_still_ends_the_turn(setup: Setup) -> None:
    setup.start()
    uuid = setup.process.prompts()[0]["uuid"]
    process_name = setup.process.process_name
    for head, tail in (
        (b'{"num_turns":1,"is_error":false,"result":"xxx', b'","type":"result","session_id":"s"}'),
        (b'{"type":"result","is_error":true,"num_turns":2,"result":"xxx', b'","session_id":"s"}'),
    ):
        cut = Cut(5_000, tail.replace(b"}", b',"user_message_uuid":"%b"}' % uuid.encode()))
        line = messages._OutputRead(process_name=process_name, lines=((head, cut),), size_bytes=1)
        setup.tell(line)
        ended = setup.end()
        is_error = b"true" in head
        assert ended.outcome == (Outcome.ERROR if is_error else Outcome.SUCCESS)
        assert "MAX_LINE_BYTES" in ended.result
        setup.start(RESUMED, "f")
        uuid = setup.process.prompts()[-1]["uuid"]


def test_another_line_that_is_too_long_ends_nothing(setup: Setup) -> None:
    """A model may write text that looks like a result; in JSON it is escaped."""
    setup.start()
    said = b'{"type":"assistant","text":"{\\"type\\":\\"result\\",\\"num_turns\\":1'
    cut = Cut(5_000, b'\\"type\\":\\"result\\"","uuid":"u"}')
    process_name = setup.process.process_name
    setup.tell(messages._OutputRead(process_name=process_name, lines=((said, cut),), size_bytes=1))
    assert setup.told(messages.RunEnded) == []


def test_a_request_that_is_too_long_is_refused(setup: Setup) -> None:
    setup.start()
    head = b'{"type":"control_request","request_id":"r7","request":{"subtype":"can_use_tool","x":"'
    process_name = setup.process.process_name
    line = (head, Cut(5_000, b'"}}'))
    setup.tell(messages._OutputRead(process_name=process_name, lines=(line,), size_bytes=1))
    assert [(a["subtype"], a["request_id"]) for a in setup.process.answers()] == [("error", "r7")]
    assert setup.told(messages.AgentOutput) == []


def test_an_ended_project_gets_no_more_messages(setup: Setup) -> None:
    setup.project.actor_stopped.set()
    setup.tell(messages.WarmUp(session=SessionChoice()))
    setup.start()
    setup.read(LINE, RESULT)
    assert setup.project.take() == []


@pytest.mark.parametrize("how", ["kill", "interrupt", "timeout"])
def test_an_execution_that_is_ending_does_not_give_way_to_the_clis_turn(how: str) -> None:
    """The prompt used to run after the CLI's turn although its end was under way."""
    setup = Setup(background=True)
    setup.start()
    finish(setup)
    setup.start(RESUMED, "f", model="haiku")
    if how == "timeout":
        setup.fire(messages._WatchdogFired)
    else:
        getattr(setup, how)("f")
    setup.read(INIT)
    assert setup.told(messages.BackgroundBegan) == []
    if how == "kill":
        setup.gone(-15)
    else:
        setup.prepare()
        setup.read(ABORTED)
    setup.prepare()
    assert setup.end().execution_id == "f"
    assert len(FakeProcess.started) == 1 and len(setup.process.prompts()) == 1


def test_permissions_do_not_outlive_a_clear_that_comes_first(setup: Setup) -> None:
    """The process has not named a session yet."""
    setup.start()
    setup.read(INIT)
    remember(setup, RULE)
    setup.read(RESULT)
    setup.gone()
    setup.start(RESUMED, "f", "/clear")
    setup.prepare()
    cleared = {"type": "system", "subtype": "init", "session_id": "t"}
    setup.say(cleared, {"type": "result", "is_error": False, "result": "", "session_id": "t"})
    setup.start(SessionChoice(resume="t"), "g")
    setup.gone()
    assert len(FakeProcess.started) == 3
    assert setup.process.controls("apply_flag_settings") == []


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_input_that_cannot_be_encoded_is_refused(setup: Setup) -> None:
    """It is nested too deeply to be written again, or holds a number that JSON does not have."""
    setup.start()
    told = []
    for levels in (90, 101, 120):
        request = {"subtype": "can_use_tool", "tool_name": "T", "input": nested(levels)}
        setup.say({"type": "control_request", "request_id": "r", "request": request})
        told.append(len(setup.told(messages.PermissionAsked)))
    endless = b'{"subtype":"can_use_tool","tool_name":"T","input":{"a":1e999}}'
    setup.read(b'{"type":"control_request","request_id":"r","request":%b}' % endless)
    assert (*told, len(setup.told(messages.PermissionAsked))) == (1, 0, 0, 0)
    assert [a["subtype"] for a in setup.process.answers()] == ["error"] * 3


def test_lines_that_name_a_turn_belong_to_it_until_its_end(setup: Setup) -> None:
    setup.start()
    uuid = setup.process.prompts()[0]["uuid"]
    setup.process.left_of_turn = found(fleeting=True)
    setup.read(RESULT)
    setup.project.take()
    setup.say({"type": "command_lifecycle", "command_uuid": uuid, "state": "completed"})
    setup.read(LINE)
    named, other = setup.told(messages.AgentOutput)
    assert (named.execution_id, other.execution_id) == ("e", None)


def test_with_background_off_no_line_keeps_a_process(setup: Setup) -> None:
    setup.start()
    setup.say({"type": "system", "subtype": "task_started", "task_id": "t"})
    assert not setup.worker.has_tasks
    finish(setup)
    setup.tell(messages.LetGo())
    assert setup.process.controls("end_session")


def test_a_process_with_closed_output_gets_no_prompt(setup: Setup) -> None:
    """The process lives on after its output has ended."""
    setup.start()
    finish(setup)
    setup.end_output()
    setup.start(RESUMED, "f")
    assert len(setup.process.prompts()) == 1
    setup.exit(0)
    assert len(FakeProcess.started) == 2
    assert finish(setup, "f").outcome == Outcome.SUCCESS


def test_an_idle_process_with_closed_output_is_released(setup: Setup) -> None:
    setup.start()
    finish(setup)
    setup.end_output()
    setup.fire(messages._DrainDue)
    assert setup.process.controls("end_session")


def test_closed_output_ends_the_turn(setup: Setup) -> None:
    setup.start()
    setup.read(INIT)
    setup.end_output()
    setup.fire(messages._DrainDue)
    assert setup.process.signals == [signal.SIGTERM]
    setup.exit(-15)
    assert setup.end().outcome == Outcome.ERROR


def test_waiting_questions_are_limited_in_bytes(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "QUESTIONS_BYTES_MAX", 1000)
    setup.start()
    for _ in range(3):
        request = {"subtype": "can_use_tool", "tool_name": "T", "input": {"a": "x" * 400}}
        setup.say({"type": "control_request", "request_id": "r", "request": request})
    assert len(setup.told(messages.PermissionAsked)) == 2
    assert [a["subtype"] for a in setup.process.answers()] == ["error"]


@pytest.mark.parametrize("has_turn", [True, False])
def test_an_executor_whose_process_has_lost_a_thread_dies_and_takes_the_process_with_it(
    setup: Setup, has_turn: bool
) -> None:
    """Its Project ends the execution as failed, as after any other death of an Executor."""
    setup.start()
    if not has_turn:
        finish(setup)
    setup.project.take()
    failed = messages._AgentThreadFailed(
        process_name=setup.process.process_name, thread="agent-out", reason="ValueError: a bug"
    )
    with pytest.raises(AgentThreadFailed) as death:
        setup.tell(failed)
    setup.executor.on_failure(AgentThreadFailed, death.value, None)
    assert setup.process.killed
    (notice,) = [m for m in setup.project.take() if isinstance(m, messages.ActorDied)]
    assert "the thread agent-out failed: ValueError: a bug" in notice.reason


def test_a_thread_of_an_earlier_process_harms_nobody(setup: Setup) -> None:
    setup.start()
    setup.tell(messages._AgentThreadFailed(process_name="earlier", thread="agent-err", reason="x"))
    assert setup.told(messages.RunEnded) == []
