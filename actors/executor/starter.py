"""Start a CLI process for a session and for what a prompt asks."""

import logging
import secrets
from dataclasses import replace

from actors.executor.permission_requests import PermissionRequests
from actors.executor.preparation import Preparation
from actors.executor.process import AgentProcess, ProcessSpec, identity
from actors.executor.settings import ExecutorSettings
from actors.executor.worker import Worker
from actors.process_tree import tree
from actors.runtime.clock import Timers
from actors.runtime.refs import Ref
from protocol import claude
from protocol.claude import NO_RULES, LaunchSettings, SessionChoice, TurnSettings
from protocol.requests import Options

logger = logging.getLogger("claudehub.executor")

NO_OPTIONS = Options()


class Starter:
    """For one project's folder; `permission_requests` knows what its users have allowed."""

    def __init__(
        self,
        *,
        owner: Ref,
        name: str,
        folder: str,
        settings: ExecutorSettings,
        timers: Timers,
        permission_requests: PermissionRequests,
    ) -> None:
        self._owner = owner
        self._name = name
        self._folder = folder
        self._settings = settings
        self._timers = timers
        self._permission_requests = permission_requests
        self._usual = claude.settings_of(NO_OPTIONS, settings.permission_mode)

    def wanted(self, options: Options) -> tuple[LaunchSettings, TurnSettings]:
        """Return what a prompt asks of its process: most ask for nothing."""
        mode = self._permission_requests.remembered.mode
        if mode is None and options == NO_OPTIONS:
            return self._usual
        return claude.settings_of(options, self._settings.permission_mode, mode)

    def fits(self, worker: Worker, options: Options) -> bool:
        """Return True if the present process can run such a prompt: it was started as it must be,
        and all folders are still the same."""
        launch, wanted = self.wanted(options)
        if worker.launch != launch or not worker.process.is_in_place():
            return False
        try:
            return all(identity(folder) for folder in wanted.rules.folders)
        except OSError:
            return False  # a new process reports it

    def start(
        self,
        session: SessionChoice,
        launch: LaunchSettings,
        wanted: TurnSettings,
        *,
        model_named: bool,
    ) -> Worker:
        """Start a process. `model_named`: --resume would bring back a model of an earlier prompt.
        Raises OSError and ValueError."""
        if not self._settings.is_ours():
            raise OSError("the lock of the data folder was taken away; another hub may use it")
        for folder in wanted.rules.folders:
            identity(folder)
        process = AgentProcess(self._spec(session, launch, wanted), self._owner)
        logger.info("%s: process %d", self._name, process.pid)
        # Rules are sent to the process and are never arguments.
        comes_back = session.resume is not None and model_named
        known = wanted.model is not None or not comes_back
        told = Preparation(replace(wanted, rules=NO_RULES), model_is_known=known)
        return Worker(
            process,
            owner=self._owner,
            timers=self._timers,
            kill_grace_s=self._settings.kill_grace_s,
            session=session,
            launch=launch,
            preparation=told,
            remembered=self._permission_requests.remembered,
            background=self._settings.background,
        )

    def _spec(
        self, session: SessionChoice, launch: LaunchSettings, wanted: TurnSettings
    ) -> ProcessSpec:
        settings = self._settings
        process_name = f"{settings.run_id}-{secrets.token_hex(8)}"
        arguments = claude.arguments(
            session,
            launch,
            wanted,
            background=settings.background,
            knows_snapshots=settings.cli.knows_snapshots(),
        )
        return ProcessSpec(
            process_name=process_name,
            argv=[*settings.command, *arguments],
            folder=self._folder,
            environment=settings.environment,
            mark=tree.mark_of(settings.data_id, process_name),
            max_line_bytes=settings.max_line_bytes,
            walls=settings.walls,
        )
