"""Which turn runs in which process: starting, preparing, finishing, keeping warm, letting go.

There is one process at a time, so two processes never work on one session.
"""

import uuid
from dataclasses import replace

from actors import messages
from actors.executor.permission_requests import PermissionRequests
from actors.executor.reports import Reports
from actors.executor.settings import ExecutorSettings
from actors.executor.starter import NO_OPTIONS, Starter
from actors.executor.states import IN_TURN, Event, State
from actors.executor.turn import EndReason, Turn, Verdict, run_ended
from actors.executor.worker import Worker
from actors.runtime.clock import Timer, Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol.claude import NO_RULES, AgentLine, ControlResponse, Phase, SessionChoice, TurnEnd
from protocol.updates import NOT_STARTED, Outcome

logger = get_logger("claudehub.executor")

# How long a `result` may come behind the line that says that the turn is over. It comes before that
# line (both versions, by up to 80 ms).
RESULT_GRACE_S = 1.0
NO_RESULT = "The agent's result could not be read; its line is in the log as it came."
_ABORTED = TurnEnd(is_error=True, text="", aborted=True)
_EVENTS = {
    EndReason.INTERRUPTED: Event.INTERRUPT,
    EndReason.TIMEOUT: Event.TIMEOUT,
    EndReason.KILLED: Event.KILL,
}


