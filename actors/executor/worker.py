"""One CLI process from its start to the end of its last descendant: carries out the table of
states.py.

Its timers tell the Executor, which hands them back.
"""

import secrets
import signal
from typing import Any

from actors import messages
from actors.executor.preparation import Preparation
from actors.executor.process import AgentProcess
from actors.executor.questions import Questions, Remembered
from actors.executor.states import LIMITED, TABLE, Action, Event, State
from actors.process_tree import ends
from actors.process_tree.ends import Ending
from actors.process_tree.tree import Look
from actors.runtime.clock import Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol.claude import (
    AgentLine,
    LaunchSettings,
    Phase,
    SessionChoice,
    TurnEnd,
    end_session_line,
    interrupt_line,
)

logger = get_logger("claudehub.executor")

# What a process may say between two prompts. The CLI says a few lines there, and more while it
# works in the background. A process that goes beyond is ended.
OUTSIDE_BYTES_MAX = 256 * 1024
OUTSIDE_WITH_TASKS_BYTES_MAX = 64 * 1024 * 1024
# After an interrupt the CLI sends its children SIGTERM, and SIGKILL 1.5 s later (both versions).
CLI_CLEANS_S = 2.0
# After the end of the process its pipe gets this long to end, too, and the other way round.
DRAIN_S = 1.0
_SIGNALS = {
    Action.SIGINT: signal.SIGINT,
    Action.SIGTERM: signal.SIGTERM,
    Action.SIGKILL: signal.SIGKILL,
}


