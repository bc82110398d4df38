"""A project's status, and what is wrong with it: told to the Hub and subscribers as it changes."""

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.messages import Ref
from actors.project.runs import Runs
from protocol.updates import ProjectStatus, StatusChanged, UpdateType


class Condition:
    """For the Project's thread only."""

    def __init__(self, *, hub: Ref, ledger: ProjectLog, feed: Feed, runs: Runs) -> None:
        self._hub = hub
        self._ledger = ledger
        self._feed = feed
        self._runs = runs
        self._told: tuple[ProjectStatus, str | None] | None = None

    @property
    def status(self) -> ProjectStatus:
        if self._feed.problem is not None or self._runs.has_given_up:
            return ProjectStatus.ERROR
        return ProjectStatus.EXECUTING if self._runs.queue.active else ProjectStatus.IDLE

    @property
    def _problem(self) -> str | None:
        if self._runs.has_given_up:
            return "its executor failed too often; restart the server"
        return self._feed.problem or self._ledger.damage_problem

    def update(self) -> None:
        """Tells whoever does not know yet."""
        now = self.status, self._problem
        if now == self._told:
            return
        before, self._told = self._told, now
        self._hub.tell(
            messages.ProjectStatusChanged(
                project_id=self._ledger.meta.project_id, status=now[0], problem=now[1]
            )
        )
        if before is not None and before[0] is not now[0]:
            self._feed.announce(UpdateType.STATUS, StatusChanged(status=now[0]))
