"""A Project actor that is not started, with neighbours that are probes, under a frozen clock."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from freezegun import freeze_time

from actors import messages
from actors.access.prompt_keys import Standing
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project import Project, ProjectSettings, executor_link
from protocol import requests
from protocol.claude import AgentLine
from protocol.updates import Outcome, UpdateType
from storage.layout import DataLayout
from storage.log_state import SyncPolicy
from storage.message_log import LogSettings
from storage.projects import ProjectMeta, ProjectStore
from tests.executor_setup import settings as executor_settings
from tests.fakes import FrozenClock, ManualTimers, Probe, RecordingSubscriber, inbox_of, said

CALLER = Caller("c1")


class ExecutorProbe(Probe):
    """An Executor whose CLI takes each prompt at once, unless `is_slow`."""

    is_slow = False

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[Any] = []

    def take(self) -> list[Any]:
        self.begun()
        taken, self._noted = self._noted, []
        return taken

    def begun(self) -> list[messages.RunBegan]:
        """Return what it says of the prompts that came since the last time."""
        new = super().take()
        self._noted += new
        prompts = [] if self.is_slow else [m for m in new if isinstance(m, messages.StartRun)]
        return [messages.RunBegan(execution_id=prompt.execution_id) for prompt in prompts]


class ProjectSetup:
    """A project whose executor and hub are probes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.layout = DataLayout(root / "data")
        self.layout.create()
        self.folder = root / "p"
        self.folder.mkdir(exist_ok=True)
        self.timers = ManualTimers()
        self.hub, self.client, self.executor = Probe(), Probe(), ExecutorProbe()
        self.numbers = 0
        self.settings = self._settings(root, **settings)
        monkeypatch.setattr(executor_link.Executor, "start", lambda **_: self.executor.actor_ref)
        monkeypatch.setattr(executor_link, "STOPPED_WAIT_S", 0.0)  # it never stops
        self.open(fresh=settings.get("fresh", False))

    def _settings(self, root: Path, **changes: Any) -> ProjectSettings:
        return ProjectSettings(
            layout=self.layout,
            log=LogSettings(
                rotate_bytes=changes.get("rotate", 1 << 30),
                sync=changes.get("sync", SyncPolicy.ALWAYS),
                boot_id="b",
            ),
            executor=executor_settings(),
            roots=[root],
            execution_timeout_s=300.0,
            max_queue=changes.get("max_queue", 2),
            min_free_bytes=changes.get("min_free", 0),
            warm_ahead=changes.get("warm_ahead", False),
            trusts_all=changes.get("trusts_all", False),
            revoke_kills=changes.get("revoke_kills", False),
            standing=changes.get("standing", Standing()),
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
        self.project._watching._is_due = True  # no FileWatcher here
        self.project.started()
        self.handle_own()

    def handle_own(self) -> None:
        while own := [*inbox_of(self.project), *self.executor.begun()]:
            for message in own:
                if not isinstance(message, pykka.messages._ActorStop):
                    self.project.on_receive(message)

    def ask(
        self,
        body: Any,
        subscriber: Any = None,
        *,
        handle: bool = True,
        caller: Caller = CALLER,
    ) -> int:
        """Sends a request; its number."""
        self.numbers += 1
        reply_to = ReplyTo(self.client.actor_ref, self.numbers)
        self.project.on_receive(
            messages.ProjectRequest(
                reply_to=reply_to, caller=caller, body=body, subscriber=subscriber
            )
        )
        if handle:
            self.handle_own()
        return self.numbers

    def tell(self, message: Any) -> None:
        self.project.on_receive(message)
        self.handle_own()

    def execute(self, prompt: str = "x", **options: Any) -> str:
        self.ask(execute(prompt, **options))
        answer = self.answers()[-1]
        execution_id: str = answer["execution_id"]
        return execution_id

    def answers(self) -> list[dict[str, Any]]:
        return [said(answer) for answer in self.client.take()]

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
    return messages.AgentOutput(
        execution_id=execution_id, process_name="x", lines=lines, size_bytes=size
    )


@pytest.fixture(autouse=True)
def frozen() -> Iterator[Any]:
    with freeze_time("2026-11-24T12:00:00Z") as clock:
        yield clock


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectSetup]:
    made = ProjectSetup(tmp_path, monkeypatch)
    yield made
    made.project.release()


def fail_with(error: int) -> Any:
    def write(fd: int, data: bytes) -> int:
        raise OSError(error, os.strerror(error))

    return write
