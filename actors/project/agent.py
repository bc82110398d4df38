"""The project's agent: what clients ask of it, and what its Executor says of it."""

from typing import assert_never

from actors import messages
from actors.messages import Ref
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.project.runs import Runs
from actors.runtime.clock import Clock
from protocol import requests


class Agent:
    """For the Project's thread only. `runs` has its executions."""

    def __init__(self, project_id: str, hub: Ref, runs: Runs, clock: Clock) -> None:
        self._project_id = project_id
        self._hub = hub
        self._runs = runs
        self._clock = clock
        self._used_at_s = 0.0

    def request(self, reply_to: ReplyTo, caller: Caller, body: requests.ToAgent) -> None:
        """Raises WireError."""
        match body:
            case requests.Execute():
                self._runs.execute(reply_to, caller, body)
            case requests.AgentInterrupt():
                self._runs.interrupt(reply_to, body)
            case requests.AgentKill():
                self._runs.kill(reply_to, body)
            case requests.AgentNewSession():
                self._runs.new_session(reply_to)
            case requests.PermissionAnswer():
                self._runs.permissions.answer(reply_to, caller, body)
            case _:
                assert_never(body)

    def receive(  # noqa: C901 - one case a message
        self, message: messages.AgentMessage, *, is_closing: bool
    ) -> None:
        match message:
            case messages.AgentOutput():
                self._runs.on_output(message)
                return  # by far the most of them: nothing below is about lines
            case messages.SessionForgotten():
                self._runs.on_session_forgotten(message)
            case messages.BackgroundBegan():
                self._runs.on_background_began(message)
            case messages.PermissionAsked():
                self._runs.permissions.asked(message)
            case messages.PermissionWithdrawn():
                self._runs.permissions.withdrawn(message.permission_id)
            case messages._PermissionExpired():
                self._runs.permissions.expired(message.permission_id)
            case messages.ProcessChanged():
                self._on_process_changed(message)
            case messages.LetProcessGo():
                self._runs.executor.let_go()
            case messages.RunEnded():
                self._used_at_s = self._clock.monotonic()
                self._runs.on_ended(message)
            case _:
                assert_never(message)
        if is_closing:
            self._runs.end_all()  # one may have begun by itself meanwhile
            self._runs.executor.let_go(tasks_too=True)

    def executor_died(self, message: messages.ActorDied) -> None:
        """And its process with it, if it was kept."""
        self._on_process_changed(messages.ProcessChanged(pid=None))
        self._runs.on_executor_died(message)

    def _on_process_changed(self, message: messages.ProcessChanged) -> None:
        """That a process is idle may be said long after its turn's end was shown, when another
        project has been used since: the end's time is what counts."""
        executor = self._runs.executor
        if not (message.is_idle and executor.has_process):
            self._used_at_s = self._clock.monotonic()
        executor.has_process = message.pid is not None
        self._hub.tell(
            messages.WarmProcess(
                project_id=self._project_id,
                pid=message.pid if message.is_idle else None,
                memory_bytes=message.memory_bytes,
                used_at_s=self._used_at_s,
            )
        )
