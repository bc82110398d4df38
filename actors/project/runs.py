"""A project's executions: from the prompt to the one execution_finished. The Project's, in its
thread; the Executor does the work."""

import logging
import uuid
from typing import TYPE_CHECKING, Any

from actors import messages
from actors.clock import Clock, Timers
from actors.ports import Caller
from actors.project.admission import check_free_space, checked_options, prompt_data
from actors.project.executor_link import ExecutorLink
from actors.project.ledger import Ledger
from actors.project.open_ends import OpenEnds
from actors.project.run_queue import Execution, RunQueue
from actors.project.session import Session
from actors.project.settings import ProjectSettings
from actors.restarts import RestartIntensity
from actors.slot import Slot
from protocol import requests
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.updates import (
    ExecutionFinished,
    ExecutionQueued,
    ExecutionStarted,
    Outcome,
    SessionReset,
    UpdateType,
)
from storage.errors import StorageError

if TYPE_CHECKING:
    from actors.project.actor import Project

logger = logging.getLogger("claudehub.project")


class Runs:
    """`queue` is for reading; `executor` for credit and the end."""

    def __init__(
        self,
        project: "Project",
        ledger: Ledger,
        settings: ProjectSettings,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self.queue = RunQueue(settings.max_queue)
        self.has_given_up = False
        self._project = project
        self._ledger = ledger
        self._session = Session(ledger)
        self._settings = settings
        self._clock = clock
        self._restarts = RestartIntensity()
        self._open_ends = OpenEnds()
        self.executor = ExecutorLink(
            project=project.actor_ref,
            project_id=ledger.meta.project_id,
            folder=ledger.meta.path,
            settings=settings.executor,
            timers=timers,
        )

    # -- requests ----------------------------------------------------------------------------

    def execute(self, slot: Slot, caller: Caller, request: requests.Execute) -> None:
        """Answered when the prompt is durable, and run only then. Raises WireError."""
        options = checked_options(
            request.options,
            roots=self._settings.roots,
            timeout_max_s=self._settings.execution_timeout_s,
        )
        if self.has_given_up:
            raise HubFault(ErrorCode.INTERNAL, "the project's executor failed too often")
        if not self.queue.has_room:
            raise RequestRefused(
                ErrorCode.QUEUE_FULL,
                f"{len(self.queue.waiting)} prompts wait already (MAX_QUEUE); try again later",
            )
        check_free_space(self._settings.layout.root, self._settings.min_free_bytes)
        execution = Execution(
            execution_id=str(uuid.uuid4()),
            prompt=request.prompt,
            options=options,
            caller=caller,
            prompt_seq_before=self._ledger.bounds.last_seq,
        )
        self.queue.admit(execution)
        self._log_prompt(slot, execution, request.options)
        self._project.runs_changed()

    def _log_prompt(self, slot: Slot, execution: Execution, asked: requests.Options) -> None:
        self._ledger.journal.log(
            UpdateType.PROMPT,
            prompt_data(execution, asked),
            on_stored=lambda: self._prompt_stored(slot, execution),
            on_refused=lambda: self._prompt_refused(slot, execution),
            about=execution.execution_id,
        )

    def _prompt_stored(self, slot: Slot, execution: Execution) -> None:
        execution.is_stored = True
        state, position = self.queue.place_of(execution)
        slot.result({"execution_id": execution.execution_id, "state": state, "position": position})
        if state == "queued":
            queued = ExecutionQueued(execution_id=execution.execution_id, position=position)
            self._ledger.journal.log(UpdateType.EXECUTION_QUEUED, queued)
            self._project.flush_soon()
        self._go_on()

    def _prompt_refused(self, slot: Slot, execution: Execution) -> None:
        self.queue.finish(execution.execution_id)
        self._open_ends.remove(execution.execution_id)
        slot.error(
            HubFault(ErrorCode.STORAGE_FAILED, "the prompt could not be stored; it was not run")
        )

    def kill(self, slot: Slot, request: requests.AgentKill) -> None:
        """Answers at once; the end comes as execution_finished. Raises WireError."""
        running = self.queue.running
        wanted = request.execution_id or (running.execution_id if running else None)
        if running is not None and running.execution_id == wanted:
            self._end_running(running)
        elif wanted is None or (waiting := self.queue.cancel(wanted)) is None:
            raise RequestRefused(ErrorCode.NOTHING_RUNNING, "no such execution runs or waits")
        else:
            self._finish(waiting, Outcome.CANCELLED)
        slot.result({"execution_id": wanted})

    def new_session(self, slot: Slot) -> None:
        """The running execution keeps its session and cannot bring it back."""
        running = self.queue.running
        if running is not None and running.started_at_s is not None:
            running.is_voided = True
        old = self._ledger.meta.session_id
        reset = SessionReset(old_session_id=old, reason="requested")

        def stored() -> None:
            self._session.reset("requested")
            self._save()
            slot.result({"project": self._project.info().model_dump(mode="json")})

        self._ledger.journal.log(
            UpdateType.SESSION_RESET,
            reset,
            on_stored=stored,
            on_refused=lambda: slot.error(
                HubFault(ErrorCode.STORAGE_FAILED, "the log cannot be written")
            ),
        )
        self._project.flush_soon()

    # -- the executor's messages -------------------------------------------------------------

    def _go_on(self) -> None:
        """Starts the execution whose turn it is."""
        run = self.queue.ready()
        if run is None:
            return
        session = self._session.choose(run.options)
        started = ExecutionStarted(execution_id=run.execution_id, session_id=session.resume)
        self._ledger.journal.log(UpdateType.EXECUTION_STARTED, started)
        run.started_at_s = self._clock.monotonic()
        run.session_id = session.resume
        timeout_s = run.options.timeout_seconds or self._settings.execution_timeout_s
        order = messages.StartRun(
            execution_id=run.execution_id,
            prompt=run.prompt,
            options=run.options,
            session=session,
            timeout_s=timeout_s,
        )
        self.executor.start(order)
        self._project.runs_changed()

    def on_output(self, message: messages.AgentOutput) -> None:
        journal = self._ledger.journal
        running = self._running(message.execution_id)
        for line in message.lines:
            assert line.update_type is not None
            if line.update_type is UpdateType.CLAUDE_DELTA:
                journal.announce(line.update_type, line.data, execution_id=message.execution_id)
            else:
                journal.log(line.update_type, line.data, execution_id=message.execution_id)
            if line.session_id and running:
                self._session.report(running, line.session_id)
        self.executor.received(message.size_bytes)
        self._project.flush_soon()

    def on_session_forgotten(self, message: messages.SessionForgotten) -> None:
        running = self._running(message.execution_id)
        if running is None:
            return
        running.session_id = None
        if not running.is_voided:
            self._ledger.journal.log(UpdateType.SESSION_RESET, self._session.reset("forgotten"))
            self._project.flush_soon()

    def _running(self, execution_id: str) -> Execution | None:
        running = self.queue.running
        return running if running and running.execution_id == execution_id else None

    def on_ended(self, message: messages.RunEnded) -> None:
        running = self._running(message.execution_id)
        if running is None:
            logger.error("an end of %s, which does not run", message.execution_id)
            return
        self._finish(
            running,
            message.outcome,
            result=message.result,
            exit_code=message.exit_code,
            stderr=message.stderr,
            cost_usd=message.cost_usd,
        )

    def on_executor_died(self, message: messages.ActorDied) -> None:
        """The danger is in the child: its death fails one execution and no project."""
        self.executor.forget()
        if not self._restarts.may_restart(self._clock.monotonic()):
            self.has_given_up = True
        running = self.queue.running
        if running is not None:
            text = f"The executor failed: {message.reason}"
            self._finish(running, Outcome.ERROR, result=text)
        if self.has_given_up:
            self.end_all()
        self._project.runs_changed()

    # -- ends --------------------------------------------------------------------------------

    def report_lost(self, execution_id: str) -> None:
        """An execution that the server's crash has cut off, or kept from starting."""
        data = ExecutionFinished(
            execution_id=execution_id,
            outcome=Outcome.LOST,
            session_id=self._ledger.meta.session_id,
        )
        self._log_end(data, self._ledger.meta.busy_since_seq or 0)
        self._project.flush_soon()

    def end_all(self) -> None:
        """No more is started: those that wait are cancelled, the running one is killed."""
        for waiting in self.queue.waiting:
            self.queue.cancel(waiting.execution_id)
            self._finish(waiting, Outcome.CANCELLED)
        if self.queue.running is not None:
            self._end_running(self.queue.running)

    def _end_running(self, running: Execution) -> None:
        if running.started_at_s is None:  # its prompt is on its way to the disk
            self.queue.finish(running.execution_id)
            self._finish(running, Outcome.CANCELLED)
        else:
            self.executor.kill(running.execution_id)

    def _finish(self, execution: Execution, outcome: Outcome, **facts: Any) -> None:
        """The one end."""
        now_s = self._clock.monotonic()
        started_s = now_s if execution.started_at_s is None else execution.started_at_s
        data = ExecutionFinished(
            execution_id=execution.execution_id,
            outcome=outcome,
            session_id=execution.session_id,
            duration_ms=round((now_s - started_s) * 1000),
            **facts,
        )
        self._log_end(data, execution.prompt_seq_before)
        self.queue.finish(execution.execution_id)
        self._ledger.change(last_active=self._project.stamp())
        self._go_on()
        self._project.runs_changed()

    def _log_end(self, data: ExecutionFinished, prompt_seq_before: int) -> None:
        execution_id = data.execution_id
        self._open_ends.add(execution_id, prompt_seq_before)

        def stored() -> None:
            self._open_ends.remove(execution_id)
            self._save()

        self._ledger.journal.log(
            UpdateType.EXECUTION_FINISHED, data, on_stored=stored, about=execution_id
        )

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of every execution without a durable end."""
        return self._open_ends.since(self.queue.open_since_seq)

    def _save(self) -> None:
        """A failure is no reason to lose an end: it is said, and the next save has it all."""
        try:
            self._ledger.save_with(busy_since_seq=self.open_since_seq)
        except StorageError as error:
            logger.error("%s: %s", self._project, error)
