"""An execution is shown as started once the CLI has its prompt, and as queued until then."""

from typing import Any

import pytest

from actors import messages
from protocol import requests
from protocol.updates import Outcome
from tests.executor_setup import Setup, no_processes
from tests.executor_setup import setup as executor
from tests.project_setup import ProjectSetup, frozen, setup

__all__ = ["executor", "frozen", "no_processes", "setup"]


def begin_own(setup: ProjectSetup) -> None:
    setup.tell(messages.BackgroundBegan(execution_id="own", session_id="s"))


def began(setup: ProjectSetup, execution_id: str) -> None:
    setup.tell(messages.RunBegan(execution_id=execution_id))


def returned(setup: ProjectSetup, execution_id: str, *, until_process_ends: bool = False) -> None:
    setup.tell(
        messages.RunReturned(execution_id=execution_id, until_process_ends=until_process_ends)
    )


def orders(setup: ProjectSetup) -> list[messages.StartRun]:
    return [m for m in setup.executor.take() if isinstance(m, messages.StartRun)]


def records_of(setup: ProjectSetup, execution_id: str) -> list[str]:
    return [
        line["update_type"]
        for line in setup.lines()
        if line["data"].get("execution_id") == execution_id
    ]


def end_of(setup: ProjectSetup, execution_id: str) -> dict[str, Any]:
    (data,) = [
        line["data"]
        for line in setup.lines()
        if line["update_type"] == "execution_finished"
        and line["data"]["execution_id"] == execution_id
    ]
    assert isinstance(data, dict)
    return data


def execute(setup: ProjectSetup, **more: Any) -> dict[str, Any]:
    setup.ask(requests.Execute(project_id="p", prompt="x", **more))
    return setup.answers()[-1]


def test_a_prompt_waits_for_the_end_of_a_turn_of_the_clis_own(setup: ProjectSetup) -> None:
    begin_own(setup)
    first = execute(setup)
    assert (first["state"], first["position"]) == ("queued", 1)
    second = execute(setup)
    assert (second["state"], second["position"]) == ("queued", 2)
    info = setup.project._status.describe()
    assert [waiting.execution_id for waiting in info.queue] == [
        first["execution_id"],
        second["execution_id"],
    ]
    assert info.execution_id == "own"
    assert records_of(setup, first["execution_id"]) == ["prompt", "execution_queued"]
    assert setup.executor.take() == []
    setup.end("own")
    assert records_of(setup, first["execution_id"])[-1] == "execution_started"
    assert [order.execution_id for order in setup.executor.take()] == [first["execution_id"]]


def test_max_queue_counts_a_prompt_that_waits_for_a_turn_of_the_clis_own(
    setup: ProjectSetup,
) -> None:
    begin_own(setup)
    assert [execute(setup)["state"] for _ in range(2)] == ["queued", "queued"]
    assert execute(setup)["code"] == "queue_full"  # ProjectSetup has MAX_QUEUE=2


def test_a_prompt_that_the_cli_does_not_have_gives_way_to_its_own_turn(
    setup: ProjectSetup,
) -> None:
    """The CLI begins a turn by itself while the Executor prepares it for the prompt."""
    setup.executor.is_slow = True
    execution_id = setup.execute()
    begin_own(setup)
    returned(setup, execution_id)
    assert records_of(setup, execution_id) == ["prompt", "execution_queued"]
    setup.executor.take()
    setup.end("own")
    assert [order.execution_id for order in setup.executor.take()] == [execution_id]
    began(setup, execution_id)
    assert records_of(setup, execution_id)[-1] == "execution_started"


