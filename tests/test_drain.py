"""STOP_GRACE: at a stop nothing new begins, and what runs may end by itself. Then the second
signal, and the third."""

import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from actors import messages
from protocol import requests
from protocol.updates import ProjectStatus
from tests.harness import TIMEOUT_S, HubProcess, WireClient
from tests.notify_socket import NotifySocket
from tests.processes import marked, wait_until
from tests.project_setup import ProjectSetup, execute, frozen, setup
from tests.scraping import ScrapedHub
from tests.test_hub_actor import Setup as HubSetup

__all__ = ["frozen", "setup"]


def drained(setup: ProjectSetup) -> list[str]:
    return [m.project_id for m in setup.hub.take() if isinstance(m, messages.ProjectDrained)]


def ends(setup: ProjectSetup) -> dict[str, str]:
    return {
        line["data"]["execution_id"]: line["data"]["outcome"]
        for line in setup.lines()
        if line["update_type"] == "execution_finished"
    }


# -- one project -----------------------------------------------------------------------------------


def test_an_idle_project_is_drained_at_once(setup: ProjectSetup) -> None:
    setup.tell(messages.DrainProject())
    assert drained(setup) == ["p"]
    setup.tell(messages.LookAtKeys())
    assert drained(setup) == [], "it says so once"


def test_what_runs_goes_on_and_what_waits_is_cancelled(setup: ProjectSetup) -> None:
    running, waiting = setup.execute(), setup.execute()
    setup.executor.take()
    setup.tell(messages.DrainProject())
    (counted,) = [m for m in setup.hub.take() if isinstance(m, messages.ProjectDraining)]
    assert (counted.running, counted.cancelled) == (1, 1)
    assert ends(setup) == {waiting: "cancelled"}
    assert drained(setup) == []
    assert not [m for m in setup.executor.take() if isinstance(m, messages.KillRun)]
    setup.end(running)
    assert ends(setup) == {waiting: "cancelled", running: "success"}
    assert drained(setup) == ["p"]
    assert not [m for m in setup.executor.take() if isinstance(m, messages.StartRun)]


def test_new_prompts_are_refused_and_all_else_is_answered(setup: ProjectSetup) -> None:
    running = setup.execute()
    setup.tell(messages.DrainProject())
    setup.ask(execute())
    assert setup.answers()[-1]["code"] == "shutting_down"
    setup.join(last=1)
    setup.ask(requests.AgentKill(project_id="p", execution_id=running))
    assert setup.answers()[-1] == {"execution_id": running}


def test_a_prompt_that_is_sent_again_is_answered(setup: ProjectSetup) -> None:
    """Its client has lost the first answer with its connection; it ran, and must not be told that
    it did not."""
    prompt = requests.Execute(project_id="p", prompt="x", key="k")
    setup.ask(prompt)
    first = setup.answers()[-1]
    setup.tell(messages.DrainProject())
    setup.ask(prompt)
    assert setup.answers()[-1] == first


def test_a_prompt_behind_a_turn_of_the_clis_own_is_cancelled(setup: ProjectSetup) -> None:
    setup.tell(messages.BackgroundBegan(execution_id="own", session_id="s"))
    first, second = setup.execute(), setup.execute()
    setup.executor.take()
    setup.tell(messages.DrainProject())
    assert ends(setup) == {first: "cancelled", second: "cancelled"}
    setup.end("own")
    assert drained(setup) == ["p"]
    assert not [m for m in setup.executor.take() if isinstance(m, messages.StartRun)]


@pytest.mark.parametrize("until_process_ends", [True, False])
def test_a_prompt_that_the_executor_gives_back_is_cancelled(
    setup: ProjectSetup, until_process_ends: bool
) -> None:
    setup.executor.is_slow = True
    execution_id = setup.execute()
    setup.tell(messages.DrainProject())
    setup.tell(
        messages.RunReturned(execution_id=execution_id, until_process_ends=until_process_ends)
    )
    assert ends(setup) == {execution_id: "cancelled"}
    assert drained(setup) == ["p"]


