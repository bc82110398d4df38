"""A project's executions: from the prompt to the one execution_finished. The Project's, in its
thread; the Executor does the work."""

import logging
from typing import TYPE_CHECKING, Any

from actors import messages
from actors.feed.feed import Feed
from actors.feed.open_records import LeftOpen
from actors.feed.project_log import ProjectLog
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.ends import Ends
from actors.project.executor_link import ExecutorLink
from actors.project.permissions import Permissions
from actors.project.prompts import Prompts
from actors.project.run_queue import Execution, RunQueue
from actors.project.session import Session
from actors.project.settings import ProjectSettings
from actors.runtime.clock import Clock, Timers
from actors.runtime.restarts import RestartIntensity
from protocol import requests
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.updates import ExecutionStarted, Outcome, UpdateType

if TYPE_CHECKING:
    from actors.project.actor import Project

logger = logging.getLogger("claudehub.project")

HUB = "hub"


class Runs:
    """`queue` and `permissions` are for reading; `executor` for credit and the end."""

    def __init__(
        self,
        project: "Project",
        ledger: ProjectLog,
        feed: Feed,
        settings: ProjectSettings,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self.queue = RunQueue(settings.max_queue)
        self.has_given_up = False
        self._project = project
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._restarts = RestartIntensity()
        self._ends = Ends(
            ledger,
            feed,
            str(project),
            lambda: (self.queue.open_since_seq, self.permissions.open_since_seq),
        )
        self._session = Session(ledger, self.queue, self._ends.save_soon)
        self.executor = _executor_link(project.actor_ref, ledger, settings, timers)
        self.permissions = Permissions(
            project=project.actor_ref,
            ledger=ledger,
            executor=self.executor,
            timers=timers,
            timeout_s=settings.permission_timeout_s,
        )
        self._prompts = Prompts(
            project,
            ledger,
            settings,
            self.queue,
            stored=self._go_on,
            refused=lambda execution: self._ends.forget(execution.execution_id),
        )

    # -- requests ----------------------------------------------------------------------------

    def execute(self, reply_to: ReplyTo, caller: Caller, request: requests.Execute) -> None:
        """Answered when the prompt is durable, and run only then. Raises WireError."""
        if self.has_given_up:
            raise HubFault(ErrorCode.INTERNAL, "the project's executor failed too often")
        self._prompts.execute(reply_to, caller, request)

    def kill(self, reply_to: ReplyTo, request: requests.AgentKill) -> None:
        """Answers at once; the end comes as execution_finished. Raises WireError."""
        execution = self._meant(request.execution_id)
        if self.queue.at_work(execution.execution_id):
            self._end_at_work(execution)
        else:
            self.queue.cancel(execution.execution_id)
            self._finish(execution, Outcome.CANCELLED)
        reply_to.result({"execution_id": execution.execution_id})

    def interrupt(self, reply_to: ReplyTo, request: requests.AgentInterrupt) -> None:
        """Answers at once; the end comes as execution_finished. Raises WireError."""
        execution = self._meant(request.execution_id)
        if not self.queue.at_work(execution.execution_id):
            problem = "that execution waits; agent_kill takes it out of the queue"
            raise RequestRefused(ErrorCode.NOTHING_RUNNING, problem)
        if execution.started_at_s is None:
            self._end_at_work(execution)
        else:
            self.executor.interrupt(execution.execution_id)
        reply_to.result({"execution_id": execution.execution_id})

    def _meant(self, execution_id: str | None) -> Execution:
        active = self.queue.active
        found = active if execution_id is None else self.queue.find(execution_id)
        if found is None:
            raise RequestRefused(ErrorCode.NOTHING_RUNNING, "no such execution runs or waits")
        return found

    def new_session(self, reply_to: ReplyTo) -> None:
        """Those that wait run in the new one: none is started before the reset is durable."""

        def done() -> None:
            self._ends.save()
            self.executor.forget_permissions()
            self.executor.let_go()
            reply_to.result({"project": self._project.info().model_dump(mode="json")})
            self._go_on()

        def failed() -> None:
            reply_to.error(HubFault(ErrorCode.STORAGE_FAILED, "the log cannot be written"))
            self._go_on()

        self._session.reset(done=done, failed=failed)
        self._project.flush_soon()

    def warm_ahead(self) -> None:
        """WARM_AHEAD: somebody has joined, so a prompt may come."""
        if self._settings.warm_ahead and self.queue.is_idle and not self.executor.has_process:
            self.executor.warm_up(self._session.choice)

    # -- the executor's messages -------------------------------------------------------------

    def _go_on(self) -> None:
        """Starts the execution whose turn it is."""
        run = self.queue.ready()
        if run is None or self._session.is_changing:
            return
        session = self._session.choice
        order = messages.StartRun(
            execution_id=run.execution_id,
            content=run.prompt if run.prompt is not None else tuple(run.content or ()),
            options=run.options,
            session=session,
            timeout_s=run.options.timeout_seconds or self._settings.execution_timeout_s,
            model_named=self._session.model_named,
        )
        self._session.began(run)
        started = ExecutionStarted(execution_id=run.execution_id, session_id=session.resume)
        self._note_start(run, started)
        self.executor.start(order)

    def _note_start(self, run: Execution, started: ExecutionStarted) -> None:
        self._ledger.journal.log(UpdateType.EXECUTION_STARTED, started)
        run.started_at_s = self._clock.monotonic()
        run.session_id = started.session_id
        self.permissions.execution_began(run.execution_id)
        self._project.runs_changed()

    def on_background_began(self, message: messages.BackgroundBegan) -> None:
        """The CLI has begun a turn by itself: an execution without a prompt."""
        execution = Execution(
            execution_id=message.execution_id,
            caller=Caller(HUB),
            prompt_seq_before=self._ledger.bounds.last_seq,
            is_stored=True,
            is_voided=self._session.is_of_another(message.session_id),
        )
        self.queue.background = execution
        started = ExecutionStarted(
            execution_id=message.execution_id, session_id=message.session_id, origin="background"
        )
        self._note_start(execution, started)

    def on_output(self, message: messages.AgentOutput) -> None:
        journal = self._ledger.journal
        execution_id = message.execution_id
        running = self.queue.at_work(execution_id) if execution_id is not None else None
        for line in message.lines:
            assert line.update_type is not None
            if line.update_type is UpdateType.CLAUDE_DELTA:
                journal.announce(line.update_type, line.data, execution_id=execution_id)
            else:
                journal.log(line.update_type, line.data, execution_id=execution_id)
            if line.session_id and running:
                self._session.report(running, line.session_id)
        self.executor.received(message.process_name, message.size_bytes)
        self._project.flush_soon()

    def on_session_forgotten(self, message: messages.SessionForgotten) -> None:
        running = self.queue.at_work(message.execution_id)
        if running is not None:
            self._session.forgotten(running)

    def on_ended(self, message: messages.RunEnded) -> None:
        running = self.queue.at_work(message.execution_id)
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
        text = f"The executor failed: {message.reason}"
        for execution in self.queue.at_work_now:
            self._finish(execution, Outcome.ERROR, result=text)
        self.permissions.executor_died()
        if self.has_given_up:
            self.end_all()
        self._project.runs_changed()

    # -- ends --------------------------------------------------------------------------------

    def report_lost(self, left_open: LeftOpen) -> None:
        """What the server's crash has cut off, or kept from starting."""
        for permission_id, execution_id in left_open.questions.items():
            self._ends.log_unanswered(permission_id, execution_id)
        for execution_id in left_open.executions:
            self._ends.log_lost(execution_id)
        self._project.flush_soon()

    def end_all(self) -> None:
        """No more is started: those that wait are cancelled, what runs is killed."""
        for waiting in self.queue.waiting:
            self.queue.cancel(waiting.execution_id)
            self._finish(waiting, Outcome.CANCELLED)
        for execution in (self.queue.running, self.queue.background):
            if execution is not None:
                self._end_at_work(execution)

    def _end_at_work(self, execution: Execution) -> None:
        if execution.started_at_s is None:  # its prompt is on its way to the disk
            self.queue.finish(execution.execution_id)
            self._finish(execution, Outcome.CANCELLED)
        else:
            self.executor.kill(execution.execution_id)

    def _finish(self, execution: Execution, outcome: Outcome, **facts: Any) -> None:
        """The one end."""
        now_s = self._clock.monotonic()
        started_s = now_s if execution.started_at_s is None else execution.started_at_s
        self.permissions.execution_ends(execution.execution_id)
        self._ends.log(execution, outcome, duration_ms=round((now_s - started_s) * 1000), **facts)
        self.queue.finish(execution.execution_id)
        self._ledger.change(last_active=self._project.stamp())
        self._go_on()
        self._project.runs_changed()

    @property
    def open_since_seq(self) -> int | None:
        """A number before the first record of every execution without a durable end."""
        return self._ends.open_since_seq


def _executor_link(
    project: messages.Ref, ledger: ProjectLog, settings: ProjectSettings, timers: Timers
) -> ExecutorLink:
    return ExecutorLink(
        project=project,
        project_id=ledger.meta.project_id,
        folder=ledger.meta.path,
        settings=settings.executor,
        timers=timers,
    )
