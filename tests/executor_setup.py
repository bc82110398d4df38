"""An Executor that is not started, with processes that only note what it asks of them."""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from actors import messages
from actors.executor import starter
from actors.executor.actor import Executor
from actors.executor.argument_space import ArgumentSpace
from actors.executor.cli_facts import CliFacts
from actors.executor.cli_probe import Found
from actors.executor.output import LINE_COST_BYTES, Credit
from actors.executor.settings import ExecutorSettings
from actors.executor.worker import Worker
from actors.process_tree import ends
from actors.process_tree.tree import Look
from actors.runtime.problems import Problems
from protocol.claude import SessionChoice
from protocol.requests import Options
from tests.fakes import FrozenClock, ManualTimers, Probe, inbox_of

RESULT = b'{"type":"result","is_error":false,"num_turns":1,"result":"done","session_id":"s"}'
ABORTED = (
    b'{"type":"result","is_error":true,"num_turns":2,"terminal_reason":"aborted_streaming",'
    b'"errors":["x"],"session_id":"s"}'
)
FORGOTTEN = (
    b'{"type":"result","is_error":true,"num_turns":0,'
    b'"errors":["No conversation found with session ID: s"]}'
)
INIT = b'{"type":"system","subtype":"init","session_id":"s","permissionMode":"default"}'
LINE = b'{"type":"assistant"}'


class KnownCli(CliFacts):
    """A CLI of a known version."""

    def __init__(self, *, knows_snapshots: bool = False) -> None:
        super().__init__(FixedProbe(), problems=Problems(), clock=FrozenClock())
        self._has_snapshots = knows_snapshots
        self.complaints: list[str] = []

    def is_known(self) -> bool:
        return True

    def knows_snapshots(self) -> bool:
        return self._has_snapshots

    def doubt(self) -> None:
        self.complaints.append("doubt")

    def ended_without_a_word(self, errors: str) -> bool:
        self.complaints.append(errors)
        return "unknown option" in errors


class FixedProbe:
    """A program that nobody asks."""

    def identity(self) -> object:
        return "program"

    def ask(self) -> Found:
        return Found()


def settings(**changes: Any) -> ExecutorSettings:
    given: dict[str, Any] = {
        "command": ["claude", "--x"],
        "environment": {"A": "1"},
        "data_id": "data",
        "run_id": "run",
        "permission_mode": "ask",
        "kill_grace_s": 5.0,
        "max_line_bytes": 1000,
        "cli": KnownCli(),
        "space": ArgumentSpace(one_bytes=128 * 1024, all_bytes=256 * 1024),
        "timeout_s": 60.0,
    }
    return ExecutorSettings(**{**given, **changes})


@dataclass
class Left:
    """A process that a look has found. No pid is as high, so no group has it."""

    pid: int = 1 << 30


# What was sent to processes that are left behind: their pids, and the signal.
sent: list[tuple[list[int], int]] = []


def note_signal(processes: Iterable[Left], number: int) -> set[int]:
    sent.append((sorted(process.pid for process in processes), number))
    return set()


def found(*left: Left, below: bool = False, **facts: Any) -> Look:
    """Return what a look has found. `below`: the CLI is still an ancestor of it."""
    pids = {process.pid for process in left} if below else set()
    return Look(found=list(left), below=pids, **facts)  # type: ignore[arg-type]


class FakeProcess:
    """A stand-in for AgentProcess."""

    started: ClassVar[list["FakeProcess"]] = []

    def __init__(self, spec: Any, owner: Any) -> None:
        self.spec = spec
        self.process_name = spec.process_name
        self.pid = 4242 + len(FakeProcess.started)
        self.credit = Credit()
        self.written: list[dict[str, Any]] = []
        self.signals: list[int] = []
        self.left = Look()
        self.left_of_turn = Look()
        self.input_closed = self.output_stopped = self.killed = False
        self.settled = 0
        self.errors = "words"
        FakeProcess.started.append(self)

    def write(self, line: bytes) -> None:
        self.written.append(json.loads(line))

    def close_input(self) -> None:
        self.input_closed = True

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def leftovers(self) -> Look:
        return self.left

    def left_by_turn(self) -> Look:
        return self.left_of_turn

    def settle_turn(self) -> None:
        self.settled += 1

    def stop_output(self) -> None:
        self.output_stopped = True

    def begin_errors(self) -> None:
        self.errors = ""

    def stderr_tail(self, *, has_ended: bool) -> str:
        return self.errors

    def is_in_place(self) -> bool:
        return True

    def memory_bytes(self) -> int:
        return 1 << 20

    def kill_now(self) -> None:
        self.killed = True

    # -- for tests

    def controls(self, subtype: str) -> list[dict[str, Any]]:
        """Requests of the hub of that kind, with their ids."""
        return [
            {"id": line["request_id"], **line["request"]}
            for line in self.written
            if line["type"] == "control_request" and line["request"]["subtype"] == subtype
        ]

    def prompts(self) -> list[dict[str, Any]]:
        return [line for line in self.written if line["type"] == "user"]

    def answers(self) -> list[dict[str, Any]]:
        return [line["response"] for line in self.written if line["type"] == "control_response"]


