"""A Project's side of its Executor: started when it is first needed, and owed credit."""

from typing import Any

from actors import messages
from actors.executor.actor import Executor
from actors.executor.credit import CREDIT_STEP_BYTES
from actors.executor.settings import ExecutorSettings
from actors.messages import Ref
from actors.runtime.clock import Timers
from actors.runtime.mailbox import tell_if_alive
from protocol.claude import SessionChoice


class ExecutorLink:
    """For the Project's thread only. `has_process`: as far as it has said."""

    def __init__(
        self,
        *,
        project: Ref,
        project_id: str,
        folder: str,
        settings: ExecutorSettings,
        timers: Timers,
    ) -> None:
        self.has_process = False
        self._project = project
        self._project_id = project_id
        self._folder = folder
        self._settings = settings
        self._timers = timers
        self._executor: Ref | None = None
        self._process_name = ""
        self._unstored_bytes = 0
        self._owed_bytes = 0

    def start(self, order: messages.StartRun) -> None:
        """Where it has just died, its parent will be told, and ends the execution."""
        tell_if_alive(self._started(), order)

    def warm_up(self, session: SessionChoice) -> None:
        tell_if_alive(self._started(), messages.WarmUp(session=session))

    def _started(self) -> Ref:
        if self._executor is None:
            self._executor = Executor.start(
                project=self._project,
                project_id=self._project_id,
                folder=self._folder,
                settings=self._settings,
                timers=self._timers,
            )
        return self._executor

    def kill(self, execution_id: str) -> None:
        self._tell(messages.KillRun(execution_id=execution_id))

    def interrupt(self, execution_id: str) -> None:
        self._tell(messages.InterruptRun(execution_id=execution_id))

    def answer(self, answer: messages.AnswerPermission) -> None:
        self._tell(answer)

    def let_go(self, *, tasks_too: bool = False) -> None:
        """A process that is idle."""
        self._tell(messages.LetGo(tasks_too=tasks_too))

    def forget_permissions(self) -> None:
        self._tell(messages.ForgetPermissions())

    def _tell(self, message: Any) -> None:
        if self._executor is not None:
            tell_if_alive(self._executor, message)

    def stop(self) -> None:
        if self._executor is not None:
            self._executor.stop(block=False)

    def is_child(self, ref: Ref) -> bool:
        return self._executor is not None and ref.actor_urn == self._executor.actor_urn

    def forget(self) -> None:
        """It has died, and its process with it."""
        self._executor, self.has_process = None, False

    def received(self, process_name: str, size_bytes: int) -> None:
        """Output has come, and is not yet durable."""
        if process_name != self._process_name:  # nothing is owed to one that is gone
            self._process_name = process_name
            self._unstored_bytes = self._owed_bytes = 0
        self._unstored_bytes += size_bytes

    def return_credit(self) -> None:
        """What has come so far is durable: given back in steps, so that the executor is not
        woken for every line."""
        self._owed_bytes += self._unstored_bytes
        self._unstored_bytes = 0
        if self._owed_bytes >= CREDIT_STEP_BYTES:
            stored = messages.OutputStored(
                process_name=self._process_name, size_bytes=self._owed_bytes
            )
            self._owed_bytes = 0
            self._tell(stored)