def test_the_prompt_after_one_that_was_given_back_does_not_start(setup: ProjectSetup) -> None:
    setup.executor.is_slow = True
    first = setup.execute()
    setup.tell(messages.RunReturned(execution_id=first, until_process_ends=True))
    second = setup.execute()
    setup.executor.take()
    setup.tell(messages.DrainProject())
    setup.tell(messages.ProcessChanged(pid=None))
    assert ends(setup) == {first: "cancelled", second: "cancelled"}
    assert not [m for m in setup.executor.take() if isinstance(m, messages.StartRun)]


def test_no_process_is_kept_or_started_ahead(tmp_path: Path, monkeypatch: Any) -> None:
    setup = ProjectSetup(tmp_path, monkeypatch, warm_ahead=True)
    setup.end(setup.execute())
    setup.executor.take()
    setup.tell(messages.DrainProject())
    setup.join()
    assert setup.executor.take() == [messages.LetGo(tasks_too=False)]
    setup.project.release()


def test_a_stop_during_the_drain_kills_what_still_runs(setup: ProjectSetup) -> None:
    running = setup.execute()
    setup.tell(messages.DrainProject())
    setup.tell(messages.StopProject())
    kills = [m for m in setup.executor.take() if isinstance(m, messages.KillRun)]
    assert [kill.execution_id for kill in kills] == [running]


# -- the hub ---------------------------------------------------------------------------------------


class Draining(HubSetup):
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root, monkeypatch)
        self.drained: list[int] = []

    def drain(self) -> None:
        order = messages.DrainHub(grace_s=30.0, drained=lambda: self.drained.append(1))
        self.hub.on_receive(order)

    def says_drained(self, project_id: str) -> None:
        self.hub.on_receive(messages.ProjectDrained(project_id=project_id))


@pytest.fixture
def hub_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draining:
    return Draining(tmp_path, monkeypatch)


def test_a_hub_without_projects_is_drained_at_once(hub_setup: Draining) -> None:
    hub_setup.drain()
    assert hub_setup.drained == [1]


def test_the_hub_is_drained_when_all_projects_are(hub_setup: Draining) -> None:
    one, other = hub_setup.made("one"), hub_setup.made("other")
    hub_setup.drain()
    assert messages.DrainProject() in one.take() and messages.DrainProject() in other.take()
    hub_setup.says_drained("one")
    hub_setup.says_drained("one")
    assert hub_setup.drained == []
    hub_setup.says_drained("other")
    assert hub_setup.drained == [1]


