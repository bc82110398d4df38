"""What an operator reads of a day at LOG_LEVEL=info: who came, what ran, how it ended."""

import json
import os
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pykka
import pytest

from actors.audit.auditor import Auditor, AuditSettings
from actors.audit.trail import AuditTrail
from actors.directory import LocalDirectory
from actors.feed.rotator import RotationSettings, Rotator
from actors.runtime.problems import Problems
from actors.watch.places import DataFolderPlace, PlaceWatcher
from actors.watch.reloader import FileReloader
from actors.watch.room import StoragePlace
from storage.layout import DataLayout
from storage.segments import Compression
from tests.fakes import Probe
from tests.harness import HubProcess
from tests.processes import is_cli, marked
from tests.test_logs import LINE

LINES_AN_HOUR_MAX = 12
SECRET = "the-words-of-a-prompt"
TOOL = f"[[tool:Bash:touch {SECRET}]]"


def spend_a_day(hub: HubProcess) -> dict[str, Any]:
    """Create a project, run prompts, answer a question of the agent, delete the project, stop."""
    with hub.client() as client:
        client.request("project_create", path=hub.folder("shop"))
        client.request("project_join", project_id="shop")
        ended = client.run("shop", f"[[text:{SECRET}]] {SECRET}")
        asked = client.request("execute", project_id="shop", prompt=TOOL)
        question = client.wait_for("permission_request")["data"]
        client.request(
            "permission_answer",
            project_id="shop",
            permission_id=question["permission_id"],
            decision="deny",
            message=SECRET,
        )
        client.wait_for("execution_finished", execution_id=asked["execution_id"])
        failed = client.run("shop", f"[[stderr:{SECRET}]][[exit:3]]")
        client.request("project_delete", project_id="shop")
        client_id = client.welcome["client_id"]
    assert hub.stop() == 0
    return {"client": client_id, "ended": ended, "failed": failed, "asked": asked}


def test_a_day_in_json(start_hub: Any) -> None:
    hub = start_hub(LOG_FORMAT="json")
    seen = spend_a_day(hub)
    lines = [json.loads(line) for line in hub.errors.read_text().splitlines()]
    assert all(set(line) >= {"timestamp", "level", "logger", "event"} for line in lines)
    assert SECRET not in hub.errors.read_text()
    named = {line["event"]: line for line in lines}  # the last of each
    client = seen["client"]
    assert named["client connected"]["client"] == client
    assert named["client connected"]["address"] == "127.0.0.1"
    assert named["client disconnected"]["client"] == client
    assert named["project created"].items() >= {
        ("project", "shop"),
        ("path", str(hub.roots / "shop")),
        ("client", client),
    }
    assert named["project deleted"].items() >= {("project", "shop"), ("keep_history", False)}
    answered = named["permission answered"]
    assert answered.items() >= {
        ("project", "shop"),
        ("decision", "deny"),
        ("tool", "Bash"),
        ("by", client),
        ("execution", seen["asked"]["execution_id"]),
    }
    ends = [line for line in lines if line["event"] == "execution finished"]
    assert [(e["level"], e["outcome"]) for e in ends] == [
        ("info", "success"),
        ("info", "success"),
        ("warning", "error"),
    ]
    first, told = ends[0], seen["ended"]
    for name in ("duration_ms", "cost_usd"):
        assert first[name] == told[name]
    ids = {("project", "shop"), ("execution", told["execution_id"]), ("client", client)}
    starts = [line for line in lines if line["event"] == "execution started"]
    assert len(starts) == 3 and starts[0].items() >= ids and first.items() >= ids
    assert [line["event"] for line in lines][-1] == "stopped"


def test_a_day_in_text(start_hub: Any) -> None:
    hub = start_hub()
    spend_a_day(hub)
    lines = hub.errors.read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert SECRET not in "".join(lines)
    found = "execution finished project=shop execution="
    assert sum(found in line for line in lines) == 3


