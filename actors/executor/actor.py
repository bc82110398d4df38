"""The Executor actor: one CLI process, its lines, its watchdog, and its one end."""

import logging
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from actors import messages
from actors.base import Actor
from actors.clock import Timer, Timers
from actors.executor import family
from actors.executor.ending import EndReason, Verdict, judge
from actors.executor.process import AgentProcess, ProcessSpec
from actors.executor.reaper import Reaper
from actors.messages import Ref
from protocol import claude
from protocol.claude import AgentLine, SessionChoice, TurnEnd
from protocol.updates import Outcome

logger = logging.getLogger("claudehub.executor")


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """`command` is CLAUDE_CMD, split; `permission_mode` is PERMISSION_MODE."""

    command: Sequence[str]
    environment: Mapping[str, str]
    data_id: str
    permission_mode: str
    kill_grace_s: float
    max_line_bytes: int


@dataclass(slots=True)
class _Run:
    """One execution, with its process; both are replaced when the CLI has forgotten the session."""

    order: messages.StartRun
    session: SessionChoice
    watchdog: Timer
    process: AgentProcess
    reaper: Reaper
    turn_end: TurnEnd | None = None


class Executor(Actor):
    """Child of a Project, which has it run one execution at a time."""

    def __init__(
        self,
        *,
        project: Ref,
        project_id: str,
        folder: str,
        settings: ExecutorSettings,
        timers: Timers,
    ) -> None:
        super().__init__(parent=project, name=f"executor {project_id}")
        self._project = project
        self._folder = folder
        self._settings = settings
        self._timers = timers
        self._run: _Run | None = None

    def release(self) -> None:
        if self._run is not None:
            self._run.process.kill_now()

    def receive(self, message: messages.ExecutorMessage) -> None:  # noqa: C901 - one case a message
        match message:
            case messages.StartRun():
                self._on_start_run(message)
            case messages.KillRun():
                self._on_kill_run(message)
            case messages.OutputStored():
                self._on_output_stored(message)
            case messages._OutputRead():
                self._on_output_read(message)
            case messages._OutputEnded():
                self._on_output_ended(message)
            case messages._ProcessExited():
                self._on_process_exited(message)
            case messages._WatchdogFired():
                self._on_watchdog_fired(message)
            case messages._RungDue():
                self._on_rung_due(message)
            case messages._DrainDue():
                self._on_drain_due(message)
            case messages._SweepDue():
                self._on_sweep_due(message)
            case _:
                assert_never(message)

    # -- start -------------------------------------------------------------------------------

    def _on_start_run(self, order: messages.StartRun) -> None:
        assert self._run is None, "a Project runs one execution at a time"
        fired = messages._WatchdogFired(execution_id=order.execution_id)
        watchdog = self._timers.after(order.timeout_s, self.actor_ref, fired)
        self._spawn(order, order.session, watchdog)

    def _spawn(self, order: messages.StartRun, session: SessionChoice, watchdog: Timer) -> None:
        settings = self._settings
        process_id = secrets.token_hex(8)
        arguments = claude.arguments(order.options, session, settings.permission_mode)
        spec = ProcessSpec(
            process_id=process_id,
            argv=[*settings.command, *arguments],
            folder=self._folder,
            environment=settings.environment,
            mark=family.mark_of(settings.data_id, process_id),
            max_line_bytes=settings.max_line_bytes,
        )
        try:
            process = AgentProcess(spec, self.actor_ref)
        except (OSError, ValueError) as error:
            watchdog.cancel()
            text = f"The agent could not be started: {error}"
            verdict = Verdict(Outcome.ERROR, text, exit_code=None, cost_usd=None)
            self._report_end(order.execution_id, verdict, stderr="")
            return
        reaper = Reaper(
            process,
            owner=self.actor_ref,
            timers=self._timers,
            kill_grace_s=settings.kill_grace_s,
        )
        self._run = _Run(order, session, watchdog, process, reaper)
        logger.info("%s: %s runs as pid %d", self, order.execution_id, process.pid)
        if session.reset_model:
            process.write(claude.default_model_line(secrets.token_hex(8)))
        # A fresh uuid: the CLI drops a line whose uuid it has seen.
        process.write(claude.user_line(order.prompt, str(uuid.uuid4())))

    def _of_process(self, process_id: str) -> _Run | None:
        """The run that a process's message is about; None for one that came late."""
        run = self._run
        return run if run is not None and run.process.process_id == process_id else None

    def _of_execution(self, execution_id: str) -> _Run | None:
        run = self._run
        return run if run is not None and run.order.execution_id == execution_id else None

    # -- output ------------------------------------------------------------------------------

    def _on_output_read(self, message: messages._OutputRead) -> None:
        if (run := self._of_process(message.process_id)) is None:
            return
        lines = [self._parse(raw, true_size) for raw, true_size in message.lines]
        passed = tuple(line for line in lines if line and self._heed(run, line))
        if passed:
            self._pass_on(run, passed, message.size_bytes)
        else:
            run.process.credit.give_back(message.size_bytes)

    def _heed(self, run: _Run, line: AgentLine) -> bool:
        """Does what a line asks of the hub; whether it is passed on."""
        if line.control_request_id is not None:
            run.process.write(claude.refuse_control_line(line.control_request_id))
        if line.turn_end is not None and run.turn_end is None:
            run.turn_end = line.turn_end
            # Whoever wipes its environment and is left behind is found only now.
            run.process.note_descendants()
            run.process.write(claude.end_session_line(secrets.token_hex(8)))
            run.process.close_input()
            run.reaper.expect_exit()
        return line.update_type is not None

    def _pass_on(self, run: _Run, lines: tuple[AgentLine, ...], size_bytes: int) -> None:
        self._project.tell(
            messages.AgentOutput(
                execution_id=run.order.execution_id, lines=lines, size_bytes=size_bytes
            )
        )

    def _parse(self, raw: bytes, true_size: int | None) -> AgentLine | None:
        if true_size is not None:
            return claude.text_line(raw, true_size)
        return claude.parse_line(raw, self._settings.max_line_bytes)

    def _on_output_stored(self, message: messages.OutputStored) -> None:
        if (run := self._of_execution(message.execution_id)) is not None:
            run.process.credit.give_back(message.size_bytes)

    # -- the end -----------------------------------------------------------------------------

    def _on_watchdog_fired(self, message: messages._WatchdogFired) -> None:
        if (run := self._of_execution(message.execution_id)) is not None:
            run.reaper.begin(EndReason.TIMEOUT)

    def _on_kill_run(self, message: messages.KillRun) -> None:
        if (run := self._of_execution(message.execution_id)) is not None:
            run.reaper.begin(EndReason.KILLED)

    def _on_rung_due(self, message: messages._RungDue) -> None:
        if (run := self._of_process(message.process_id)) is not None:
            run.reaper.on_rung_due(message.rung)

    def _on_process_exited(self, message: messages._ProcessExited) -> None:
        if (run := self._of_process(message.process_id)) is not None:
            run.reaper.on_exited(message.return_code)
            self._finish_if_over(run)

    def _on_sweep_due(self, message: messages._SweepDue) -> None:
        if (run := self._of_process(message.process_id)) is not None:
            run.reaper.sweep()
            self._finish_if_over(run)

    def _on_drain_due(self, message: messages._DrainDue) -> None:
        if (run := self._of_process(message.process_id)) is not None:
            run.reaper.on_drain_due()

    def _on_output_ended(self, message: messages._OutputEnded) -> None:
        if (run := self._of_process(message.process_id)) is None:
            return
        if message.rest is not None:
            self._pass_on(run, (claude.text_line(*message.rest),), 0)
        run.reaper.on_output_ended()
        self._finish_if_over(run)

    def _finish_if_over(self, run: _Run) -> None:
        if not run.reaper.is_over:
            return
        self._run = None
        if self._was_forgotten(run):
            # The same prompt in a new session, within the same time limit; `-c` would bring
            # another conversation back.
            self._project.tell(messages.SessionForgotten(execution_id=run.order.execution_id))
            self._spawn(run.order, SessionChoice(), run.watchdog)
            return
        run.watchdog.cancel()
        verdict = judge(
            run.reaper.reason, run.turn_end, run.reaper.return_code, run.order.timeout_s
        )
        self._report_end(run.order.execution_id, verdict, run.process.stderr_tail)

    def _was_forgotten(self, run: _Run) -> bool:
        """Whether the CLI did not know the session, and nobody wanted the execution to end."""
        unwanted = run.reaper.reason in (EndReason.KILLED, EndReason.TIMEOUT)
        resumed = run.session.resume is not None
        return resumed and not unwanted and run.turn_end is not None and run.turn_end.forgotten

    def _report_end(self, execution_id: str, verdict: Verdict, stderr: str) -> None:
        self._project.tell(
            messages.RunEnded(
                execution_id=execution_id,
                outcome=verdict.outcome,
                result=verdict.result,
                exit_code=verdict.exit_code,
                stderr=stderr,
                cost_usd=verdict.cost_usd,
            )
        )
