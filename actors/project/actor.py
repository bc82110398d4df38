"""The Project actor: takes requests, keeps order, and is the only one that writes its log."""

import logging
from typing import assert_never

from actors import messages
from actors.feed.feed import Feed
from actors.feed.maintenance import Maintenance
from actors.feed.project_log import ProjectLog
from actors.messages import Ref
from actors.messages.replies import ReplyTo
from actors.ports import Subscriber
from actors.project import joining
from actors.project.agent import Agent
from actors.project.condition import Condition
from actors.project.runs import Runs
from actors.project.settings import ProjectSettings
from actors.project.status import describe
from actors.project.watching import Watching
from actors.runtime.base import Actor
from actors.runtime.clock import Clock, Timers
from actors.runtime.mailbox import tell_if_alive
from protocol import requests
from protocol.errors import ErrorCode, HubFault, WireError, not_found
from protocol.updates import (
    ProjectDeleted,
    ProjectInfo,
    UpdateType,
)
from storage.projects import ProjectMeta

logger = logging.getLogger("claudehub.project")


class Project(Actor):
    """Child of the Hub; parent of an Executor and, while someone has joined, a FileWatcher."""

    def __init__(
        self,
        *,
        hub: Ref,
        meta: ProjectMeta,
        settings: ProjectSettings,
        clock: Clock,
        timers: Timers,
    ) -> None:
        super().__init__(parent=hub, name=f"project {meta.project_id}")
        self._hub = hub
        self._id = meta.project_id
        self._first_meta = meta
        self._settings = settings
        self._clock = clock
        self._timers = timers
        self._watching = Watching(self.actor_ref, meta.path, timers)
        self._closing: messages.DeleteProject | messages.StopProject | None = None
        self._closed = False

    # -- life --------------------------------------------------------------------------------

    def started(self) -> None:
        self._ledger, left_open = ProjectLog.open(
            self._settings.layout, self._settings.log, self._first_meta
        )
        self._feed = Feed(
            project=self.actor_ref,
            ledger=self._ledger,
            layout=self._settings.layout,
            sync=self._settings.log.sync,
            clock=self._clock,
            timers=self._timers,
            changed=self._update_status,
            stored=self._on_stored,
        )
        self._runs = Runs(self, self._ledger, self._feed, self._settings, self._clock, self._timers)
        self._agent = Agent(self._id, self._hub, self._runs, self._clock)
        self._condition = Condition(
            hub=self._hub, ledger=self._ledger, feed=self._feed, runs=self._runs
        )
        self._maintenance = Maintenance(
            self._ledger,
            self._feed,
            open_since_seq=lambda: self._runs.open_since_seq,
            changed=self._update_status,
        )
        self._runs.report_lost(left_open)
        self._update_status()
        self._hub.tell(messages.ProjectOpened(info=self.info()))

    def release(self) -> None:
        self._watching.stop()
        if not hasattr(self, "_runs"):  # the log could not be opened
            return
        self._runs.executor.stop()
        if not self._closed:
            self._ledger.abandon()
            for subscriber in self._feed.subscribers.values():
                subscriber.closed("the project failed; join again")

    def receive(self, message: messages.ProjectMessage) -> None:
        if self._closed:
            self._answer_late(message)
            return
        if isinstance(message, messages.AgentMessage):
            self._agent.receive(message, is_closing=self._closing is not None)
            self.flush_soon()
        else:
            self._receive_other(message)
        self._feed.notice_stop()
        self._close_down_if_done()

    def _receive_other(self, message: messages.OtherProjectMessage) -> None:  # noqa: C901
        match message:
            case messages.ProjectRequest():
                self._on_request(message)
            case messages._FlushJournal():
                self._feed.on_flush_due()
            case messages.Durable():
                self._feed.on_durable(message)
            case messages.FilesChanged():
                self._on_files_changed(message)
            case messages.SubscriberGone():
                self._drop_subscriber(message.key)
            case messages.Describe():
                info = self.info()
                self._hub.tell(
                    messages.ProjectDescribed(list_number=message.list_number, info=info)
                )
            case messages.DeleteProject() | messages.StopProject():
                self._on_close(message)
            case (
                messages.RotateLog()
                | messages.RetainLog()
                | messages.SegmentCompressed()
                | messages.DamageSeen()
            ):
                self._maintenance.receive(message)
            case messages.ActorDied():
                self._on_child_died(message)
            case messages._SyncDue():
                self._feed.on_sync_due()
            case messages._RetryStorage():
                self._feed.on_retry_due()
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

    def _handle_request(self, message: messages.ProjectRequest) -> None:
        reply_to, body = message.reply_to, message.body
        if isinstance(body, requests.ToAgent):
            self._agent.request(reply_to, message.caller, body)
            self.flush_soon()
            return
        match body:
            case requests.ProjectJoin():
                assert message.subscriber is not None
                self._join(reply_to, body, message.subscriber)
            case requests.ProjectLeave():
                self._drop_subscriber(message.caller.client_id)
                tell_if_alive(reply_to.client, joining.left(reply_to.number, self._id))
            case requests.GetMessages():
                self._send_snapshot(reply_to, body)
            case _:
                assert_never(body)

    def _join(
        self, reply_to: ReplyTo, request: requests.ProjectJoin, subscriber: Subscriber
    ) -> None:
        """Snapshot and registration in one turn: what is durable now is read from the log by
        whoever serves the client, everything later is offered."""
        bounds, reader = self._ledger.bounds, self._ledger.reader()
        position = joining.start_position(request, bounds)
        subscriber.register(position, bounds.last_seq)
        self._feed.subscribers[subscriber.key] = subscriber
        self._watching.start()
        self._runs.warm_ahead()
        joined = messages.Joined(
            number=reply_to.number,
            payload=joining.joined_payload(self.info(), bounds),
            subscriber=subscriber,
            reader=reader,
            since=request.since,
        )
        if not tell_if_alive(reply_to.client, joined):
            self._drop_subscriber(subscriber.key)

    def _send_snapshot(self, reply_to: ReplyTo, request: requests.GetMessages) -> None:
        snapshot = messages.HistorySnapshot(
            number=reply_to.number,
            bounds=self._ledger.bounds,
            reader=self._ledger.reader(),
            request=request,
        )
        tell_if_alive(reply_to.client, snapshot)

    def _drop_subscriber(self, key: str) -> None:
        subscriber = self._feed.subscribers.pop(key, None)
        if subscriber is not None:
            subscriber.left()
        if not self._feed.subscribers:
            self._watching.stop()
            self._ledger.journal.deflation.forget()

    def info(self) -> ProjectInfo:
        """The `project` object as it is now."""
        return describe(
            self._ledger.meta,
            self._ledger.bounds,
            self._runs,
            status=self._condition.status,
            subscribers=len(self._feed.subscribers),
        )

    def _on_stored(self) -> None:
        self._runs.executor.return_credit()
        self._ledger.note_progress(self._runs.open_since_seq)

    # -- for Runs ----------------------------------------------------------------------------

    def stamp(self) -> str:
        return self._feed.stamp()

    def flush_soon(self) -> None:
        self._feed.flush_soon()

    def runs_changed(self) -> None:
        """Something began, ended or was queued."""
        self._update_status()
        self.flush_soon()

    # -- status and children -----------------------------------------------------------------

    def _update_status(self) -> None:
        self._condition.update()

    def _on_files_changed(self, message: messages.FilesChanged) -> None:
        if self._feed.subscribers and self._closing is None:
            self._ledger.journal.announce(UpdateType.FILES_CHANGED, joining.files_changed(message))
            self.flush_soon()

    def _on_child_died(self, message: messages.ActorDied) -> None:
        if self._watching.is_child(message.child):
            logger.warning("%s: no files_changed: %s", self, message.reason)
            self._watching.forget()
        elif self._runs.executor.is_child(message.child):
            self._agent.executor_died(message)

    # -- the end -----------------------------------------------------------------------------

    def _on_close(self, message: messages.DeleteProject | messages.StopProject) -> None:
        if self._closing is not None:
            return
        self._closing = message
        if isinstance(message, messages.DeleteProject):
            message.reply_to.result({"project_id": self._id})
        self._runs.end_all()
        self._runs.executor.let_go(tasks_too=True)

    def _close_down_if_done(self) -> None:
        """Once nothing runs, no process is kept and all is written. A log that cannot be written
        does not keep the server from stopping."""
        if self._closing is None or self._closed or not self._runs.queue.is_idle:
            return
        if self._runs.executor.has_process:
            return
        if self._ledger.journal.has_pending and self._feed.problem is None:
            return
        deletion = self._closing if isinstance(self._closing, messages.DeleteProject) else None
        if deletion is not None:
            # Nothing that could be written waits any more, so this is the last.
            data = ProjectDeleted(by=deletion.by)
            self._feed.send_at_once(UpdateType.PROJECT_DELETED, data, is_final=True)
        self._closed = True
        self._ledger.close(self.stamp())
        self._hub.tell(
            messages.ProjectClosed(project_id=self._id, meta=self._ledger.meta, deletion=deletion)
        )
        self.stop()

    def _answer_late(self, message: messages.ProjectMessage) -> None:
        """Between the close and the end of the actor: a request still gets its answer."""
        if isinstance(message, messages.ProjectRequest):
            message.reply_to.error(self._refusal_while_closing())
        elif isinstance(message, messages.Describe):
            info = self.info()
            self._hub.tell(messages.ProjectDescribed(list_number=message.list_number, info=info))
