"""Is the folder trusted: do its own settings, hooks, helpers and servers take effect."""

from actors.executor.environment import users_settings
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.project.executor_link import ExecutorLink
from actors.project.settings import ProjectSettings
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from protocol.errors import ErrorCode, HubFault
from storage.folder_settings import look_into

logger = get_logger("claudehub.project")

LOOK_KEPT_S = 2.0


class Trust:
    """For the Project's thread only."""

    def __init__(
        self,
        *,
        log: ProjectLog,
        feed: Feed,
        executor: ExecutorLink,
        settings: ProjectSettings,
        clock: Clock,
    ) -> None:
        self._log = log
        self._feed = feed
        self._executor = executor
        self._clock = clock
        self._files: list[str] = []
        self._look_again_s = float("-inf")
        self._trusts_all = settings.trusts_all
        self._users_settings = users_settings(settings.executor.environment)

    @property
    def is_given(self) -> bool:
        """Return what somebody has said; TRUST_PROJECTS where nobody has."""
        said = self._log.meta.trusted
        return self._trusts_all if said is None else said

    @property
    def files_without_effect(self) -> list[str]:
        """Return the files that are not taken up, as they were a moment ago at most: a client may
        ask for a list again and again, and the folder is not ours."""
        if self.is_given:
            return []
        now_s = self._clock.monotonic()
        if now_s >= self._look_again_s:
            self._files = list(look_into(self._log.meta.path, self._users_settings).files)
            self._look_again_s = now_s + LOOK_KEPT_S
        return self._files

    def change_default(self, trusts_all: bool) -> None:
        """Take a new TRUST_PROJECTS; a process that was started otherwise gets no more prompts."""
        before, self._trusts_all = self.is_given, trusts_all
        if self.is_given != before:
            self._look_again_s = float("-inf")
            self._executor.let_go()

    def change(self, trusted: bool) -> None:
        """Keep what was said; the process that was started otherwise gets no more prompts. Raises
        HubFault if it cannot be kept."""
        before = self._log.meta
        self._look_again_s = float("-inf")
        self._log.change(trusted=trusted)
        if not trusted:
            # 2.1.331 brings a model of the folder's settings back with the session: name one.
            self._log.change(model_named=True)
        if not self._feed.save():
            self._log.change(trusted=before.trusted)
            raise HubFault(ErrorCode.STORAGE_FAILED, "the metadata could not be saved")
        if trusted != before.trusted:
            logger.info("trust in the folder changed", trusted=trusted)
        self._executor.let_go()
