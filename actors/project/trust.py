"""Is the folder trusted: do its own settings, hooks, helpers and servers take effect."""

from actors.executor.environment import users_settings
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.project.executor_link import ExecutorLink
from actors.project.settings import ProjectSettings
from protocol.errors import ErrorCode, HubFault
from storage.folder_settings import look_into


class Trust:
    """For the Project's thread only."""

    def __init__(
        self, *, log: ProjectLog, feed: Feed, executor: ExecutorLink, settings: ProjectSettings
    ) -> None:
        self._log = log
        self._feed = feed
        self._executor = executor
        self._trusts_all = settings.trusts_all
        self._users_settings = users_settings(settings.executor.environment)

    @property
    def is_given(self) -> bool:
        """Return what somebody has said; TRUST_PROJECTS where nobody has."""
        said = self._log.meta.trusted
        return self._trusts_all if said is None else said

    @property
    def files_without_effect(self) -> list[str]:
        """Return the files that are not taken up, as they are now."""
        if self.is_given:
            return []
        return list(look_into(self._log.meta.path, self._users_settings).files)

    def change(self, trusted: bool) -> None:
        """Keep what was said; the process that was started otherwise gets no more prompts. Raises
        HubFault if it cannot be kept."""
        before = self._log.meta
        self._log.change(trusted=trusted)
        if not trusted:
            # 2.1.331 brings a model of the folder's settings back with the session: name one.
            self._log.change(model_named=True)
        if not self._feed.save():
            self._log.change(trusted=before.trusted)
            raise HubFault(ErrorCode.STORAGE_FAILED, "the metadata could not be saved")
        self._executor.let_go()
