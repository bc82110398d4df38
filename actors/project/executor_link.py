"""A Project's side of its Executor: started when it is first needed, and owed credit."""

from actors import messages
from actors.clock import Timers
from actors.executor.actor import Executor, ExecutorSettings
from actors.executor.credit import CREDIT_STEP_BYTES
from actors.mailbox import tell_if_alive
from actors.messages import Ref


class ExecutorLink:
    """For the Project's thread only."""

    def __init__(
        self,
        *,
        project: Ref,
        project_id: str,
        folder: str,
        settings: ExecutorSettings,
        timers: Timers,
    ) -> None:
        self._project = project
        self._project_id = project_id
        self._folder = folder
        self._settings = settings
        self._timers = timers
        self._executor: Ref | None = None
        self._execution_id = ""
        self._unstored_bytes = 0
        self._owed_bytes = 0

    def start(self, order: messages.StartRun) -> None:
        if self._executor is None:
            self._executor = Executor.start(
                project=self._project,
                project_id=self._project_id,
                folder=self._folder,
                settings=self._settings,
                timers=self._timers,
            )
        self._execution_id = order.execution_id
        self._unstored_bytes = self._owed_bytes = 0
        self._executor.tell(order)

    def kill(self, execution_id: str) -> None:
        if self._executor is not None:
            tell_if_alive(self._executor, messages.KillRun(execution_id=execution_id))

    def stop(self) -> None:
        if self._executor is not None:
            self._executor.stop(block=False)

    def is_child(self, ref: Ref) -> bool:
        return self._executor is not None and ref.actor_urn == self._executor.actor_urn

    def forget(self) -> None:
        """It has died."""
        self._executor = None

    def received(self, size_bytes: int) -> None:
        """Output has come, and is not yet durable."""
        self._unstored_bytes += size_bytes

    def return_credit(self) -> None:
        """What has come so far is durable: given back in steps, so that the executor is not
        woken for every line."""
        self._owed_bytes += self._unstored_bytes
        self._unstored_bytes = 0
        if self._owed_bytes >= CREDIT_STEP_BYTES and self._executor is not None:
            stored = messages.OutputStored(
                execution_id=self._execution_id, size_bytes=self._owed_bytes
            )
            self._owed_bytes = 0
            tell_if_alive(self._executor, stored)