def test_a_prompt_is_shown_as_queued_once(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    for number in range(3):
        setup.tell(messages.BackgroundBegan(execution_id=f"own{number}", session_id="s"))
        returned(setup, execution_id)
        setup.end(f"own{number}")
    assert records_of(setup, execution_id) == ["prompt", "execution_queued"]


def test_a_prompt_runs_with_what_holds_when_it_begins(setup: ProjectSetup) -> None:
    """Trust is taken back, and a new session begins, while it waits."""
    setup.ask(requests.ProjectTrust(project_id="p", trusted=True))
    setup.executor.is_slow = True
    execution_id = setup.execute()
    first = orders(setup)[-1]
    assert first.trusted and first.session.continue_latest
    begin_own(setup)
    returned(setup, execution_id)
    setup.ask(requests.ProjectTrust(project_id="p", trusted=False))
    setup.ask(requests.AgentNewSession(project_id="p"))
    setup.end("own")
    (again,) = orders(setup)
    assert not again.trusted and not again.session.continue_latest
    running = setup.project._queue.running
    assert running is not None and not running.is_voided


def test_a_prompt_waits_until_the_process_before_it_has_ended(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    returned(setup, execution_id, until_process_ends=True)
    setup.executor.take()
    waiting = setup.execute()
    assert setup.executor.take() == []
    setup.tell(messages.ProcessChanged(pid=None))
    assert [order.execution_id for order in orders(setup)] == [execution_id]
    began(setup, execution_id)
    assert setup.project._queue.place_of(waiting) == ("queued", 1)


def test_a_prompt_that_waits_for_a_process_is_taken_out(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    returned(setup, execution_id, until_process_ends=True)
    setup.ask(requests.AgentKill(project_id="p", execution_id=execution_id))
    assert end_of(setup, execution_id)["outcome"] == "cancelled"


def test_a_kill_that_crosses_a_returned_prompt_is_not_lost(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    setup.ask(requests.AgentKill(project_id="p", execution_id=execution_id))
    returned(setup, execution_id, until_process_ends=True)
    assert end_of(setup, execution_id)["outcome"] == "cancelled"


def test_a_waiting_prompt_survives_the_executor(setup: ProjectSetup) -> None:
    setup.end(setup.execute())
    setup.executor.take()
    begin_own(setup)
    execution_id = setup.execute()
    died = messages.ActorDied(
        child=setup.executor.actor_ref, name="executor", reason="bug", started=True
    )
    setup.tell(died)
    assert end_of(setup, "own")["outcome"] == "error"
    assert [order.execution_id for order in orders(setup)] == [execution_id]


def test_a_prompt_that_runs_again_has_started_once(setup: ProjectSetup) -> None:
    execution_id = setup.execute()
    began(setup, execution_id)
    setup.end(execution_id)
    began(setup, execution_id)
    assert records_of(setup, execution_id) == [
        "prompt",
        "execution_started",
        "execution_finished",
    ]


@pytest.mark.parametrize("was_returned", [False, True])
def test_killing_a_prompt_behind_the_clis_own_turn_takes_it_out(
    setup: ProjectSetup, was_returned: bool
) -> None:
    if was_returned:
        setup.executor.is_slow = True
        execution_id = setup.execute()
        begin_own(setup)
        returned(setup, execution_id)
    else:
        begin_own(setup)
        execution_id = setup.execute()
    setup.ask(requests.AgentInterrupt(project_id="p", execution_id=execution_id))
    assert setup.answers()[-1]["code"] == "nothing_running"
    setup.ask(requests.AgentKill(project_id="p", execution_id=execution_id))
    assert setup.answers()[-1] == {"execution_id": execution_id}
    assert end_of(setup, execution_id)["outcome"] == "cancelled"
    assert end_of(setup, execution_id)["result"] is None
    assert "execution_started" not in records_of(setup, execution_id)
    assert setup.project._status.describe().execution_id == "own"


@pytest.mark.parametrize("outcome", [Outcome.KILLED, Outcome.INTERRUPTED, Outcome.ERROR])
def test_an_end_before_the_cli_has_the_prompt_comes_behind_a_start(
    setup: ProjectSetup, outcome: Outcome
) -> None:
    """It was answered as started, so it cannot end as cancelled."""
    setup.executor.is_slow = True
    execution_id = setup.execute()
    assert records_of(setup, execution_id) == ["prompt"]
    setup.end(execution_id, outcome)
    assert records_of(setup, execution_id)[1:] == ["execution_started", "execution_finished"]
    assert end_of(setup, execution_id)["outcome"] == outcome


def test_a_reset_holds_for_a_prompt_that_the_executor_has(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    setup.ask(requests.AgentNewSession(project_id="p"))
    began(setup, execution_id)
    line = messages.AgentOutput(execution_id=execution_id, process_name="x", lines=(), size_bytes=1)
    setup.tell(line)
    running = setup.project._queue.running
    assert running is not None and running.is_voided


def test_the_start_is_told_when_the_cli_gets_the_prompt(executor: Setup) -> None:
    executor.start(allowed_tools=["Bash"])
    assert executor.told(messages.RunBegan) == []
    executor.prepare()
    assert executor.told(messages.RunBegan) == [messages.RunBegan(execution_id="e")]


def test_lines_before_the_prompt_belong_to_no_execution(executor: Setup) -> None:
    executor.start(allowed_tools=["Bash"])
    executor.read(b'{"type":"user","text":"Set model"}')
    (output,) = executor.told(messages.AgentOutput)
    assert output.execution_id is None
    executor.prepare()
    executor.read(b'{"type":"assistant"}')
    (output,) = executor.told(messages.AgentOutput)
    assert output.execution_id == "e"
