"""A project as others see it: the `project` object, its status, and what is wrong with it."""

from collections.abc import Iterable

from actors import messages
from actors.feed.feed import Feed
from actors.feed.project_log import ProjectLog
from actors.metrics import catalogue
from actors.metrics.meter import Reading
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
        self._awaited: tuple[object, ...] | None = None

    def now(self) -> ProjectStatus:
        if self._feed.problem is not None or self._executor.has_given_up:
            return ProjectStatus.ERROR
        is_idle = self._queue.running is None and self._queue.background is None
        return ProjectStatus.IDLE if is_idle else ProjectStatus.EXECUTING

    def tell_if_new(self) -> None:
        """Tell what is new behind a message. A change that is undone within one message is not
        told."""
        self._tell_status()
        if self._awaited is not None and self._facts() != self._awaited:
            self._awaited = None
            self._hub.tell(messages.ProjectChanged(project_id=self._log.meta.project_id))

    def await_change(self) -> None:
        """Tell the Hub once when the `project` object has changed in what is news."""
        self._awaited = self._facts()

    def _facts(self) -> tuple[object, ...]:
        """Return what tells a changed `project` object from an unchanged one. While somebody
        watches, this is made behind every message, the whole object at most some times a second
        (actors/hub/watchers.py)."""
        queue, active = self._queue, self._queue.background or self._queue.running
        return (
            self.now(),
            self._log.meta.session_id,
            active.execution_id if active else None,
            [execution.execution_id for execution in queue.all_waiting[:QUEUE_SHOWN_MAX]],
            list(self._permissions.pending),
            self._log.bounds.first_seq,
            self._trust.is_given,
            self._trust.files_without_effect,
        )

    def _tell_status(self) -> None:
        """Tell the Hub a new status or problem, and the subscribers a new status."""
        now = self.now()
        log = self._log
        problem = self._feed.problem or log.read_problem or log.damage_problem
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

    def readings(self) -> Iterable[Reading]:
        """Return what a scrape shows. It comes in a thread of its own: each value is one step. Of
        the files only the newest is asked for its size."""
        queue, feed = self._queue, self._feed
        waiting = len(queue.waiting) + (queue.blocked is not None)
        running, background = queue.running, queue.background
        return (
            (catalogue.SUBSCRIPTIONS, (), feed.subscriber_count),
            (catalogue.QUEUED, (), waiting),
            (catalogue.QUEUED_LARGEST, (), waiting),
            (
                catalogue.RUNNING,
                (),
                sum(e is not None and e.is_ordered for e in (running, background)),
            ),
            (catalogue.LOG_SEGMENTS, (), self._log.segment_count),
            (catalogue.LOG_SIZE, (), self._log.size_bytes()),
        )

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
