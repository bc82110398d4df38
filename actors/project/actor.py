"""The Project actor: it takes requests, keeps their order, and alone writes the project's log."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from actors import messages
from actors.access.prompt_keys import PromptKeys
from actors.feed.feed import Feed
from actors.feed.maintenance import Maintenance
from actors.feed.project_log import ProjectLog
from actors.messages.replies import ReplyBehindUpdates, ReplyTo
from actors.metrics.project_counts import ProjectCounts
from actors.ports import Subscriber
from actors.project.executor_link import ExecutorLink
from actors.project.joining import start_position
from actors.project.permissions import Permissions
from actors.project.run_queue import RunQueue
from actors.project.runs import DELETED, STOP, STOPPED, Runs
from actors.project.settings import ProjectSettings
from actors.project.status import Status
from actors.project.trust import Trust
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from actors.watch.watching import Watching
from protocol import codec, requests
from protocol.errors import Busy, ErrorCode, HubFault, WireError, not_found, project_failed
from protocol.results import ProjectIdResult, ProjectJoinResult, ProjectResult
from protocol.updates import FilesChanged, ProjectDeleted, UpdateType
from storage.errors import StorageError
from storage.message_log import FlushTimer
from storage.projects import ProjectMeta


class Project(Actor):
    """Child of the Hub; parent of an Executor and, while someone has joined, a FileWatcher."""

    rule = Rule.RESTART_OR_ERROR
    not_bugs = (StorageError,)  # a full disk: the Hub opens the project again later

    def __init__(
        self,
        *,
        hub: Ref,
        meta: ProjectMeta,
        settings: ProjectSettings,
        clock: Clock,
        timers: Timers,
    ) -> None:
        project_id = meta.project_id
        super().__init__(parent=hub, name=f"project {project_id}", ids={"project": project_id})
        self._hub = hub
        self._id = project_id
        self._first_meta = meta
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._closed = self._is_drained = False
        self._watching = Watching(
            project=self.actor_ref,
            project_id=project_id,
            folder=meta.path,
            timers=timers,
            problems=settings.problems,
        )
        self._closing: messages.DeleteProject | messages.StopProject | None = None
        meter = settings.meter
        self._counts = None if meter is None else ProjectCounts(meter, clock)
        self._executor = ExecutorLink(
            project=self.actor_ref,
            hub=hub,
            project_id=project_id,
            folder=meta.path,
            settings=settings.executor,
            clock=clock,
            timers=timers,
        )

    # -- life --------------------------------------------------------------------------------

    def started(self) -> None:
        self._open_log()
        self._make_parts()
        self._runs.report_lost(self._log.open)
        self._status.tell_if_new()
        self._hub.tell(messages.ProjectOpened(info=self._status.describe()))

    def _open_log(self) -> None:
        settings = self._settings
        counts, log_settings, began_s = self._counts, settings.log, self._clock.monotonic()
        if counts is not None:
            timer = FlushTimer(counts.now_s, counts.flushed)
            log_settings = replace(log_settings, flush_timer=timer)
        self._log = log = ProjectLog(settings.layout, log_settings, self._first_meta)
        if counts is not None:
            counts.opened(began_s, was_clean=log.was_clean, torn_bytes=log.torn_bytes)
        self._feed = Feed(
            project=self.actor_ref,
            log=self._log,
            data_folder=settings.layout.root,
            sync=settings.log.sync,
            clock=self._clock,
            timers=self._timers,
            stored=self._executor.return_credit,
            counts=counts,
        )

    def _make_parts(self) -> None:
        log, feed, executor, settings = self._log, self._feed, self._executor, self._settings
        self._maintenance = Maintenance(log, feed)
        self._queue = queue = RunQueue(settings.max_queue)
        self._permissions = permissions = Permissions(
            project=self.actor_ref,
            feed=feed,
            queue=queue,
            executor=executor,
            timers=self._timers,
            timeout_s=settings.permission_timeout_s,
            counts=self._counts,
        )
        self._trust = Trust(
            log=log, feed=feed, executor=executor, settings=settings, clock=self._clock
        )
        self._status = Status(
            hub=self._hub,
            log=log,
            feed=feed,
            queue=queue,
            permissions=permissions,
            executor=executor,
            trust=self._trust,
        )
        self._runs = Runs(
            log=log,
            feed=feed,
            settings=settings,
            queue=queue,
            permissions=permissions,
            executor=executor,
            keys=self._prompt_keys(),
            clock=self._clock,
            describe=self._status.describe,
            trust=self._trust,
            counts=self._counts,
        )
        if self._counts is not None:
            self._counts.show = self._status.readings

    def _prompt_keys(self) -> PromptKeys:
        return PromptKeys(
            self._settings.standing,
            project=self.actor_ref,
            project_id=self._id,
            due=messages._PromptKeyDue(),
            clock=self._clock,
            timers=self._timers,
        )

    def release_steps(self) -> Sequence[Callable[[], object]]:
        """Return no step for what `started` did not reach."""
        steps: list[Callable[[], object]] = [
            self._watching.stop,
            self._watching.forget_problem,
            self._executor.stop,
        ]
        if self._counts is not None:
            steps.append(self._counts.end)
        if not self._closed:
            if hasattr(self, "_log"):
                steps.append(self._log.abandon)
            steps.append(self._executor.wait_until_stopped)
            if hasattr(self, "_feed"):
                steps.append(self._feed.close_subscribers)
        return steps

    def left_over(self, message: messages.ProjectMessage) -> None:
        """Answer a request that came before the actor failed, or while it closed."""
        if isinstance(message, messages.ProjectRequest):
            closing = self._closing is not None
            message.reply_to.error(self._refusal_while_closing() if closing else project_failed())

    def on_receive(self, message: messages.ProjectMessage) -> None:
        if self._closed:
            self._answer_late(message)
            return
        if isinstance(message, messages.AgentMessage):
            self._on_agent_message(message)
        elif isinstance(message, messages.MaintenanceMessage):
            self._maintenance.receive(message)
        else:
            self._on_other_message(message)
        self._status.tell_if_new()  # behind every message: nobody else need think of it
        if self._runs.is_draining and not self._is_drained:
            self._tell_if_drained()
        if self._closing is not None:
            self._close_down_if_done()

    def _on_agent_message(self, message: messages.AgentMessage) -> None:  # noqa: C901
        match message:
            case messages.AgentOutput():
                self._runs.on_output(message)
                return  # by far the most of them: nothing below is about lines
            case messages.SessionForgotten():
                self._runs.on_session_forgotten(message)
            case messages.SessionCleared():
                self._runs.on_session_cleared(message)
            case messages.RunBegan():
                self._runs.on_began(message)
            case messages.RunReturned():
                self._runs.on_returned(message)
            case messages.BackgroundBegan():
                self._runs.on_background_began(message)
            case messages.PermissionAsked():
                self._permissions.asked(message)
            case messages.PermissionWithdrawn():
                self._permissions.withdrawn(message.permission_id)
            case messages._PermissionExpired():
                self._permissions.expired(message.permission_id)
            case messages.ProcessChanged():
                self._executor.on_process_changed(message)
                if message.pid is None:
                    self._runs.on_process_gone()
            case messages.LetProcessGo():
                self._executor.let_go()
            case messages.RunEnded():
                self._runs.on_ended(message)
            case _:
                assert_never(message)
        if self._closing is not None:  # something may have begun by itself meanwhile
            self._end_work()

    def _on_other_message(self, message: messages.OtherProjectMessage) -> None:  # noqa: C901
        match message:
            case messages.ProjectRequest():
                self._on_request(message)
            case messages._FlushFeed():
                self._feed.on_flush_due()
            case messages.FilesChanged():
                self._on_files_changed(message)
            case messages.SubscriberGone():
                self._drop_subscriber(message.subscriber_id)
            case messages.Describe():
                self._describe_to_hub(message)
            case messages.ChangeSettings():
                self._on_change(message)
            case messages.LookAtKeys() | messages._PromptKeyDue():
                self._runs.look_at_keys()
            case messages.DrainProject():
                self._hub.tell(self._runs.drain())
            case messages.DeleteProject() | messages.StopProject():
                self._on_close(message)
            case messages.ActorDied():
                self._on_child_died(message)
            case messages._SyncDue():
                self._feed.on_sync_due()
            case messages._RetryStorage():
                self._feed.on_retry_due()
            case messages._ExecutorDue():
                self._executor.try_again()
            case messages._WatcherDue():
                self._watching.on_due(is_wanted=self._is_watched)
            case _:
                assert_never(message)

    # -- requests ----------------------------------------------------------------------------

    def _on_request(self, message: messages.ProjectRequest) -> None:
        try:
            if self._closing is not None:
                raise self._refusal_while_closing()
            self._handle_request(message)
        except WireError as error:
            message.reply_to.error(error)

    def _refusal_while_closing(self) -> WireError:
        if isinstance(self._closing, messages.DeleteProject):
            return not_found(self._id)
        return HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping")

    def _reply_to(self, message: messages.ProjectRequest) -> ReplyTo:
        """Return where the result goes. Raises Busy."""
        terms, reply_to = message.terms, message.reply_to
        if terms.only_if_idle and not self._queue.is_idle and not self._runs.is_draining:
            raise Busy()
        if not terms.behind_updates:
            return reply_to
        return ReplyBehindUpdates(reply_to.client, reply_to.number, self._feed.when_shown)

    def _handle_request(self, message: messages.ProjectRequest) -> None:
        reply_to, body = self._reply_to(message), message.body
        match body:
            case requests.Execute():
                self._runs.execute(reply_to, message.caller, body)
            case requests.AgentInterrupt():
                self._runs.interrupt(reply_to, message.caller, body)
            case requests.AgentKill():
                at_end = message.terms.behind_updates
                self._runs.kill(reply_to, message.caller, body, at_end=at_end)
            case requests.AgentNewSession():
                self._runs.new_session(reply_to)
            case requests.PermissionAnswer():
                self._permissions.answer(reply_to, message.caller, body)
            case requests.ProjectJoin():
                assert message.subscriber is not None
                self._join(reply_to, body, message.subscriber)
            case requests.ProjectLeave():
                self._drop_subscriber(message.caller.client_id)
                left = messages.Left(number=reply_to.number, project_id=self._id)
                tell_if_alive(reply_to.client, left)
            case requests.ProjectTrust():
                self._trust.change(body.trusted)
                reply_to.result(ProjectResult(project=self._status.describe()))
            case requests.GetMessages() | requests.GetRecords():
                self._send_snapshot(reply_to, body)
            case _:
                assert_never(body)

    def _join(
        self, reply_to: ReplyTo, request: requests.ProjectJoin, subscriber: Subscriber
    ) -> None:
        """Take the snapshot and register the subscriber within one message: the Client
        reads from the log what is durable now, and the feed offers everything later."""
        bounds, project = self._log.bounds, codec.plain(self._status.describe())
        self._feed.subscribe(subscriber, start_position(request, bounds), project)
        self._watching.start()
        if self._settings.warm_ahead:
            self._runs.warm_ahead()
        joined = messages.Joined(
            number=reply_to.number,
            payload=ProjectJoinResult(
                project=codec.plain(self._status.describe()),
                first_seq=bounds.first_seq,
                last_seq=bounds.last_seq,
                log_id=bounds.log_id,
            ),
            subscriber=subscriber,
            reader=self._log.reader(),
            since=request.since,
        )
        if not tell_if_alive(reply_to.client, joined):
            self._drop_subscriber(subscriber.id)

    def _send_snapshot(
        self, reply_to: ReplyTo, request: requests.GetMessages | requests.GetRecords
    ) -> None:
        snapshot = messages.HistorySnapshot(
            number=reply_to.number,
            bounds=self._log.bounds,
            reader=self._log.reader(),
            request=request,
        )
        tell_if_alive(reply_to.client, snapshot)

    def _on_files_changed(self, message: messages.FilesChanged) -> None:
        if self._is_watched:
            changed = FilesChanged(paths=list(message.paths), truncated=message.truncated)
            self._feed.announce(UpdateType.FILES_CHANGED, changed, is_kept=False)

    @property
    def _is_watched(self) -> bool:
        return self._feed.subscriber_count > 0 and self._closing is None

    def _drop_subscriber(self, subscriber_id: str) -> None:
        self._feed.unsubscribe(subscriber_id)
        self._permissions.look_again()
        if not self._feed.subscriber_count:
            self._watching.stop()

    def _describe_to_hub(self, message: messages.Describe) -> None:
        if message.is_watched:  # first: what changes meanwhile is told then
            self._status.await_change()
        info = self._status.describe()
        self._hub.tell(messages.ProjectDescribed(list_number=message.list_number, info=info))

    def _on_change(self, change: messages.ChangeSettings) -> None:
        settings = self._settings = self._settings.changed(change)
        self._queue.max_waiting = settings.max_queue
        self._permissions.timeout_s = settings.permission_timeout_s
        self._executor.change(change)
        self._runs.change(settings)
        self._trust.change_default(settings.trusts_all)

    # -- children ----------------------------------------------------------------------------

    def _on_child_died(self, message: messages.ActorDied) -> None:
        if not self._watching.on_died(message) and self._executor.is_child(message.child):
            self._runs.on_executor_died(message)

    # -- the end -----------------------------------------------------------------------------

    def _tell_if_drained(self) -> None:
        if self._queue.is_idle:
            self._is_drained = True
            self._hub.tell(messages.ProjectDrained(project_id=self._id))

    def _on_close(self, message: messages.DeleteProject | messages.StopProject) -> None:
        if self._closing is not None:
            return
        self._closing = message
        if isinstance(message, messages.DeleteProject) and not message.behind_updates:
            message.reply_to.result(ProjectIdResult(project_id=self._id))
        self._end_work()

    def _end_work(self) -> None:
        if isinstance(self._closing, messages.DeleteProject):
            self._runs.end_all(DELETED, self._closing.by)
        else:
            self._runs.end_all(STOPPED, STOP)

    def _close_down_if_done(self) -> None:
        """Close once nothing runs, no process is kept and all is written. A log that cannot be
        written does not keep the server from stopping."""
        if self._closed or not self._queue.is_idle or self._executor.has_process:
            return
        if not self._feed.is_written:
            return
        deletion = self._closing if isinstance(self._closing, messages.DeleteProject) else None
        if deletion is not None:
            self._feed.announce_last(UpdateType.PROJECT_DELETED, ProjectDeleted(by=deletion.by))
            if deletion.behind_updates:
                deletion.reply_to.result(ProjectIdResult(project_id=self._id))
        self._feed.close()
        self._closed = True
        self._hub.tell(
            messages.ProjectClosed(project_id=self._id, meta=self._log.meta, deletion=deletion)
        )
        self.stop()

    def _answer_late(self, message: messages.ProjectMessage) -> None:
        """Answer a request between the close and the end of the actor."""
        if isinstance(message, messages.ProjectRequest):
            message.reply_to.error(self._refusal_while_closing())
        elif isinstance(message, messages.Describe):
            self._describe_to_hub(message)