def test_the_log_says_once_what_the_drain_waits_for(
    hub_setup: Draining, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("one", "other", "third"):
        hub_setup.made(name)
    hub_setup.drain()

    def counts(project_id: str, running: int, cancelled: int) -> None:
        hub_setup.hub.on_receive(
            messages.ProjectDraining(project_id=project_id, running=running, cancelled=cancelled)
        )

    counts("one", 1, 3)
    hub_setup.died("third", started=False)  # it is not waited for
    assert "the drain waits" not in caplog.text
    counts("other", 1, 0)
    counts("other", 0, 0)
    hub_setup.says_drained("other")
    assert caplog.text.count("the drain waits for executions running=2 cancelled=3") == 1
    assert caplog.text.count("the drain waits") == 1
    assert "something does not work" not in caplog.text


def test_nothing_new_is_made_and_health_says_why(hub_setup: Draining) -> None:
    hub_setup.made("one")
    hub_setup.drain()
    hub_setup.create("two")
    hub_setup.ask(requests.ProjectDelete(project_id="one"))
    assert [a["code"] for a in hub_setup.answers()] == ["shutting_down"] * 2
    hub_setup.ask(requests.HealthCheck())
    (health,) = hub_setup.answers()
    assert health["status"] == "degraded"
    assert health["problems"] == [
        "stop: new prompts are refused (shutting_down), and what runs has STOP_GRACE (30 s) to end"
    ]


def test_a_project_that_dies_meanwhile_is_drained_again(hub_setup: Draining) -> None:
    hub_setup.made("one")
    hub_setup.drain()
    hub_setup.died("one")
    assert hub_setup.drained == []
    assert messages.DrainProject() in hub_setup.projects["one"].take(), "the new actor"
    hub_setup.says_drained("one")
    assert hub_setup.drained == [1]


def test_a_project_that_cannot_come_back_holds_nothing_up(hub_setup: Draining) -> None:
    hub_setup.made("one")
    hub_setup.drain()
    hub_setup.died("one", started=False)
    assert hub_setup.drained == [1]
    hub_setup.projects.clear()
    hub_setup.hub.on_receive(messages._ReopenDue(project_id="one"))
    assert hub_setup.projects == {}, "it is not tried again"


def test_the_hub_says_that_it_is_alive(hub_setup: Draining) -> None:
    hub_setup.made("one")
    status = messages.ProjectStatusChanged(
        project_id="one", status=ProjectStatus.EXECUTING, problem=None
    )
    hub_setup.hub.on_receive(status)
    for number, doing in (
        (1, "0 clients, 1 project, 1 executing"),
        (2, "stopping: 1 executing"),
    ):
        hub_setup.hub.on_receive(
            messages.AreYouAlive(asker=hub_setup.client.actor_ref, question=number)
        )
        assert hub_setup.client.take() == [messages.HubIsAlive(question=number, doing=doing)]
        hub_setup.drain()


# -- a server --------------------------------------------------------------------------------------


def begin(hub: HubProcess, client: WireClient, prompt: str) -> str:
    client.request("project_create", path=hub.folder("p"))
    client.request("project_join", project_id="p")
    started: str = client.request("execute", project_id="p", prompt=prompt)["execution_id"]
    client.wait_for("execution_started", execution_id=started)
    return started


def draining(hub: HubProcess) -> None:
    os.kill(hub.pid, signal.SIGTERM)
    wait_until(lambda: "draining" in hub.errors.read_text())


def closed_with(client: WireClient) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.updates.append(client.receive()["payload"])
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def test_what_runs_ends_by_itself_and_its_questions_can_be_answered(scratch: Path) -> None:
    go = scratch / "go"
    hub = ScrapedHub(scratch, STOP_GRACE="5m").start()
    prompt = f"[[wait:{go}]][[tool:Bash:touch made]][[after:DONE]]"
    with hub.client() as client:
        running = begin(hub, client, prompt)
        waiting = client.request("execute", project_id="p", prompt="x")["execution_id"]
        draining(hub)
        end = client.wait_for("execution_finished", execution_id=waiting)
        assert end["data"]["outcome"] == "cancelled"
        assert client.refused("execute", project_id="p", prompt="x")["code"] == "shutting_down"
        health = client.request("health_check")
        assert health["status"] == "degraded" and health["executing"] == 1
        scrape = hub.scrape()
        assert scrape.value("claudehub_draining") == 1 and scrape.value("claudehub_ready") == 0
        assert scrape.value("claudehub_problems") == 0, "it is wanted"
        os.kill(hub.pid, signal.SIGHUP)
        unread = "SIGHUP: the configuration is not read again, because the server stops"
        wait_until(lambda: unread in hub.errors.read_text())
        go.touch()
        with hub.client() as other:  # a client may still come, to answer
            other.request("project_join", project_id="p")
            question = client.wait_for("permission_request")["data"]["permission_id"]
            other.request(
                "permission_answer", project_id="p", permission_id=question, decision="allow"
            )
            end = client.wait_for("execution_finished", execution_id=running)
            assert end["data"]["outcome"] == "success"
            assert closed_with(client) == 1001
    assert hub.wait() == 0
    said = hub.errors.read_text()
    assert "nothing runs any more" in said
    assert "draining because_of=SIGTERM grace_s=300" in said
    assert "the drain waits for executions running=1 cancelled=1" in said
    assert "something does not work" not in said


def test_what_still_runs_when_the_grace_is_over_is_ended(scratch: Path) -> None:
    hub = HubProcess(scratch, STOP_GRACE="300ms").start()
    with hub.client() as client:
        running = begin(hub, client, "[[hang]]")
        draining(hub)
        end = client.wait_for("execution_finished", execution_id=running)
        assert end["data"]["outcome"] == "killed"
        assert closed_with(client) == 1001
    assert hub.wait() == 0
    assert "STOP_GRACE is over" in hub.errors.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_hurries(scratch: Path, number: int) -> None:
    hub = HubProcess(scratch, STOP_GRACE="1h").start()
    with hub.client() as client:
        running = begin(hub, client, "[[hang]]")
        draining(hub)
        os.kill(hub.pid, number)
        end = client.wait_for("execution_finished", execution_id=running)
        assert end["data"]["outcome"] == "killed"
        assert closed_with(client) == 1001
    assert hub.wait() == 0


def test_a_third_signal_ends_the_process_and_the_guardian_ends_the_agents(scratch: Path) -> None:
    hub = HubProcess(scratch, STOP_GRACE="1h", KILL_GRACE="1h").start()
    with hub.client() as client:
        running = begin(hub, client, "[[stubborn]][[hang]]")
        draining(hub)
        os.kill(hub.pid, signal.SIGTERM)
        wait_until(lambda: "drained" in hub.errors.read_text())
        os.kill(hub.pid, signal.SIGTERM)
        assert hub.wait() == 1
    assert "ended at once by a third signal" in hub.errors.read_text().splitlines()[-1]
    wait_until(lambda: marked(hub.data) == [])
    hub.start()
    with hub.client() as client:
        client.request("project_join", project_id="p", after_seq=0)
        end = client.wait_for("execution_finished", execution_id=running)
        assert end["data"]["outcome"] == "lost"
    assert hub.stop() == 0


def test_a_stop_before_anything_has_begun_is_a_stop_as_asked(scratch: Path) -> None:
    """While the server's own modules are loaded: the program is stopped where it imports click."""
    package = scratch / "path" / "click"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import signal\nprint('loading', flush=True)\nsignal.pause()\n"
    )
    hub = HubProcess(scratch)
    for number in (signal.SIGTERM, signal.SIGINT):
        environment = {**hub.environment(), "PYTHONPATH": str(package.parent)}
        with subprocess.Popen(
            [*hub.command()], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "loading\n"
            process.send_signal(number)
            assert process.wait(TIMEOUT_S) == 0
    assert not hub.data.exists()


def test_the_service_manager_hears_of_every_step(scratch: Path) -> None:
    manager = NotifySocket(str(scratch / "notify"))
    settings = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    hub = HubProcess(scratch, STOP_GRACE="1h", CLAUDE_ENV="NOTIFY_SOCKET", **settings).start()
    assert manager.until("READY=1")[-1] == ["READY=1", "STATUS=listening"]
    for _ in range(3):
        manager.until("WATCHDOG=1")
    with hub.client() as client:
        begin(hub, client, "[[hang]]")
        manager.until("STATUS=1 client, 1 project, 1 executing")
        os.kill(hub.pid, signal.SIGHUP)
        manager.until("RELOADING=1")
        assert manager.until("READY=1")[-1] == ["READY=1"], "the status stays"
        os.kill(hub.pid, signal.SIGTERM)
        manager.until("STOPPING=1")
        assert (
            "EXTEND_TIMEOUT_USEC=60000000"
            in manager.until("STATUS=draining: at most 3600 s more")[-1]
        )
        manager.until("WATCHDOG=1")
        os.kill(hub.pid, signal.SIGTERM)
        manager.until("STATUS=stopping")
    assert hub.wait() == 0
    manager.socket.close()