class Turns:
    """`worker` is the present process, `turn` what runs in it.

    A prompt is given back if the process must end first, or works on a turn of its own.
    """

    def __init__(
        self,
        *,
        owner: Ref,
        name: str,
        settings: ExecutorSettings,
        timers: Timers,
        starter: Starter,
        reports: Reports,
        permission_requests: PermissionRequests,
    ) -> None:
        self.worker: Worker | None = None
        self.turn: Turn | None = None
        self._owner = owner
        self._name = name
        self._settings = settings
        self._timers = timers
        self._starter = starter
        self._reports = reports
        self._permission_requests = permission_requests
        self._idle_timer: Timer | None = None

    def change(self, settings: ExecutorSettings) -> None:
        """Use these settings for what begins from now on."""
        self._settings = settings
        self._starter.change(settings)

    # -- orders ------------------------------------------------------------------------------

    def start(self, order: messages.StartRun) -> None:
        """Run a prompt now, or give it back: what holds for it may change while it waits."""
        self._starter.trusts = order.trusted
        worker = self.worker
        if self.turn is not None:
            assert self.turn.order is None, "a Project runs one prompt at a time"
            self._give_back(order)  # the CLI has just begun a turn of its own
        elif worker is None or self._fits(worker, order):
            self.turn = self._new_turn(order.execution_id, order, order.timeout_s, order.session)
            self._run(self.turn, order)
        else:
            worker.handle(Event.RELEASE)
            self._give_back(order, until_process_ends=True)

    def _give_back(self, order: messages.StartRun, *, until_process_ends: bool = False) -> None:
        returned = messages.RunReturned(
            execution_id=order.execution_id, until_process_ends=until_process_ends
        )
        self._reports.tell(returned)

    def warm_up(self, session: SessionChoice, *, trusted: bool) -> None:
        """Start a process before there is a prompt; do nothing if there is one."""
        self._starter.trusts = trusted
        if self.worker is not None or not self._settings.keeps_warm:
            return
        launch, wanted = self._starter.wanted(NO_OPTIONS)
        try:  # an earlier model is unknown here
            self.worker = self._starter.start(session, launch, wanted, model_named=True)
        except (OSError, ValueError) as error:
            logger.warning("no process could be started ahead", error=error)
        self.keep()

    def let_go(self, *, tasks_too: bool = False) -> None:
        worker = self.worker
        if worker is not None and self.turn is None and (tasks_too or not worker.has_tasks):
            worker.handle(Event.RELEASE)

    def end(self, execution_id: str, reason: EndReason, why: str = "") -> None:
        """End an execution; do nothing if another one, or none, runs. `why` is the sentence for a
        kill."""
        turn, worker = self.turn, self.worker
        if turn is not None and worker is not None and turn.execution_id == execution_id:
            turn.wish(reason, why)
            worker.handle(_EVENTS[reason])
            self.go_on()

    # -- what the CLI says -------------------------------------------------------------------

    def turn_of(self, worker: Worker, line: AgentLine) -> Turn | None:
        """Return the turn that a line belongs to; a turn that the CLI begins by itself begins
        here."""
        if line.phase is Phase.INIT and self._settings.background:
            self._begin_own_if_it_is(worker)
        turn = self.turn
        if turn is None or not turn.owns(line):
            return None
        if turn.end is not None:
            return turn if line.uuids else None  # the Project does not know its end yet
        turn.note(line)
        return turn

    def on_result(self, worker: Worker, turn: Turn | None, end: TurnEnd) -> None:
        cost_usd = worker.cost_of(end)
        if turn is None or turn.end is not None:
            return
        turn.cost_usd = cost_usd
        self._end_turn(worker, turn, end)
        if end.forgotten:  # the process ends by itself; if not, it is useless
            worker.handle(Event.KILL)
        self.go_on()

    def on_phase(self, turn: Turn, phase: Phase) -> None:
        """Give the `result` a moment if the CLI says in another way that the turn is over: its line
        may be damaged beyond reading, or another line may have cut it in two."""
        if phase is Phase.INIT:
            self._settings.cli.works()
        if phase is Phase.RUNNING:
            turn.is_running = True
        is_over = phase is Phase.OVER or (phase is Phase.IDLE and turn.is_running)
        if is_over and turn.end is None:
            due = messages._ResultDue(execution_id=turn.execution_id, uuid=turn.uuid)
            self._timers.after(RESULT_GRACE_S, self._owner, due)

    def on_result_due(self, message: messages._ResultDue) -> None:
        """End a turn whose result has not come, unless it has ended in another way."""
        turn, worker = self.turn, self.worker
        if turn is None or worker is None or turn.end is not None:
            return
        if (turn.execution_id, turn.uuid) == (message.execution_id, message.uuid):
            self._end_turn(worker, turn, TurnEnd(is_error=True, text=NO_RESULT))
            self.go_on()

    def on_response(self, worker: Worker, response: ControlResponse) -> None:
        """Handle the answer to a request of ours: of the preparation, or of an interrupt. The
        answer to an interrupt may come before the prompt was written, or take the prompt back
        before it began (then there is no result)."""
        refusal = worker.preparation.answered(response)
        turn = self.turn
        if turn is None or turn.end is not None:
            return
        cancelled = response.body.get("cancelled")
        is_taken_back = isinstance(cancelled, list) and turn.uuid in cancelled
        hears = (
            turn.is_preparing and worker.state is State.INTERRUPTING
        )  # nothing has begun that it could stop
        if is_taken_back or hears:
            self._end_turn(worker, turn, _ABORTED)
        elif turn.is_preparing and worker.state is State.RUNNING:
            if refusal is not None:
                self._end_turn(worker, turn, TurnEnd(is_error=True, text=refusal))
            elif worker.preparation.is_ready:
                self._hand_over(worker, turn)

    def _begin_own_if_it_is(self, worker: Worker) -> None:
        """Begin a turn of the CLI's own at an `init` for which no prompt was written."""
        turn = self.turn
        if turn is not None and turn.end is not None and worker.state is State.TIDYING:
            worker.cut_tidying()  # its end no longer waits for a look
            self._finish_idle(worker, turn)
        # While a prompt is being ended, the state is another: the turn must not run behind it.
        is_free = self.turn is None or self.turn.is_preparing
        if is_free and worker.state in (State.IDLE, State.RUNNING):
            self._begin_own(worker)

    def _begin_own(self, worker: Worker) -> None:
        """Begin a turn of the CLI's own. A prompt that was about to run is given back: a line that
        is written into a turn would become part of it."""
        before = self.turn
        if before is not None:
            before.watchdog.cancel()
            self._take_back(worker)
        execution_id = str(uuid.uuid4())
        self.turn = self._new_turn(execution_id, None, self._settings.timeout_s, SessionChoice())
        worker.handle(Event.PROMPT)
        began = messages.BackgroundBegan(execution_id=execution_id, session_id=worker.session_id)
        self._reports.tell(began)
        if before is not None and before.order is not None:
            self._give_back(before.order)  # behind the news of what it waits for
        self._reports.tell(messages.ProcessChanged(pid=worker.process.pid))

    # -- the course of a turn ----------------------------------------------------------------

    def go_on(self) -> None:
        """Do what is due: an end."""
        worker = self.worker
        if worker is not None and worker.is_over:
            self._on_over(worker)
        elif worker is not None and worker.state is State.IDLE and self.turn is not None:
            self._finish_idle(worker, self.turn)

    def _fits(self, worker: Worker, order: messages.StartRun) -> bool:
        ready = worker.state is State.IDLE and worker.is_in(order.session)
        return ready and self._starter.fits(worker, order.options)

    def _new_turn(
        self,
        execution_id: str,
        order: messages.StartRun | None,
        timeout_s: float,
        session: SessionChoice,
    ) -> Turn:
        fired = messages._WatchdogFired(execution_id=execution_id)
        watchdog = self._timers.after(timeout_s, self._owner, fired)
        return Turn(execution_id, order, timeout_s, watchdog, session)

    def _run(self, turn: Turn, order: messages.StartRun) -> None:
        """Run a turn in the present process, or in a new one."""
        launch, wanted = self._starter.wanted(order.options)
        worker = self.worker
        if worker is None:
            named = order.model_named
            try:
                worker = self._starter.start(turn.session, launch, wanted, model_named=named)
            except (OSError, ValueError) as error:
                text = f"{NOT_STARTED}{error}"
                logger.warning(
                    "an agent cannot be started", execution=turn.execution_id, error=error
                )
                self._settings.cli.doubt()
                self._finish(turn, Verdict(Outcome.ERROR, text), stderr="")
                self._reports.tell(messages.ProcessChanged(pid=None))
                return
            self.worker = worker
        worker.handle(Event.PROMPT)
        self._reports.tell(messages.ProcessChanged(pid=worker.process.pid))
        if worker.base_rules is not NO_RULES:
            wanted = replace(wanted, rules=worker.base_rules + wanted.rules)
        for line in worker.preparation.lines(wanted):
            worker.process.write(line)
        if worker.preparation.is_ready:
            self._hand_over(worker, turn)

    def _hand_over(self, worker: Worker, turn: Turn) -> None:
        """Give the CLI the prompt: now the execution has started."""
        turn.names_uuids = worker.names_uuids
        worker.process.write(turn.prompt_line())
        self._reports.tell(messages.RunBegan(execution_id=turn.execution_id))

    def _end_turn(self, worker: Worker, turn: Turn, end: TurnEnd) -> None:
        turn.end = end
        worker.names_uuids = turn.names_uuids
        if worker.state in IN_TURN and not end.forgotten:
            self._take_back(worker)
            worker.handle(Event.RESULT)

    def _take_back(self, worker: Worker) -> None:
        """Take back the settings of the prompt, and stop waiting for its requests."""
        worker.preparation.give_up()
        _, usual = self._starter.wanted(NO_OPTIONS)
        for line in worker.preparation.restore(replace(usual, rules=worker.base_rules)):
            worker.process.write(line)

    # -- ends --------------------------------------------------------------------------------

    def _finish_idle(self, worker: Worker, turn: Turn) -> None:
        """Finish a turn whose process lives on. If no process is kept, the turn ends with its
        process."""
        if not self._settings.keeps_warm and not worker.has_tasks:
            worker.handle(Event.RELEASE)
            return
        if worker.questions.waiting:
            self._permission_requests.end_turn(worker)
        self._finish(turn, turn.verdict(), worker.process.stderr_tail(has_ended=False))
        self.keep()

    def _on_over(self, worker: Worker) -> None:
        self.worker = None
        self._forget_idle_timer()
        turn = self.turn
        logger.debug("process ended", pid=worker.process.pid, code=worker.return_code)
        if turn is not None and self._may_run_again(worker, turn):
            self._permission_requests.end_process(worker)
            assert turn.order is not None
            self._run(turn, turn.order)
            return
        self._permission_requests.end_turn(worker)
        if turn is not None:
            stderr = worker.process.stderr_tail(has_ended=True)
            self._finish(turn, turn.verdict(worker.return_code), stderr)
        self._permission_requests.end_process(worker)
        self._reports.tell(messages.ProcessChanged(pid=None))

    def _may_run_again(self, worker: Worker, turn: Turn) -> bool:
        """Run the turn in another process if its session was forgotten, or if its process had died
        before, or could not start because it is another program than it was."""
        if turn.order is None:
            return False
        if turn.was_forgotten:
            # In a new session: `-c` would bring the old conversation back.
            self._reports.tell(messages.SessionForgotten(execution_id=turn.execution_id))
            self._permission_requests.forget()
            turn.begin_again(SessionChoice())
            return True
        if not turn.may_be_repeated:
            return False
        errors = worker.process.stderr_tail(has_ended=True)
        is_another_cli = self._settings.cli.ended_without_a_word(errors)
        if is_another_cli or worker.was_kept:
            why = "the CLI is another one" if is_another_cli else "the process had died before"
            logger.warning(
                "a prompt runs again, in a new process", execution=turn.execution_id, reason=why
            )
            turn.was_repeated = True
            turn.begin_again(turn.session)
            return True
        return False

    def _finish(self, turn: Turn, verdict: Verdict, stderr: str) -> None:
        turn.watchdog.cancel()
        self.turn = None
        self._reports.tell(run_ended(turn.execution_id, verdict, stderr))

    # -- between turns -----------------------------------------------------------------------

    def keep(self) -> None:
        """Announce a process that is idle now, and give it its time (WARM_IDLE).

        A process with background tasks is not idle. If no process is kept (WARM_SESSIONS=0), this
        is about one whose background work has ended: its last turn may still come.
        """
        worker, settings = self.worker, self._settings
        if worker is None or self.turn is not None:
            return
        worker.was_kept = True
        if worker.state is not State.IDLE or worker.has_tasks:
            return
        process = worker.process
        if settings.keeps_warm:
            size_bytes = process.memory_bytes()
            logger.debug("process kept", pid=process.pid, memory_bytes=size_bytes)
            self._reports.tell(
                messages.ProcessChanged(pid=process.pid, is_idle=True, memory_bytes=size_bytes)
            )
        idle_s = settings.warm_idle_s if settings.keeps_warm else settings.kill_grace_s
        due = messages._IdleDue(process_name=process.process_name, turns=worker.turns)
        self._forget_idle_timer()  # WARM_IDLE is long: the timers of all turns would pile up
        self._idle_timer = self._timers.after(idle_s, self._owner, due)

    def _forget_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def on_idle_due(self, message: messages._IdleDue) -> None:
        """Let the process go, unless the timer is from before a later turn."""
        worker = self.worker
        if worker is None or worker.process.process_name != message.process_name:
            return
        if worker.turns == message.turns:
            self.let_go()