def test_a_line_says_how_an_execution_has_ended_and_who_has_ended_it(start_hub: Any) -> None:
    hub = start_hub(LOG_FORMAT="json")
    with hub.client() as client:
        for name in ("p", "q", "r"):
            client.request("project_create", path=hub.folder(name))
            client.request("project_join", project_id=name)
        me = client.welcome["client_id"]
        client.run("p", "x")
        client.run("p", "[[exit:3]]")
        client.run("p", "[[error:529]]")

        def begin(project: str = "p") -> str:
            begun: str = client.request("execute", project_id=project, prompt="[[hang]]")[
                "execution_id"
            ]
            client.wait_for("execution_started", execution_id=begun)
            return begun

        client.take()
        execution_id = begin()
        client.wait_for("claude")  # before it has said anything, the prompt would run again
        (agent,) = [pid for pid in marked(hub.data) if is_cli(psutil.Process(pid))]
        os.kill(agent, signal.SIGKILL)
        client.wait_for("execution_finished", execution_id=execution_id)
        for ending in ("agent_interrupt", "agent_kill"):
            execution_id = begin()
            client.request(ending, project_id="p")
            client.wait_for("execution_finished", execution_id=execution_id)
        begin("q")
        waits = client.request("execute", project_id="q", prompt="x")["execution_id"]
        with hub.client() as other:
            other.request("project_delete", project_id="q")
            deleter = other.welcome["client_id"]
        client.wait_for("execution_finished", execution_id=waits)
        client.wait_for("project_deleted")
        begin("r")
    assert hub.stop() == 0
    lines = [json.loads(line) for line in hub.errors.read_text().splitlines()]
    ends = [line for line in lines if line["event"] == "execution finished"]
    assert [(end["outcome"], end["exit_code"], end["by"]) for end in ends] == [
        ("success", None, None),
        ("error", 3, None),
        ("error", None, None),
        ("error", 128 + signal.SIGKILL, None),
        ("interrupted", 0, me),
        ("killed", 128 + signal.SIGTERM, me),
        ("cancelled", None, deleter),
        ("killed", 128 + signal.SIGTERM, deleter),
        ("killed", 128 + signal.SIGTERM, "stop"),
    ]


def test_a_health_check_is_no_client(start_hub: Any) -> None:
    """A supervisor that looks every few seconds would fill the log."""
    hub = start_hub(LOG_LEVEL="info")
    before = len(hub.errors.read_text().splitlines())
    for _ in range(20):
        with hub.client() as client:
            assert client.request("health_check")["status"] in ("ok", "degraded")
            client.request("ping")
    with hub.client() as client:
        client.request("project_list")
    assert hub.stop() == 0
    after = [line.partition(": ")[2] for line in hub.errors.read_text().splitlines()[before:]]
    assert sum(line.startswith("client connected") for line in after) == 1
    assert sum(line.startswith("client disconnected") for line in after) == 1


@dataclass
class Hour:
    """A clock and timers in one: an hour passes as quickly as its timers are handled."""

    passed_s: float = 0.0
    waiting: list[tuple[float, Any, Any]] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return 1_000.0 + self.passed_s

    def after(self, delay_s: float, receiver: Any, message: Any) -> Any:
        self.waiting.append((self.passed_s + delay_s, receiver, message))

    def pass_by(self, actors: list[pykka.ThreadingActor], seconds: float) -> int:
        """Hand every message that is due to its actor; return how many there were."""
        of = {actor.actor_urn: actor for actor in actors}
        count = 0
        while self.waiting:
            due = min(self.waiting, key=lambda timer: timer[0])
            if due[0] > seconds:
                break
            self.waiting.remove(due)
            self.passed_s, receiver, message = due
            of[receiver.actor_urn].on_receive(message)
            count += 1
        return count


class Unchanged:
    """A file that is looked at, and never changes."""

    name, failure = "keys", "the old ones hold"

    def __init__(self, path: Path) -> None:
        path.touch()
        self.files = (path,)

    def reload(self) -> bool:
        return False

    def problem(self, now: datetime) -> str | None:
        return None


def test_an_idle_hub_writes_next_to_nothing_in_an_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All that runs by itself in a hub without clients: each of these looks again and again."""
    hour, problems, layout = Hour(), Problems(), DataLayout(tmp_path / "data")
    layout.create()
    layout.lock.acquire()
    trail = AuditTrail(hour)
    shared: dict[str, Any] = {"timers": hour, "problems": problems}
    rotator = Rotator(
        hub=Probe().actor_ref,
        directory=LocalDirectory(),
        settings=RotationSettings(layout, 30, 7, 1 << 30, Compression.OFF),
        clock=hour,
        **shared,
    )
    auditor = Auditor(
        settings=AuditSettings(layout.root, 1 << 30, 30, 7, 1 << 30),
        trail=trail,
        clock=hour,
        died=[].append,
        **shared,
    )
    places = [DataFolderPlace(layout, layout.data_id()), StoragePlace(layout.root, 1 << 60)]
    watcher = PlaceWatcher(places=places, died=[].append, **shared)
    keys = Unchanged(tmp_path / "keys")
    reloader = FileReloader(hub=Probe().actor_ref, subject=keys, trail=trail, clock=hour, **shared)
    actors: list[Any] = [rotator, auditor, watcher, reloader]
    with caplog.at_level("INFO"):
        for actor in actors:
            actor.started()
        assert hour.pass_by(actors, 3_600.0) > 1_900  # a look every 2 s, and every 30 s
    for actor in actors:
        actor.on_stop()
    layout.lock.release()
    assert len(caplog.records) <= LINES_AN_HOUR_MAX, caplog.messages
