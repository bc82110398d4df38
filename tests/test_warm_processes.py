"""Over real sockets: which processes are kept, over all projects, and that nothing is left behind.

CLAUDEHUB_ROUNDS=200 makes the random course longer (.ci/run does).
"""

import os
import random
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness import HubProcess, WireClient
from tests.processes import marked, wait_until

ROUNDS = int(os.environ.get("CLAUDEHUB_ROUNDS", "12"))


def make(hub: HubProcess, client: WireClient, name: str) -> str:
    project = client.request("project_create", path=hub.folder(name))["project"]
    client.request("project_join", project_id=project["project_id"])
    return str(project["project_id"])


def kept(client: WireClient) -> list[str]:
    return [w["project_id"] for w in client.request("health_check")["warm_sessions"]]


def test_the_least_recently_used_goes_first(start_hub: Any) -> None:
    hub = start_hub(WARM_SESSIONS="2")
    with hub.client() as client:
        a, b, c = (make(hub, client, name) for name in "abc")
        for project_id in (a, b, a, c):
            client.run(project_id, "x")
        wait_until(lambda: kept(client) == [a, c])
        wait_until(lambda: len(marked(hub.data)) == 2)
        # The one that went is taken up again, in the same session.
        assert client.run(b, "x")["outcome"] == "success"
        wait_until(lambda: kept(client) == [c, b])


def test_with_warm_sessions_0_no_process_is_kept(start_hub: Any) -> None:
    hub = start_hub(WARM_SESSIONS="0", WARM_AHEAD="on")
    with hub.client() as client:
        project_id = make(hub, client, "p")
        assert client.run(project_id, "x")["exit_code"] == 0
        assert marked(hub.data) == [] and kept(client) == []


def test_an_idle_process_ends_after_warm_idle(start_hub: Any) -> None:
    hub = start_hub(WARM_IDLE="300ms")
    with hub.client() as client:
        client.run(make(hub, client, "p"), "x")
        wait_until(lambda: kept(client) == [] and marked(hub.data) == [])


def test_a_join_starts_a_process_with_warm_ahead(start_hub: Any) -> None:
    hub = start_hub(WARM_AHEAD="on")
    with hub.client() as client:
        project_id = make(hub, client, "p")
        wait_until(lambda: kept(client) == [project_id])
        (pid,) = marked(hub.data)
        assert client.run(project_id, "x")["outcome"] == "success"
        assert marked(hub.data) == [pid]


def test_a_deletion_ends_the_process(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client, "deleted")
        client.run(project_id, "x")
        client.request("project_delete", project_id=project_id)
        client.wait_for("project_deleted")
        assert marked(hub.data) == []


def test_a_new_session_ends_the_old_process(hub: HubProcess) -> None:
    with hub.client() as client:
        project_id = make(hub, client, "anew")
        client.run(project_id, "x")
        client.request("agent_new_session", project_id=project_id)
        wait_until(lambda: marked(hub.data) == [])


@pytest.mark.parametrize("with_guardian", [True, False])
def test_nothing_outlives_the_server(scratch: Path, with_guardian: bool) -> None:
    hub = HubProcess(scratch).start()
    with hub.client() as client:
        project_id = make(hub, client, "p")
        prompt = "[[stubborn]][[grandchild]][[doublefork]][[hang]]"
        client.request("execute", project_id=project_id, prompt=prompt)
        wait_until(lambda: len(marked(hub.data)) >= 3)
    if with_guardian:
        hub.stop(signal.SIGKILL)
    else:
        hub.kill_with_guardian()
        assert len(marked(hub.data)) >= 2  # the agent itself may have found its output closed
        hub.start()
    wait_until(lambda: marked(hub.data) == [])
    hub.stop()


def test_random_requests_leave_nothing_behind(start_hub: Any) -> None:
    """Start, interrupt, kill, time limit, crash, with random grandchildren."""
    hub = start_hub(KILL_GRACE="300ms", WARM_SESSIONS="1")
    chance = random.Random(6)
    with hub.client() as client:
        projects = [make(hub, client, name) for name in "ab"]
        for number in range(ROUNDS):
            project_id = chance.choice(projects)
            family = "".join(
                part
                for part in ("[[grandchild]]", "[[doublefork]]", "[[stubborn]]")
                if chance.random() < 0.4
            )
            way = chance.choice(("end", "interrupt", "kill", "timeout", "crash", "exit"))
            finish_one(hub, client, project_id, family, way)
            if family and "stubborn" not in family:
                wait_until(lambda: all(is_agent(pid) for pid in marked(hub.data)))
            assert len(marked(hub.data)) <= 3, number
    assert hub.stop() == 0
    assert marked(hub.data) == []


def is_agent(pid: int) -> bool:
    try:
        return "mock_claude" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return True


def finish_one(hub: HubProcess, client: WireClient, project_id: str, family: str, way: str) -> None:
    words = {"end": "x", "exit": "[[exit:3]]"}.get(way, "[[hang]]")
    options = {"timeout_seconds": 0.6} if way == "timeout" else {}
    answer = client.request(
        "execute", project_id=project_id, prompt=family + words, options=options
    )
    execution_id = answer["execution_id"]
    if way in ("interrupt", "kill"):
        client.request(f"agent_{way}", project_id=project_id)
    elif way == "crash":
        # Once it has said something: one that dies before is replaced, and the prompt runs there.
        client.wait_for("claude", subtype="init")
        for pid in marked(hub.data):
            if is_agent(pid):
                os.kill(pid, signal.SIGKILL)
    end = client.wait_for("execution_finished", execution_id=execution_id)["data"]
    expected = {
        "end": ("success",),
        "interrupt": ("interrupted",),
        "kill": ("killed",),
        "timeout": ("timeout",),
        "exit": ("error",),
    }.get(way)
    assert expected is None or end["outcome"] in expected, (family, way, end)
    client.take()
