"""A Project's side of its Executor: it starts it, gives it credit, and handles its death."""

import threading
from typing import Any

from actors import messages
from actors.executor.actor import Executor
from actors.executor.output import CREDIT_STEP_BYTES
from actors.executor.settings import ExecutorSettings
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from actors.runtime.restarts import RestartIntensity
from protocol.claude import SessionChoice

logger = get_logger("claudehub.project")

# An Executor that has died too often is left alone for so long.
GIVEN_UP_S = 60.0
# An Executor that stops kills its process first, and then ends what that has left.
STOPPED_WAIT_S = 5.0


class ExecutorLink:
    """For the Project's thread only.

    `has_process`: the Executor has said last that it has one. `has_given_up`: it has died too often
    and is not started again before `try_again`. `used_at_s` is when the process was last in use, a
    monotonic time.
    """

    def __init__(
        self,
        *,
        project: Ref,
        hub: Ref,
        project_id: str,
        folder: str,
        settings: ExecutorSettings,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self.has_process = False
        self.has_given_up = False
        self.used_at_s = 0.0
        self._project = project
        self._hub = hub
        self._project_id = project_id
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._restarts = RestartIntensity("Executor")
        self._executor: Ref | None = None
        self._gone = threading.Event()
        self._process_name = ""
        self._unstored_bytes = 0
        self._owed_bytes = 0

    # -- orders ------------------------------------------------------------------------------

    def start(self, order: messages.StartRun) -> None:
        """Start a prompt. If the Executor has just died, the notice of its death is on its way, and
        ends the execution. Raises OSError if there is no thread for an Executor."""
        tell_if_alive(self._started(), order)

    def warm_up(self, session: SessionChoice, *, trusted: bool) -> None:
        try:
            executor = self._started()
        except OSError as error:  # the first prompt tries again
            logger.warning("no process could be started ahead", error=error)
            return
        tell_if_alive(executor, messages.WarmUp(session=session, trusted=trusted))

    def _started(self) -> Ref:
        if self._executor is None:
            gone = threading.Event()
            self._executor = Executor.start(
                project=self._project,
                project_id=self._project_id,
                folder=self._folder,
                settings=self._settings,
                timers=self._timers,
                gone=gone,
            )
            self._gone = gone
        return self._executor

    def change(self, change: messages.ChangeSettings) -> None:
        """Use changed settings, also for an Executor that runs."""
        self._settings = self._settings.changed(change)
        self._tell(change)

    def kill(self, execution_id: str, why: str) -> None:
        self._tell(messages.KillRun(execution_id=execution_id, why=why))

    def interrupt(self, execution_id: str) -> None:
        self._tell(messages.InterruptRun(execution_id=execution_id))

    def answer(self, answer: messages.AnswerPermission) -> None:
        self._tell(answer)

    def let_go(self, *, tasks_too: bool = False) -> None:
        """End a process that is idle."""
        self._tell(messages.LetGo(tasks_too=tasks_too))

    def forget_permissions(self) -> None:
        self._tell(messages.ForgetPermissions())

    def _tell(self, message: Any) -> None:
        if self._executor is not None:
            tell_if_alive(self._executor, message)

    def stop(self) -> None:
        if self._executor is not None:
            self._executor.stop(block=False)

    def wait_until_stopped(self) -> None:
        """Wait until the process is gone, for a bounded time: the Project has failed, and the next
        one in this folder must not start another process beside it."""
        if self._executor is not None:
            # pykka calls an actor stopped before its release, which kills the process.
            self._gone.wait(STOPPED_WAIT_S)

    # -- what it says ------------------------------------------------------------------------

    def on_process_changed(self, message: messages.ProcessChanged) -> None:
        """Tell the Hub which process is kept, if any, and since when.

        The Executor may report an idle process long after its turn's end was shown, when another
        project has been used since. The time of the end counts.
        """
        if not (message.is_idle and self.has_process):
            self.used_at_s = self._clock.monotonic()
        self.has_process = message.pid is not None
        self._hub.tell(
            messages.WarmProcess(
                project_id=self._project_id,
                pid=message.pid if message.is_idle else None,
                memory_bytes=message.memory_bytes,
                used_at_s=self.used_at_s,
            )
        )

    def is_child(self, ref: Ref) -> bool:
        return self._executor is not None and ref.actor_urn == self._executor.actor_urn

    def on_died(self) -> None:
        """Note that the Executor has died, and its process with it."""
        self.on_process_changed(messages.ProcessChanged(pid=None))
        self._executor = None
        if not self._restarts.may_restart(self._clock.monotonic()):
            self.has_given_up = True
            self._timers.after(GIVEN_UP_S, self._project, messages._ExecutorDue())

    def try_again(self) -> None:
        """Take executions again: what made the Executor fail may be over."""
        self.has_given_up = False

    # -- credit ------------------------------------------------------------------------------

    def received(self, process_name: str, size_bytes: int) -> None:
        """Note output that has come and is not durable yet."""
        if process_name != self._process_name:  # nothing is owed to a process that is gone
            self._process_name = process_name
            self._unstored_bytes = self._owed_bytes = 0
        self._unstored_bytes += size_bytes

    def return_credit(self) -> None:
        """Give the credit for all output so far back: it is durable.

        It goes in steps, so that the Executor does not wake for every line.
        """
        self._owed_bytes += self._unstored_bytes
        self._unstored_bytes = 0
        if self._owed_bytes >= CREDIT_STEP_BYTES:
            stored = messages.OutputStored(
                process_name=self._process_name, size_bytes=self._owed_bytes
            )
            self._owed_bytes = 0
            self._tell(stored)