class ProjectProbe(Probe):
    """A Project that orders a prompt again which the Executor has given back."""

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[Any] = []
        self.orders: dict[str, messages.StartRun] = {}
        self.returned: messages.RunReturned | None = None

    def take(self) -> list[Any]:
        self.again()
        taken, self._noted = self._noted, []
        return taken

    def again(self) -> list[messages.StartRun]:
        """Return the order that can be given now."""
        due = []
        for message in super().take():
            self._noted.append(message)
            if isinstance(message, messages.RunReturned):
                self.returned = message
            elif (back := self.returned) is not None and _frees(message, back):
                due.append(self.orders[back.execution_id])
                self.returned = None
        return due


def _frees(message: object, returned: messages.RunReturned) -> bool:
    if returned.until_process_ends:
        return isinstance(message, messages.ProcessChanged) and message.pid is None
    return isinstance(message, messages.RunEnded)


class Setup:
    def __init__(self, **changes: Any) -> None:
        self.project = ProjectProbe()
        self.timers = ManualTimers()
        self.executor = Executor(
            project=self.project.actor_ref,
            project_id="p",
            folder=changes.pop("folder", "/p"),
            settings=settings(**changes),
            timers=self.timers,
            gone=threading.Event(),
        )

    @property
    def process(self) -> FakeProcess:
        return FakeProcess.started[-1]

    @property
    def worker(self) -> Worker:
        worker = self.executor._turns.worker
        assert worker is not None
        return worker

    def tell(self, message: Any) -> None:
        if isinstance(message, messages.StartRun):
            self.project.orders[message.execution_id] = message
        self.executor.on_receive(message)
        for order in self.project.again():
            self.tell(order)

    def start(
        self,
        session: SessionChoice | None = None,
        execution_id: str = "e",
        content: Any = "hi",
        *,
        model_named: bool = False,
        trusted: bool = True,
        **options: Any,
    ) -> None:
        self.tell(
            messages.StartRun(
                execution_id=execution_id,
                content=content,
                options=Options(**options),
                session=session or SessionChoice(),
                timeout_s=60.0,
                model_named=model_named,
                trusted=trusted,
            )
        )

    def read(self, *lines: bytes, process: FakeProcess | None = None) -> None:
        process_name = (process or self.process).process_name
        pairs = tuple((line, None) for line in lines)
        size_bytes = sum(len(line) + 1 + LINE_COST_BYTES for line in lines)
        read = messages._OutputRead(process_name=process_name, lines=pairs, size_bytes=size_bytes)
        self.tell(read)

    def say(self, *values: dict[str, Any]) -> None:
        self.read(*(json.dumps(value).encode() for value in values))

    def respond(self, request_id: str, response: Any = None, error: str | None = None) -> None:
        answer: dict[str, Any] = {"subtype": "success", "request_id": request_id}
        if error is not None:
            answer = {"subtype": "error", "request_id": request_id, "error": error}
        elif response is not None:
            answer["response"] = response
        self.say({"type": "control_response", "response": answer})

    def prepare(self) -> None:
        """Answers everything that the process was asked for."""
        for line in list(self.process.written):
            if line["type"] == "control_request":
                self.respond(line["request_id"])

    def exit(self, code: int = 0) -> None:
        process_name = self.process.process_name
        self.tell(messages._ProcessExited(process_name=process_name, return_code=code))

    def end_output(self, rest: Any = None) -> None:
        self.tell(messages._OutputEnded(process_name=self.process.process_name, rest=rest))

    def gone(self, code: int = 0) -> None:
        self.exit(code)
        self.end_output()

    def kill(self, execution_id: str = "e") -> None:
        self.tell(messages.KillRun(execution_id=execution_id, why="Killed."))

    def interrupt(self, execution_id: str = "e") -> None:
        self.tell(messages.InterruptRun(execution_id=execution_id))

    def fire(self, kind: type) -> None:
        self.timers.fire(kind)
        for message in inbox_of(self.executor):
            self.tell(message)

    def told(self, kind: type) -> list[Any]:
        """What the project was told of that kind, since the last time."""
        return [message for message in self.project.take() if isinstance(message, kind)]

    def end(self) -> messages.RunEnded:
        (ended,) = self.told(messages.RunEnded)
        assert isinstance(ended, messages.RunEnded)
        return ended


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    FakeProcess.started = []
    monkeypatch.setattr(starter, "AgentProcess", FakeProcess)
    sent.clear()
    monkeypatch.setattr(ends, "send", note_signal)
    yield


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.fixture
def cold() -> Setup:
    """Return an Executor with WARM_SESSIONS=0."""
    return Setup(keeps_warm=False)
