"""The Executor actor: one CLI process, its lines, its watchdog, and its one end."""

import logging
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from actors import messages
from actors.base import Actor
from actors.clock import Timer, Timers
from actors.executor import ending, family
from actors.executor.ending import EndReason, Ladder
from actors.executor.lines import RawLine
from actors.executor.process import AgentProcess, ProcessSpec
from actors.messages import Ref
from protocol import claude
from protocol.claude import AgentLine, SessionChoice, TurnEnd
from protocol.updates import Outcome

logger = logging.getLogger("claudehub.executor")

# What a process left behind is killed and looked at again, so often and so far apart.
SWEEPS_MAX = 40
SWEEP_PAUSE_S = 0.05
# After the process's end its pipe gets this long to end as well.
DRAIN_S = 1.0


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
    """One execution. `process` is replaced when the CLI has forgotten the session."""

    order: messages.StartRun
    session: SessionChoice
    watchdog: Timer | None = None
    process: AgentProcess | None = None
    turn_end: TurnEnd | None = None
    ladder: Ladder | None = None
    return_code: int | None = None
    output_ended: bool = False
    swept: bool = False
    sweeps: int = field(default=0)


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
        if self._run is not None and self._run.process is not None:
            self._run.process.kill_now()

    def receive(self, message: messages.ExecutorMessage) -> None:
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
        run = self._run = _Run(order=order, session=order.session)
        fired = messages._WatchdogFired(execution_id=order.execution_id)
        run.watchdog = self._timers.after(order.timeout_s, self.actor_ref, fired)
        self._spawn(run)

    def _spawn(self, run: _Run) -> None:
        settings, order = self._settings, run.order
        process_id = secrets.token_hex(8)
        arguments = claude.arguments(order.options, run.session, settings.permission_mode)
        spec = ProcessSpec(
            process_id=process_id,
            argv=[*settings.command, *arguments],
            folder=self._folder,
            environment=settings.environment,
            mark=family.mark_of(settings.data_id, process_id),
            max_line_bytes=settings.max_line_bytes,
        )
        try:
            run.process = AgentProcess(spec, self.actor_ref)
        except (OSError, ValueError) as error:
            self._end(run, Outcome.ERROR, f"The agent could not be started: {error}")
            return
        logger.info("%s: %s runs as pid %d", self, order.execution_id, run.process.pid)
        # A fresh uuid: the CLI drops a line whose uuid it has seen.
        run.process.write(claude.user_line(order.prompt, str(uuid.uuid4())))

    # -- output ------------------------------------------------------------------------------

    def _current(self, process_id: str) -> tuple[_Run, AgentProcess] | None:
        """The run that a process's message is about; None for one that came late."""
        run = self._run
        if run is None or run.process is None or run.process.process_id != process_id:
            return None
        return run, run.process

    def _on_output_read(self, message: messages._OutputRead) -> None:
        if (current := self._current(message.process_id)) is not None:
            self._pass_on(*current, message.lines, message.size_bytes)

    def _pass_on(
        self, run: _Run, process: AgentProcess, raw_lines: Sequence[RawLine], size_bytes: int
    ) -> None:
        passed = []
        for raw, true_size in raw_lines:
            line = self._parse(raw, true_size)
            if line is None:
                continue
            if line.control_request_id is not None:
                process.write(claude.refuse_control_line(line.control_request_id))
            if line.update_type is not None:
                passed.append(line)
            if line.turn_end is not None and run.turn_end is None:
                self._turn_over(run, process, line.turn_end)
        if passed:
            self._project.tell(
                messages.AgentOutput(
                    execution_id=run.order.execution_id,
                    lines=tuple(passed),
                    size_bytes=size_bytes,
                )
            )
        else:
            process.credit.give_back(size_bytes)

    def _parse(self, raw: bytes, true_size: int | None) -> AgentLine | None:
        if true_size is not None:
            return claude.text_line(raw, true_size)
        return claude.parse_line(raw, self._settings.max_line_bytes)

    def _on_output_stored(self, message: messages.OutputStored) -> None:
        run = self._run
        if run is None or run.process is None or run.order.execution_id != message.execution_id:
            return
        run.process.credit.give_back(message.size_bytes)

    def _turn_over(self, run: _Run, process: AgentProcess, turn_end: TurnEnd) -> None:
        """The process is asked to end; should it stay, the ladder makes it."""
        run.turn_end = turn_end
        process.write(claude.end_session_line(secrets.token_hex(8)))
        process.close_input()
        if run.ladder is None:
            run.ladder = Ladder(EndReason.LINGERS, ending.FIRST_RUNG)
            self._grace(run, process)

    # -- the ladder --------------------------------------------------------------------------

    def _on_watchdog_fired(self, message: messages._WatchdogFired) -> None:
        run = self._run
        if run is not None and run.order.execution_id == message.execution_id:
            self._begin(run, EndReason.TIMEOUT)

    def _on_kill_run(self, message: messages.KillRun) -> None:
        run = self._run
        if run is not None and run.order.execution_id == message.execution_id:
            self._begin(run, EndReason.KILLED)

    def _begin(self, run: _Run, reason: EndReason) -> None:
        ladder = ending.begin(run.ladder, reason)
        if ladder is None or run.process is None or run.return_code is not None:
            return
        run.ladder = ladder
        self._climb(run, run.process)

    def _climb(self, run: _Run, process: AgentProcess) -> None:
        assert run.ladder is not None
        number = run.ladder.signal_now()
        logger.info("%s: %s to pid %d", self, number.name, process.pid)
        process.signal(number)
        run.ladder = run.ladder.climbed()
        self._grace(run, process)

    def _grace(self, run: _Run, process: AgentProcess) -> None:
        assert run.ladder is not None
        due = messages._RungDue(process_id=process.process_id, rung=run.ladder.next_rung)
        self._timers.after(self._settings.kill_grace_s, self.actor_ref, due)

    def _on_rung_due(self, message: messages._RungDue) -> None:
        """A timer of an earlier rung is void: a kill may have climbed meanwhile."""
        if (current := self._current(message.process_id)) is None:
            return
        run, process = current
        if run.return_code is None and run.ladder and run.ladder.next_rung == message.rung:
            self._climb(run, process)

    # -- the end -----------------------------------------------------------------------------

    def _on_process_exited(self, message: messages._ProcessExited) -> None:
        if (current := self._current(message.process_id)) is not None:
            run, process = current
            run.return_code = message.return_code
            self._sweep(run, process)

    def _on_sweep_due(self, message: messages._SweepDue) -> None:
        if (current := self._current(message.process_id)) is not None:
            self._sweep(*current)

    def _sweep(self, run: _Run, process: AgentProcess) -> None:
        """Ends what the process left behind, before anything waits for the pipe: a grandchild may
        hold it open."""
        left = process.leftovers()
        if left and run.sweeps < SWEEPS_MAX:
            run.sweeps += 1
            family.kill(left)
            due = messages._SweepDue(process_id=process.process_id)
            self._timers.after(SWEEP_PAUSE_S, self.actor_ref, due)
            return
        if left:
            logger.error("%s: do not end: %s", self, [p.pid for p in left])
        run.swept = True
        if run.output_ended:
            self._finish(run, process)
        else:
            drain = messages._DrainDue(process_id=process.process_id)
            self._timers.after(DRAIN_S, self.actor_ref, drain)

    def _on_drain_due(self, message: messages._DrainDue) -> None:
        if (current := self._current(message.process_id)) is not None:
            current[1].stop_output()

    def _on_output_ended(self, message: messages._OutputEnded) -> None:
        if (current := self._current(message.process_id)) is None:
            return
        run, process = current
        if message.rest is not None:
            raw, true_size = message.rest
            line = claude.text_line(raw, true_size)
            self._project.tell(
                messages.AgentOutput(
                    execution_id=run.order.execution_id, lines=(line,), size_bytes=0
                )
            )
        run.output_ended = True
        if run.swept:
            self._finish(run, process)

    def _finish(self, run: _Run, process: AgentProcess) -> None:
        forgotten = run.turn_end is not None and run.turn_end.forgotten
        wanted = run.ladder is None or run.ladder.reason is EndReason.LINGERS
        if forgotten and run.session.resume is not None and wanted:
            self._run_afresh(run)
            return
        reason = run.ladder.reason if run.ladder is not None else None
        verdict = ending.judge(reason, run.turn_end, run.return_code, run.order.timeout_s)
        self._end(
            run,
            verdict.outcome,
            verdict.result,
            exit_code=verdict.exit_code,
            stderr=process.stderr_tail,
            cost_usd=verdict.cost_usd,
        )

    def _run_afresh(self, run: _Run) -> None:
        """The CLI no longer has the session: the same prompt in a new one, within the same
        time limit. `-c` would bring another conversation back."""
        forgotten = messages.SessionForgotten(execution_id=run.order.execution_id)
        self._project.tell(forgotten)
        fresh = _Run(order=run.order, session=SessionChoice(), watchdog=run.watchdog)
        self._run = fresh
        self._spawn(fresh)

    def _end(
        self,
        run: _Run,
        outcome: Outcome,
        result: str,
        *,
        exit_code: int | None = None,
        stderr: str = "",
        cost_usd: float | None = None,
    ) -> None:
        if run.watchdog is not None:
            run.watchdog.cancel()
        self._run = None
        self._project.tell(
            messages.RunEnded(
                execution_id=run.order.execution_id,
                outcome=outcome,
                result=result,
                exit_code=exit_code,
                stderr=stderr,
                cost_usd=cost_usd,
            )
        )
