"""A project as others see it: the `project` object, its status, and what is wrong with it."""

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.project.executor_link import ExecutorLink
from actors.project.permissions import Permissions
from actors.project.run_queue import RunQueue
from actors.project.trust import Trust
from actors.runtime.refs import Ref
from protocol.shown_projects import QUEUE_SHOWN_MAX
from protocol.updates import ProjectInfo, ProjectStatus, QueuedPrompt, StatusChanged, UpdateType

QUEUE_PREVIEW_LENGTH = 200


class Status:
    """For the Project's thread only."""

    def __init__(
        self,
        *,
        hub: Ref,
        log: ProjectLog,
        feed: Feed,
        queue: RunQueue,
        permissions: Permissions,
        executor: ExecutorLink,
        trust: Trust,
    ) -> None:
        self._hub = hub
        self._log = log
        self._feed = feed
        self._queue = queue
        self._permissions = permissions
        self._executor = executor
        self._trust = trust
        self._told: tuple[ProjectStatus, str | None] | None = None

    def now(self) -> ProjectStatus:
        if self._feed.problem is not None or self._executor.has_given_up:
            return ProjectStatus.ERROR
        is_idle = self._queue.running is None and self._queue.background is None
        return ProjectStatus.IDLE if is_idle else ProjectStatus.EXECUTING

    def tell_if_new(self) -> None:
        """Tell the Hub a new status or problem, and the subscribers a new status. A change that is
        undone within one message is not told."""
        now = self.now()
        problem = self._feed.problem or self._log.damage_problem
        if self._executor.has_given_up:
            problem = "its executor failed too often; it is tried again a minute later"
        before, self._told = self._told, (now, problem)
        if before == self._told:
            return
        self._hub.tell(
            messages.ProjectStatusChanged(
                project_id=self._log.meta.project_id, status=now, problem=problem
            )
        )
        if before is not None and before[0] is not now:
            self._feed.announce(UpdateType.STATUS, StatusChanged(status=now))

    def describe(self) -> ProjectInfo:
        """Return the `project` object of replies."""
        meta, bounds, queue = self._log.meta, self._log.bounds, self._queue
        active = queue.background or queue.running
        return ProjectInfo(
            project_id=meta.project_id,
            name=meta.name,
            path=meta.path,
            status=self.now(),
            session_id=meta.session_id,
            execution_id=active.execution_id if active else None,
            queue=[
                QueuedPrompt(
                    execution_id=execution.execution_id,
                    prompt=execution.text[:QUEUE_PREVIEW_LENGTH],
                    client_id=execution.caller.client_id,
                )
                for execution in queue.all_waiting[:QUEUE_SHOWN_MAX]
            ],
            pending_permissions=self._permissions.shown,
            subscribers=self._feed.subscriber_count,
            first_seq=bounds.first_seq,
            last_seq=bounds.last_seq,
            created_at=meta.created_at,
            last_active=meta.last_active,
            trusted=self._trust.is_given,
            untrusted_files=self._trust.files_without_effect,
        )
