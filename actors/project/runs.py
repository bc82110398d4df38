"""A project's executions: from the prompt to the one execution_finished. The Executor does the
work."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from actors import messages
from actors.access.prompt_keys import PromptKeys
from actors.feed.feed import Feed
from actors.feed.open_records import Opens
from actors.feed.project_log import ProjectLog
from actors.messages.replies import ReplyTo
from actors.metrics.project_counts import ProjectCounts
from actors.ports import Caller
from actors.project.executor_link import ExecutorLink
from actors.project.permissions import Permissions
from actors.project.prompts import Prompts
from actors.project.run_queue import Execution, RunQueue
from actors.project.session import Session
from actors.project.settings import ProjectSettings
from actors.project.trust import Trust
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from protocol import requests
from protocol.errors import ErrorCode, HubFault, RequestRefused
from protocol.results import ExecutionResult, ProjectResult
from protocol.updates import (
    NOT_STARTED,
    ExecutionFinished,
    ExecutionStarted,
    Outcome,
    PermissionResolved,
    ProjectInfo,
    UpdateType,
)

Origin = Literal["prompt", "background"]

logger = get_logger("claudehub.project")

HUB = "hub"
# What has ended an execution, in the log, if it was no client.
STOP, REVOKED_KEY, GIVEN_UP = "stop", "revoked key", "failed executor"
# The results of executions that were killed.
KILLED = "Ended by agent_kill."
STOPPED = "Ended because the server was stopped."
DELETED = "Ended because the project was deleted."
REVOKED = "Ended because its key may no longer run it."
FAILED = "Ended because the project's executor failed too often."
# Ends that a kill has brought about, or that were on their way to the same.
_KILLED = (Outcome.KILLED, Outcome.CANCELLED, Outcome.INTERRUPTED)


class Runs:
    """For the Project's thread only. `describe` gives the `project` object of a reply.
    `is_draining` from `drain` on."""

    def __init__(
        self,
        *,
        log: ProjectLog,
        feed: Feed,
        settings: ProjectSettings,
        queue: RunQueue,
        permissions: Permissions,
        executor: ExecutorLink,
        keys: PromptKeys,
        clock: Clock,
        describe: Callable[[], ProjectInfo],
        trust: Trust,
        counts: ProjectCounts | None = None,
    ) -> None:
        self.queue = queue
        self._log = log
        self._feed = feed
        self._settings = settings
        self._permissions = permissions
        self._executor = executor
        self._keys = keys
        self._clock = clock
        self._describe = describe
        self._trust = trust
        self._counts = counts
        self.is_draining = False
        self._session = Session(log, feed, queue)
        self._prompts = Prompts(
            log=log, feed=feed, settings=settings, queue=queue, stored=self._go_on
        )

    def change(self, settings: ProjectSettings) -> None:
        """Use these settings for what begins from now on."""
        self._settings = settings
        self._prompts.change(settings)

    # -- requests ----------------------------------------------------------------------------

    def execute(self, reply_to: ReplyTo, caller: Caller, request: requests.Execute) -> None:
        """Take a prompt; it is answered, and runs, when it is durable. Raises WireError."""
        if self._executor.has_given_up:
            raise HubFault(ErrorCode.INTERNAL, "the project's executor failed too often")
        # The keys may have changed since the Client has let it through. Whatever is taken here is
        # looked at again by the LookAtKeys of a later change.
        self._keys.check(caller, request.options)
        self._prompts.execute(reply_to, caller, request)

    def kill(
        self, reply_to: ReplyTo, caller: Caller, request: requests.AgentKill, *, at_end: bool
    ) -> None:
        """Answer at once; `at_end`: when the end is durable. Raises WireError."""
        execution = self._meant(request.execution_id)
        killed = ExecutionResult(execution_id=execution.execution_id)

        def ended(outcome: Outcome) -> None:
            if outcome in _KILLED:
                reply_to.result(killed)
            else:  # it was faster
                reply_to.error(RequestRefused(ErrorCode.NOTHING_RUNNING, "it has just ended"))

        if at_end:
            execution.at_end.append(ended)
        self._end(execution, KILLED, caller.named)
        if not at_end:
            reply_to.result(killed)

    def interrupt(
        self, reply_to: ReplyTo, caller: Caller, request: requests.AgentInterrupt
    ) -> None:
        """Answer at once; the end comes as execution_finished. Raises WireError."""
        execution = self._meant(request.execution_id)
        if execution in self.queue.all_waiting:
            problem = "that execution waits in the queue; agent_kill removes it"
            raise RequestRefused(ErrorCode.NOTHING_RUNNING, problem)
        if execution.is_ordered:
            execution.is_to_end = True
            execution.interrupted_by = execution.interrupted_by or caller.named
            self._executor.interrupt(execution.execution_id)
        else:
            self._end(execution, KILLED, caller.named)
        reply_to.result(ExecutionResult(execution_id=execution.execution_id))

    def _meant(self, execution_id: str | None) -> Execution:
        active = self.queue.background or self.queue.running
        found = active if execution_id is None else self.queue.find(execution_id)
        if found is None:
            raise RequestRefused(ErrorCode.NOTHING_RUNNING, "no such execution runs or waits")
        return found

    def new_session(self, reply_to: ReplyTo) -> None:
        """Reset the session. Prompts that wait run in the new one: none starts before the reset is
        durable."""
        old = {"old_session_id": self._log.meta.session_id}

        def done() -> None:
            self._feed.save()
            self._executor.forget_permissions()
            self._executor.let_go()
            reply_to.result(ProjectResult(project=self._describe()), beside=old)
            self._go_on()

        def failed() -> None:
            reply_to.error(HubFault(ErrorCode.STORAGE_FAILED, "the log cannot be written"))
            self._go_on()

        self._session.reset(done=done, failed=failed)

    def warm_ahead(self) -> None:
        """Start a process: somebody has joined, so a prompt may come (WARM_AHEAD)."""
        if self.queue.is_idle and not self._executor.has_process and not self.is_draining:
            self._executor.warm_up(self._session.choice, trusted=self._trust.is_given)

    # -- the executor's messages -------------------------------------------------------------

    def _go_on(self) -> None:
        """Start the execution whose turn it is."""
        run = self.queue.ready()
        if run is None or self._session.is_changing or self.is_draining:
            return
        if self._keys.refusal(run.caller, run.options) is not None:
            self.look_at_keys()
            return
        session = self._session.choice
        order = messages.StartRun(
            execution_id=run.execution_id,
            content=run.prompt if run.prompt is not None else tuple(run.content or ()),
            options=run.options,
            session=session,
            timeout_s=run.options.timeout_seconds or self._settings.execution_timeout_s,
            model_named=self._session.model_named,
            trusted=self._trust.is_given,
        )
        self._session.began(run)
        run.is_ordered, run.session_id = True, session.resume
        try:
            self._executor.start(order)
        except OSError as error:
            text = f"{NOT_STARTED}{error}"
            self._finish(run, Outcome.ERROR, result=text)

    def on_began(self, message: messages.RunBegan) -> None:
        """Log the start: the CLI has the prompt. One that runs again had started before."""
        run = self.queue.at_work(message.execution_id)
        if run is not None and run.started_at_s is None:
            self._log_start(run)

    def on_returned(self, message: messages.RunReturned) -> None:
        """Take a prompt back that cannot run now. It is started again with what holds then."""
        run = self.queue.at_work(message.execution_id)
        if run is None or run.started_at_s is not None:
            return
        run.is_ordered, run.awaits_process = False, message.until_process_ends
        # The Executor did not have it any more when it was to end it; or nothing starts any more.
        if run.is_to_end or self.is_draining:
            self._finish(run, Outcome.CANCELLED)
        elif run is self.queue.blocked:
            self._prompts.log_queued(run)

    def on_process_gone(self) -> None:
        """Go on with a prompt that has waited for the end of a process."""
        if self.queue.running is not None:
            self.queue.running.awaits_process = False
        self._go_on()

    def _log_start(self, run: Execution, origin: Origin = "prompt") -> None:
        started = ExecutionStarted(
            execution_id=run.execution_id, session_id=run.session_id, origin=origin
        )
        self._feed.log(UpdateType.EXECUTION_STARTED, started, opens=Opens(run.execution_id))
        self.queue.start(run, self._clock.monotonic())
        logger.info("execution started", **run.ids, origin=origin)
        run.span = self._settings.tracer.begin(run.began(self._log.meta.project_id, origin))

    def on_background_began(self, message: messages.BackgroundBegan) -> None:
        """Begin an execution without a prompt: the CLI has begun a turn by itself.

        A prompt that the CLI does not have yet waits for its end.
        """
        execution = Execution(
            execution_id=message.execution_id,
            caller=Caller(HUB),
            is_stored=True,
            is_ordered=True,
            session_id=message.session_id,
            is_voided=self._session.is_of_another(message.session_id),
        )
        self.queue.background = execution
        self._log_start(execution, "background")
        blocked = self.queue.blocked
        if blocked is not None and blocked.is_stored and not blocked.is_ordered:
            self._prompts.log_queued(blocked)

    def on_output(self, message: messages.AgentOutput) -> None:
        """Log the lines. If one names a session, note what that changes."""
        lines, execution_id = message.lines, message.execution_id
        running = None if execution_id is None else self.queue.at_work(execution_id)
        if running is not None:
            running.span.take(lines)
        begin = 0
        for end, line in enumerate(lines, start=1):
            session_id = line.session_id
            if running is None or session_id is None:
                continue
            if self._session.is_news(running, session_id):
                self._feed.log_lines(lines[begin:end], execution_id)
                self._session.report(running, session_id)
                begin = end
        self._feed.log_lines(lines[begin:], execution_id)
        self._executor.received(message.process_name, message.size_bytes)

    def on_session_forgotten(self, message: messages.SessionForgotten) -> None:
        running = self.queue.at_work(message.execution_id)
        if running is not None:
            self._session.forgotten(running)

    def on_session_cleared(self, message: messages.SessionCleared) -> None:
        running = self.queue.at_work(message.execution_id)
        if running is not None:
            self._session.cleared(running, message.old_session_id)

    def on_ended(self, message: messages.RunEnded) -> None:
        self._executor.used_at_s = self._clock.monotonic()
        running = self.queue.at_work(message.execution_id)
        if running is None:
            logger.error(
                "the end of an execution that does not run", execution=message.execution_id
            )
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
        """End what ran: the danger is in the child, whose death fails one execution and no
        project."""
        self._executor.on_died()
        text = f"The executor failed: {message.reason}"
        for execution in self.queue.at_work_now:
            self._finish(execution, Outcome.ERROR, result=text)
        self._permissions.executor_died()
        if self._executor.has_given_up:
            self.end_all(FAILED, GIVEN_UP)
        else:
            self.on_process_gone()

    # -- ends --------------------------------------------------------------------------------

    def report_lost(self, left_open: Iterable[Opens]) -> None:
        """Log the ends of what the server's crash has cut off, or kept from starting."""
        for what in list(left_open):
            if what.is_question:
                resolved = PermissionResolved(
                    permission_id=what.id, decision="deny", by="execution_finished"
                )
                self._feed.log(
                    UpdateType.PERMISSION_RESOLVED,
                    resolved,
                    execution_id=what.execution_id,
                    closes=what.id,
                )
        for what in list(left_open):
            if not what.is_question:
                lost = ExecutionFinished(
                    execution_id=what.id,
                    outcome=Outcome.LOST,
                    session_id=self._log.meta.session_id,
                )
                logger.warning("execution finished", execution=what.id, outcome=Outcome.LOST)
                self._log_end(lost)

    def look_at_keys(self) -> None:
        """Cancel what waits by a key that may no longer run it, and kill what runs by such a key if
        REVOKE_KILLS is set."""
        self._keys.look_anew()
        waiting = self.queue.all_waiting
        for execution in self.queue.prompts:
            waits = execution in waiting or not execution.is_ordered
            if not waits and not self._settings.revoke_kills:
                continue
            reason = self._keys.refusal(execution.caller, execution.options)
            if reason is None:
                continue
            what = "cancelled" if waits else "killed"
            logger.warning(
                "an execution is ended, because its key is no longer valid",
                execution=execution.execution_id,
                user=execution.caller.named,
                outcome=what,
                reason=reason,
            )
            execution.killed_by = execution.killed_by or REVOKED_KEY
            if execution.is_ordered:
                execution.is_to_end = True
                self._executor.kill(execution.execution_id, REVOKED)
            else:
                self._close(execution, Outcome.CANCELLED)
        self._go_on()

    def drain(self) -> messages.ProjectDraining:
        """Start no more, and cancel what waits: the server stops. What runs goes on."""
        running = len(self.queue.at_work_now)
        waiting = [e for e in self.queue.prompts if not e.is_ordered]
        self.is_draining = True
        self._prompts.refuse()
        for execution in waiting:
            execution.killed_by = execution.killed_by or STOP
            self._finish(execution, Outcome.CANCELLED)
        self._executor.let_go()
        project_id, cancelled = self._log.meta.project_id, len(waiting)
        return messages.ProjectDraining(project_id=project_id, running=running, cancelled=cancelled)

    def end_all(self, why: str, by: str | None) -> None:
        """Start no more: cancel what waits, kill what runs, with `why` as its result, and let an
        idle process go."""
        for waiting in list(self.queue.waiting):
            self._end(waiting, why, by)
        for execution in (self.queue.running, self.queue.background):
            if execution is not None:
                self._end(execution, why, by)
        self._executor.let_go(tasks_too=True)

    def _end(self, execution: Execution, why: str, by: str | None) -> None:
        """Kill an execution; one that the Executor does not have never starts."""
        execution.killed_by = execution.killed_by or by
        if execution.is_ordered:
            execution.is_to_end = True
            self._executor.kill(execution.execution_id, why)
        else:
            self._finish(execution, Outcome.CANCELLED)

    def _finish(self, execution: Execution, outcome: Outcome, **facts: Any) -> None:
        """Log the one end, and go on with the next execution."""
        self._close(execution, outcome, **facts)
        self._go_on()

    def _close(self, execution: Execution, outcome: Outcome, **facts: Any) -> None:
        """Log the one end. An execution that the Executor had, and that was shown as started, has
        its start before its end, although the CLI never had its prompt."""
        if execution.started_at_s is None and execution.is_ordered:
            if execution is self.queue.blocked:
                outcome, facts = Outcome.CANCELLED, {}
            else:
                self._log_start(execution)
        now_s = self._clock.monotonic()
        started_s = now_s if execution.started_at_s is None else execution.started_at_s
        if self._permissions.pending or self._permissions.answered:
            self._permissions.execution_ends(execution)
        self.queue.finish(execution.execution_id)
        ended = ExecutionFinished(
            execution_id=execution.execution_id,
            outcome=outcome,
            session_id=execution.session_id,
            duration_ms=round((now_s - started_s) * 1000),
            **facts,
        )
        execution.has_ended(ended)
        self._log_end(ended, execution.at_end)
        self._log.change(last_active=self._feed.stamp())

    def _log_end(
        self, ended: ExecutionFinished, at_end: Sequence[Callable[[Outcome], object]] = ()
    ) -> None:
        """Log an end. Once it is durable the metadata no longer counts the execution as open, and
        `at_end` is called."""

        def stored() -> None:
            self._feed.save_soon()
            for callback in at_end:
                callback(ended.outcome)
            if self._counts is not None:
                self._counts.ended(ended)

        self._feed.log(
            UpdateType.EXECUTION_FINISHED, ended, closes=ended.execution_id, on_stored=stored
        )
