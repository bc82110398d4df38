"""The Executor actor: a project's CLI process, its lines, and the end of every turn."""

import threading
from collections.abc import Callable, Sequence
from typing import assert_never

from actors import messages
from actors.executor.permission_requests import PermissionRequests
from actors.executor.reports import Reports
from actors.executor.settings import ExecutorSettings
from actors.executor.starter import Starter
from actors.executor.turn import EndReason, Turn
from actors.executor.turns import Turns
from actors.executor.worker import Worker
from actors.runtime.base import Actor
from actors.runtime.clock import Timers
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from protocol import claude
from protocol.claude import (
    STATES,
    AgentLine,
    ControlCancel,
    ControlRequest,
    ControlResponse,
    RawLine,
)


class AgentThreadFailed(Exception):
    """A thread of the CLI's process has failed."""


class Executor(Actor):
    """Child of a Project, which has it run one execution at a time. It sets `gone` when it has
    ended, and its process with it."""

    rule = Rule.FAIL_EXECUTION

    def __init__(
        self,
        *,
        project: Ref,
        project_id: str,
        folder: str,
        settings: ExecutorSettings,
        timers: Timers,
        gone: threading.Event,
    ) -> None:
        name = f"executor {project_id}"
        super().__init__(parent=project, name=name, ids={"project": project_id})
        self._gone = gone
        self._settings = settings
        self._reports = Reports(project)
        self._permission_requests = PermissionRequests(
            self._reports, background=settings.background
        )
        starter = Starter(
            owner=self.actor_ref,
            name=str(self),
            folder=folder,
            settings=settings,
            timers=timers,
            permission_requests=self._permission_requests,
        )
        self._turns = Turns(
            owner=self.actor_ref,
            name=str(self),
            settings=settings,
            timers=timers,
            starter=starter,
            reports=self._reports,
            permission_requests=self._permission_requests,
        )

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return self._kill_process, self._gone.set

    def _kill_process(self) -> None:
        if self._turns.worker is not None:
            self._turns.worker.process.kill_now()

    def on_receive(self, message: messages.ExecutorMessage) -> None:  # noqa: C901 - one case a message
        match message:
            case messages.StartRun():
                self._turns.start(message)
            case messages.WarmUp():
                self._turns.warm_up(message.session, trusted=message.trusted)
            case messages.LetGo():
                self._turns.let_go(tasks_too=message.tasks_too)
            case messages.ChangeSettings():
                self._settings = self._settings.changed(message)
                self._turns.change(self._settings)
            case messages.ForgetPermissions():
                self._permission_requests.forget()
            case messages.AnswerPermission():
                self._permission_requests.answer(self._turns.worker, message)
            case messages.InterruptRun():
                self._turns.end(message.execution_id, EndReason.INTERRUPTED)
            case messages.KillRun():
                self._turns.end(message.execution_id, EndReason.KILLED, message.why)
            case messages._WatchdogFired():
                self._turns.end(message.execution_id, EndReason.TIMEOUT)
            case messages._ResultDue():
                self._turns.on_result_due(message)
            case messages._IdleDue():
                self._turns.on_idle_due(message)
            case messages.OutputStored():
                if (worker := self._worker_of(message.process_name)) is not None:
                    worker.process.credit.give_back(message.size_bytes)
            case (
                messages._OutputRead()
                | messages._OutputEnded()
                | messages._ProcessExited()
                | messages._AgentThreadFailed()
                | messages._RungDue()
                | messages._DrainDue()
                | messages._SweepDue()
            ):
                self._on_process(message)
            case _:
                assert_never(message)
        if self._reports.lines:
            self._reports.flush()

    def _worker_of(self, process_name: str) -> Worker | None:
        """Return the worker that a process's message is about; None for a message that came
        late."""
        worker = self._turns.worker
        return (
            worker if worker is not None and worker.process.process_name == process_name else None
        )

    # -- the process -------------------------------------------------------------------------

    def _on_process(self, message: messages.ProcessMessage) -> None:
        if (worker := self._worker_of(message.process_name)) is None:
            return
        match message:
            case messages._OutputRead():
                self._on_output_read(worker, message)
                return
            case messages._OutputEnded():
                self._on_output_ended(worker, message)
            case messages._ProcessExited():
                worker.on_exited(message.return_code)
            case messages._AgentThreadFailed():
                # Its end may never be heard of, so the Executor dies: its release kills the
                # process, and the Project ends the execution.
                raise AgentThreadFailed(f"the thread {message.thread} failed: {message.reason}")
            case messages._RungDue():
                worker.on_rung_due(message.change)
            case messages._DrainDue():
                worker.on_drain_due()
            case messages._SweepDue():
                worker.on_sweep_due(message.change)
            case _:
                assert_never(message)
        self._turns.go_on()

    def _on_output_read(self, worker: Worker, message: messages._OutputRead) -> None:
        """Take the lines in order. A run of lines that are only passed on is taken at once."""
        turn = self._turns.turn
        is_outside = turn is None or turn.end is not None
        # Whatever it is: lines that are not shown, and one that does not end, cost as much.
        is_too_much = is_outside and not worker.may_say(message.size_bytes)
        lines = [] if is_too_much else self._parsed(message.lines)
        at, is_special = 0, False
        while at < len(lines):
            turn = self._turns.turn
            end = at if turn is None else turn.take_plain(lines, at)
            if turn is not None and end > at:
                self._reports.add(lines[at:end], worker.process.process_name, turn.execution_id)
                at = end
            else:
                self._on_line(worker, lines[at])
                is_special, at = True, at + 1
        if not self._reports.flush(message.size_bytes):
            worker.process.credit.give_back(message.size_bytes)
        if is_special:
            self._turns.go_on()

    def _parsed(self, raws: Sequence[RawLine]) -> list[AgentLine]:
        max_bytes = self._settings.max_line_bytes
        if all(cut is None for _, cut in raws):
            return claude.parse_lines([raw for raw, _ in raws], max_bytes)
        lines = []
        for raw, cut in raws:
            if cut is not None:
                lines.append(claude.long_line(raw, cut.tail, cut.size_bytes))
            else:
                lines += claude.parse_lines([raw], max_bytes)
        return lines

    def _on_output_ended(self, worker: Worker, message: messages._OutputEnded) -> None:
        if message.rest is not None:
            raw, cut = message.rest
            size_bytes = None if cut is None else cut.size_bytes
            self._on_line(worker, claude.text_line(raw, self._settings.max_line_bytes, size_bytes))
        worker.on_output_ended()

    def _on_line(self, worker: Worker, line: AgentLine) -> None:
        if line.update_type is None:
            self._on_control(worker, line)
            return
        turn = self._turns.turn_of(worker, line)
        execution_id = turn.execution_id if turn is not None else None
        if line.phase not in STATES or not worker.hides_states:
            self._reports.add([line], worker.process.process_name, execution_id)
        self._note_session(worker, turn, line)
        if line.tasks is not None:
            self._turns.keep()
        if line.turn_end is not None:
            self._turns.on_result(worker, turn, line.turn_end)
        elif line.phase is not None and turn is not None:
            self._turns.on_phase(turn, line.phase)
        if line.control is not None:  # of a damaged line, which is shown all the same
            self._on_control(worker, line)

    def _note_session(self, worker: Worker, turn: Turn | None, line: AgentLine) -> None:
        """Note the line's facts, and tell the Project if `/clear` has begun another session."""
        before = worker.present_session
        clears = turn is not None and turn.clears
        worker.note(line)
        if not worker.has_left(before, clears=clears):
            return
        self._permission_requests.session_changed(worker)
        if turn is not None:
            cleared = messages.SessionCleared(
                execution_id=turn.execution_id, old_session_id=before or ""
            )
            self._reports.tell(cleared)

    def _on_control(self, worker: Worker, line: AgentLine) -> None:
        match line.control:
            case ControlRequest():
                self._permission_requests.ask(worker, self._turns.turn, line.control)
            case ControlCancel():
                self._permission_requests.withdraw(worker, line.control)
            case ControlResponse():
                self._turns.on_response(worker, line.control)
