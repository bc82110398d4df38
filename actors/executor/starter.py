"""Start a CLI process for a session and for what a prompt asks."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from actors.executor.environment import users_settings
from actors.executor.permission_requests import PermissionRequests
from actors.executor.preparation import Preparation
from actors.executor.process import AgentProcess, ProcessSpec, identity
from actors.executor.settings import ExecutorSettings
from actors.executor.worker import Worker
from actors.process_tree import tree
from actors.runtime.clock import Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from protocol import claude
from protocol.claude import NO_RULES, Distrust, LaunchSettings, SessionChoice, TurnSettings
from protocol.requests import Options
from storage.folder_settings import look_into

logger = get_logger("claudehub.executor")

NO_OPTIONS = Options()


class Starter:
    """For one project's folder; `permission_requests` knows what its users have allowed. `trusts`:
    the folder's own settings take effect."""

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
        self.trusts = True
        self._usual = claude.settings_of(NO_OPTIONS, settings.permission_mode)

    def change(self, settings: ExecutorSettings) -> None:
        """Use these settings for the processes that start from now on."""
        self._settings = settings
        self._usual = claude.settings_of(NO_OPTIONS, settings.permission_mode)

    def wanted(self, options: Options) -> tuple[LaunchSettings, TurnSettings]:
        """Return what a prompt asks of its process: most ask for nothing."""
        mode = self._permission_requests.remembered.mode
        launch, wanted = self._usual
        if mode is not None or options != NO_OPTIONS:
            launch, wanted = claude.settings_of(options, self._settings.permission_mode, mode)
        return (launch if self.trusts else replace(launch, trusts=False)), wanted

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
        is_new = self._settings.cli.knows_snapshots()
        # A CLI that names the prompt of each line says more clearly when it is done with it.
        asked = {} if is_new else claude.STATE_EVENTS
        process = AgentProcess(
            self._spec(session, launch, wanted, asked, is_new=is_new), self._owner
        )
        logger.debug("process started", pid=process.pid)
        # Rules are sent to the process and are never arguments.
        comes_back = session.resume is not None and model_named
        known = wanted.model is not None or not comes_back
        told = Preparation(replace(wanted, rules=NO_RULES), model_is_known=known)
        worker = Worker(
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
        worker.hides_states = not asked.keys() <= self._settings.environment.keys()
        return worker

    def _spec(
        self,
        session: SessionChoice,
        launch: LaunchSettings,
        wanted: TurnSettings,
        asked: Mapping[str, str],
        *,
        is_new: bool,
    ) -> ProcessSpec:
        settings = self._settings
        distrust = None if launch.trusts else self._distrust()
        process_name = f"{settings.run_id}-{secrets.token_hex(8)}"
        arguments = claude.arguments(
            session,
            launch,
            wanted,
            background=settings.background,
            knows_snapshots=is_new,
            distrust=distrust,
        )
        further = {} if distrust is None else distrust.environment()
        return ProcessSpec(
            process_name=process_name,
            argv=[*settings.command, *arguments],
            folder=self._folder,
            environment={**settings.environment, **asked, **further},
            mark=tree.mark_of(settings.data_id, process_name),
            max_line_bytes=settings.max_line_bytes,
            walls=settings.walls,
        )

    def _distrust(self) -> Distrust:
        """Look at the folder, for a start that takes up nothing of its settings."""
        found = look_into(self._folder, users_settings(self._settings.environment))
        if found.files:
            files = list(found.files)
            logger.info("the folder is not trusted: its settings have no effect", files=files)
        return Distrust(self._folder if found.reads_text else None, found.git_runs)
