"""The Executor actor and its Reaper, unstarted, with a process that only notes what is asked."""

from typing import Any, ClassVar

import pytest

from actors import messages
from actors.executor import actor as executor_module
from actors.executor import family
from actors.executor.actor import Executor, ExecutorSettings
from actors.executor.credit import Credit
from protocol.claude import SessionChoice
from protocol.requests import Options
from protocol.updates import Outcome
from tests.fakes import ManualTimers, Probe, inbox_of

RESULT = b'{"type":"result","is_error":false,"num_turns":1,"result":"done","session_id":"s"}'
FORGOTTEN = (
    b'{"type":"result","is_error":true,"num_turns":0,'
    b'"errors":["No conversation found with session ID: s"]}'
)


class FakeProcess:
    """Stands where AgentProcess does."""

    started: ClassVar[list["FakeProcess"]] = []

    def __init__(self, spec: Any, owner: Any) -> None:
        self.spec = spec
        self.process_id = spec.process_id
        self.pid = 4242
        self.credit = Credit()
        self.stderr_tail = "words"
        self.written: list[bytes] = []
        self.signals: list[int] = []
        self.left: list[Any] = []
        self.input_closed = self.output_stopped = self.killed = False
        FakeProcess.started.append(self)

    def write(self, line: bytes) -> None:
        self.written.append(line)

    def close_input(self) -> None:
        self.input_closed = True

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def leftovers(self) -> list[Any]:
        return self.left

    def stop_output(self) -> None:
        self.output_stopped = True

    def note_descendants(self) -> None:
        self.noted = True

    def kill_now(self) -> None:
        self.killed = True


class Setup:
    def __init__(self) -> None:
        self.project = Probe()
        self.timers = ManualTimers()
        settings = ExecutorSettings(["claude", "--x"], {"A": "1"}, "data", "ask", 5.0, 1000)
        self.executor = Executor(
            project=self.project.actor_ref,
            project_id="p",
            folder="/p",
            settings=settings,
            timers=self.timers,
        )

    @property
    def process(self) -> FakeProcess:
        return FakeProcess.started[-1]

    def start(self, session: SessionChoice | None = None) -> None:
        self.executor.receive(
            messages.StartRun(
                execution_id="e",
                prompt="hi",
                options=Options(),
                session=session or SessionChoice(),
                timeout_s=60.0,
            )
        )

    def read(self, *lines: bytes, process: FakeProcess | None = None) -> None:
        self.executor.receive(
            messages._OutputRead(
                process_id=(process or self.process).process_id,
                lines=tuple((line, None) for line in lines),
                size_bytes=10,
            )
        )

    def exit(self, code: int = 0) -> None:
        process_id = self.process.process_id
        self.executor.receive(messages._ProcessExited(process_id=process_id, return_code=code))

    def end_output(self, rest: Any = None) -> None:
        process_id = self.process.process_id
        self.executor.receive(messages._OutputEnded(process_id=process_id, rest=rest))

    def fire(self, kind: type) -> None:
        self.timers.fire(kind)
        for message in inbox_of(self.executor):
            self.executor.receive(message)

    def end(self) -> messages.RunEnded:
        ends = [m for m in self.project.take() if isinstance(m, messages.RunEnded)]
        assert len(ends) == 1
        return ends[0]


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    FakeProcess.started = []
    monkeypatch.setattr(executor_module, "AgentProcess", FakeProcess)
    monkeypatch.setattr(family, "kill", lambda processes: None)
    return Setup()


def test_a_run_is_one_process_with_the_prompt_on_its_input(setup: Setup) -> None:
    setup.start()
    spec = setup.process.spec
    assert spec.argv[:3] == ["claude", "--x", "-p"]
    assert spec.folder == "/p"
    assert spec.mark == f"data:{spec.process_id}"
    assert b'"content":"hi"' in setup.process.written[0]
    setup.read(b'{"type":"assistant"}', RESULT)
    assert b"end_session" in setup.process.written[1]
    assert setup.process.input_closed
    setup.exit()
    assert not any(isinstance(m, messages.RunEnded) for m in setup.project.take())
    setup.end_output()
    end = setup.end()
    assert (end.outcome, end.result, end.stderr) == (Outcome.SUCCESS, "done", "words")
    watchdogs = [t for t in setup.timers.pending if isinstance(t.message, messages._WatchdogFired)]
    assert all(t.cancelled for t in watchdogs)


def test_a_model_of_an_earlier_prompt_is_put_back_first(setup: Setup) -> None:
    setup.start(SessionChoice(resume="s", reset_model=True))
    assert b'"request":{"subtype":"set_model"}' in setup.process.written[0]
    assert b'"content":"hi"' in setup.process.written[1]


def test_lines_are_passed_on_with_what_is_owed_for_them(setup: Setup) -> None:
    setup.start()
    setup.read(b'{"type":"assistant"}', b"", b"text")
    output = setup.project.take()[0]
    assert [line.update_type for line in output.lines] == ["claude", "claude_text"]
    assert (output.execution_id, output.size_bytes) == ("e", 10)
    setup.process.credit.take(10)
    setup.read(b'{"type":"control_response"}')
    assert setup.project.take() == []
    assert setup.process.credit._on_the_way == 0


def test_credit_comes_back_through_the_executor(setup: Setup) -> None:
    setup.start()
    setup.process.credit.take(30)
    setup.executor.receive(messages.OutputStored(execution_id="e", size_bytes=20))
    setup.executor.receive(messages.OutputStored(execution_id="other", size_bytes=5))
    assert setup.process.credit._on_the_way == 10


def test_a_forgotten_session_runs_the_prompt_anew(setup: Setup) -> None:
    setup.start(SessionChoice(resume="s"))
    first = setup.process
    setup.read(FORGOTTEN)
    setup.exit(1)
    setup.end_output()
    told = setup.project.take()
    assert told[-1] == messages.SessionForgotten(execution_id="e")
    assert setup.process is not first
    assert not any(a.startswith(("--resume", "-c")) for a in setup.process.spec.argv)
    setup.read(b'{"type":"assistant"}', process=first)  # late, of the old process
    assert setup.project.take() == []
    setup.read(RESULT)
    setup.exit()
    setup.end_output()
    assert setup.end().outcome == Outcome.SUCCESS


def test_a_kill_while_the_session_is_forgotten_runs_nothing_more(setup: Setup) -> None:
    setup.start(SessionChoice(resume="s"))
    setup.read(FORGOTTEN)
    setup.executor.receive(messages.KillRun(execution_id="e"))
    setup.exit(1)
    setup.end_output()
    assert setup.end().outcome == Outcome.KILLED
    assert len(FakeProcess.started) == 1


def test_what_cannot_be_started_is_an_error(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file", "claude")

    monkeypatch.setattr(executor_module, "AgentProcess", fail)
    setup.start()
    end = setup.end()
    assert end.outcome == Outcome.ERROR and "could not be started" in end.result


def test_a_failing_executor_leaves_no_process(setup: Setup) -> None:
    setup.start()
    setup.executor.release()
    assert setup.process.killed
