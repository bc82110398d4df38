"""SIGUSR1 shows what the server does, whatever LOG_LEVEL is, and disturbs nothing."""

import os
import signal
import threading
from typing import Any

import pytest
import simplejson

from actors.server import state_report
from tests.harness import TIMEOUT_S, HubProcess
from tests.processes import wait_until


def events(hub: HubProcess) -> list[dict[str, Any]]:
    lines = [simplejson.loads(line) for line in hub.errors.read_text().splitlines()]
    return [line for line in lines if line["logger"] == "claudehub.state"]


def test_threads_and_actors_are_shown(start_hub: Any) -> None:
    hub = start_hub(LOG_FORMAT="json", LOG_LEVEL="error")
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        client.request("project_join", project_id="p")
        client.request("execute", project_id="p", prompt="[[hang]]")
        client.wait_for("execution_started")
        for rounds in (1, 2):
            os.kill(hub.pid, signal.SIGUSR1)
            wait_until(
                lambda: [e["event"] for e in events(hub)].count("actors shown") == rounds  # noqa: B023
            )
        assert client.request("ping") == {}
    found = events(hub)
    actors = {e["name"]: e for e in found if e["event"] == "actor"}
    assert {"hub", "project p", "executor p", "rotator", "auditor"} <= actors.keys()
    assert actors["hub"]["kind"] == "Hub" and actors["hub"]["inbox"] == 0
    stacks = [e for e in found if e["event"] == "stack"]
    assert any("state report" in e["threads"] and "state_report.py" in e["block"] for e in stacks)
    assert any("MainThread" in e["threads"] and "stop_request.py" in e["block"] for e in stacks)


def test_threads_in_one_place_are_one_stack(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    threads = [threading.Thread(target=go.wait, name=f"idle {n}") for n in range(30)]
    for thread in threads:
        thread.start()

    def shown() -> list[Any]:
        caplog.clear()
        state_report.report()
        records: list[Any] = [record.msg for record in caplog.records]
        return [m for m in records if m["event"] == "stack" and "idle 29" in m["threads"]]

    try:
        wait_until(lambda: [m["count"] for m in shown()] == [30])
        (stack,) = shown()
        assert len(stack["threads"]) == state_report.NAMES_MAX
    finally:
        go.set()
        for thread in threads:
            thread.join(TIMEOUT_S)


def test_it_is_bounded(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_report, "STACKS_MAX", 0)
    state_report.report()
    events = [record.msg["event"] for record in caplog.records]  # type: ignore[index]
    assert "stack" not in events and "more stacks are left out" in events