class Worker:
    """`state` is the state of the process; `is_over` once it, its descendants and its output are
    gone.

    `session_id` is the newest session that it has named; `turns` counts the turns that it has
    begun. `was_kept`: it may have died before a prompt that it gets. `names_uuids`: it says which
    prompt a `result` is for. `hides_states`: it speaks of its state to the hub alone. `is_spent`:
    it gets no more prompts. `remembered` is what users have allowed in its session; it got
    `base_rules` of that at its start.
    """

    def __init__(
        self,
        process: AgentProcess,
        *,
        owner: Ref,
        timers: Timers,
        kill_grace_s: float,
        session: SessionChoice,
        launch: LaunchSettings,
        preparation: Preparation,
        remembered: Remembered,
        background: bool,
    ) -> None:
        self.process = process
        self.launch = launch
        self.preparation = preparation
        self.remembered = remembered
        self.base_rules = remembered.rules
        self.questions = Questions()
        self.state = State.IDLE
        self.session_id: str | None = None
        self.return_code: int | None = None
        self.turns = 0
        self.was_kept = self.is_spent = False
        self.names_uuids = self.hides_states = False
        self._owner = owner
        self._timers = timers
        self._kill_grace_s = kill_grace_s
        self._session = session
        self._changes = 0
        self._ending = Ending()
        self._output_ended = False
        self._background = background
        self._tasks: set[str] = set()
        self._names_all_tasks = False
        self._total_cost_usd = 0.0
        self._outside_bytes = 0
        self._has_named = self._is_reset = False

    # -- facts -------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        return self.state is State.GONE and self._output_ended

    @property
    def has_tasks(self) -> bool:
        """Return True while background work goes on in it. If that is switched off there is none,
        whatever the CLI says: what a turn has begun ends with it."""
        return self._background and bool(self._tasks)

    @property
    def present_session(self) -> str | None:
        """Return the session that it is in, or was started for; None if nobody has named it."""
        return self.session_id or self._session.resume

    def is_in(self, session: SessionChoice) -> bool:
        """Return True if a prompt of that session may run here."""
        if self.is_spent:
            return False
        if self.session_id is None:
            return session == self._session
        return session.resume == self.session_id

    def has_left(self, before: str | None, *, clears: bool) -> bool:
        """Return True if `/clear` has just begun another session than `before`.

        The first session that a process names may be another one than it was to resume, in the same
        conversation: with `--fork-session`, and in versions that fork by themselves. That is no
        `/clear`, unless the CLI says so, or the prompt was one (`clears`; 2.1.197 says nothing).
        """
        if before in (None, self.session_id):
            return False
        was_reset, self._is_reset = self._is_reset, False
        return self._has_named or was_reset or clears

    def note(self, line: AgentLine) -> None:
        """Note the facts in a line that concern the process."""
        if line.phase is Phase.RESET:
            self._is_reset = True
        if line.session_id is not None:
            self._has_named = self.session_id is not None
            self.session_id = line.session_id
        if line.mode is not None:
            self.preparation.note_mode(line.mode)
        if (news := line.tasks) is None:
            return
        if news.running is not None:
            self._names_all_tasks = True
            self._tasks = set(news.running)
        elif not self._names_all_tasks:
            self._tasks |= {news.started} if news.started is not None else set()
            self._tasks -= {news.ended} if news.ended is not None else set()

    def cost_of(self, end: TurnEnd) -> float | None:
        """Return what the turn has cost: what the CLI says since its last result, else the
        difference of its running total (which a process of 2.1.197 begins at 0, and `/clear`
        resets)."""
        before, total = self._total_cost_usd, end.total_cost_usd
        if total is not None:
            self._total_cost_usd = total
        if end.cost_usd is not None or total is None:
            return end.cost_usd
        return max(0.0, total - before)

    # -- the table ---------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Take one row of the table; an event without a row changes nothing."""
        taken = TABLE.get((self.state, event))
        if taken is None:
            return
        before, self.state = self.state, taken.state
        self._changes += 1
        if event is Event.PROMPT:
            self.turns += 1
            self._outside_bytes = 0
            if self.turns > 1:  # its words at the start belong to its first turn
                self.process.begin_errors()
        if self.state in (State.TIDYING, State.SWEEPING):
            self._ending = Ending(CLI_CLEANS_S if before is State.INTERRUPTING else 0.0)
        self._act(taken.action)
        if self.state in LIMITED:
            due = messages._RungDue(process_name=self.process.process_name, change=self._changes)
            self._later(self._kill_grace_s, due)

    def may_say(self, size_bytes: int) -> bool:
        """Count output outside of a turn, as the reader counts it. Return False for more than a
        little: the process is ended then, and the output is dropped."""
        before, self._outside_bytes = self._outside_bytes, self._outside_bytes + size_bytes
        most = OUTSIDE_WITH_TASKS_BYTES_MAX if self.has_tasks else OUTSIDE_BYTES_MAX
        if self._outside_bytes > most >= before:
            self.end_out_of_turn(f"it has written {self._outside_bytes} bytes outside of a turn")
        return self._outside_bytes <= most

    def end_out_of_turn(self, why: str) -> None:
        """End a process that acts although no turn runs."""
        logger.warning("a process of an agent is ended", pid=self.process.pid, reason=why)
        self.handle(Event.OUT_OF_TURN)

    def on_rung_due(self, change: int) -> None:
        """Handle a timer, unless it belongs to an earlier state: a kill may have overtaken it."""
        if change == self._changes:
            self.handle(Event.GRACE)

    def _act(self, action: Action) -> None:
        if action is Action.ASK_TO_INTERRUPT:
            self.process.write(interrupt_line(secrets.token_hex(8)))
        elif action is Action.ASK_TO_END:
            self.process.write(end_session_line(secrets.token_hex(8)))
            self.process.close_input()
        elif action is Action.TIDY:
            self.tidy()
        elif action is Action.SWEEP:
            self.sweep()
        elif action in _SIGNALS:
            number = _SIGNALS[action]
            logger.debug("signal sent", signal=number.name, pid=self.process.pid)
            self.process.signal(number)

    # -- what is left ------------------------------------------------------------------------

    def tidy(self) -> None:
        """End what a turn has left behind, while the process stays with its helpers. While
        background work goes on, the two cannot be told apart."""
        look = Look() if self.has_tasks else self.process.left_by_turn()
        if not self._looks_again(look):
            self.process.settle_turn()
            self.handle(Event.CLEAN)

    def cut_tidying(self) -> None:
        """End at once what a turn has left behind: the CLI begins a turn of its own."""
        if not self.has_tasks:
            ends.kill(self.process.left_by_turn().found)
        self.handle(Event.CLEAN)

    def sweep(self) -> None:
        """End what the process has left behind, before anything waits for the pipe: a grandchild
        may hold it open."""
        if not self._looks_again(self.process.leftovers()):
            self.handle(Event.SWEPT)
            if not self._output_ended:
                self._later(DRAIN_S, messages._DrainDue(process_name=self.process.process_name))

    def _looks_again(self, look: Look) -> bool:
        """Signal what is left; return True if a timer will look once more."""
        again = self._ending.go_on(look)
        if again:
            name, change = self.process.process_name, self._changes
            due = messages._SweepDue(process_name=name, change=change)
            self._later(ends.LOOK_PAUSE_S, due)
        return again

    def on_sweep_due(self, change: int) -> None:
        """Handle a timer, unless it belongs to an earlier state: two would halve the time between
        SIGTERM and SIGKILL."""
        if change != self._changes:
            return
        if self.state is State.TIDYING:
            self.tidy()
        elif self.state is State.SWEEPING:
            self.sweep()

    def on_exited(self, return_code: int) -> None:
        self.return_code = return_code
        self.handle(Event.EXIT)

    def on_drain_due(self) -> None:
        if not self._output_ended:
            self.process.stop_output()
        else:  # it lives on and will never report an end
            self.handle(Event.RELEASE if self.state is State.IDLE else Event.KILL)

    def on_output_ended(self) -> None:
        self._output_ended = True
        if self.return_code is None:
            self.is_spent = True
            self._later(DRAIN_S, messages._DrainDue(process_name=self.process.process_name))

    def _later(self, delay_s: float, message: Any) -> None:
        self._timers.after(delay_s, self._owner, message)
