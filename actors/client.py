"""One connection: its requests, in order, its subscriptions, its replays and its close.

Asleep while the socket keeps up: live updates go from a Project straight into the outbox.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import assert_never

from websockets.frames import CloseCode

from actors import messages
from actors.base import Actor
from actors.clock import Clock, Timers
from actors.history import history_payload
from actors.mailbox import tell_if_alive
from actors.messages import Ref
from actors.outbox import Outbox
from actors.ports import Caller, Directory
from actors.reading_turn import reading_turn
from actors.replay import Replays
from actors.replies import ReplyQueue, project_failed
from actors.slot import Slot
from actors.subscription import Subscription
from protocol import codec, requests
from protocol.errors import ErrorCode, HubFault, WireError, invalid_field, not_found
from storage.pages import MissingRecords

logger = logging.getLogger("claudehub.client")

FLUSH_WAIT_S = 0.2
CLOSE_DEADLINE_S = 2.0
# Replies wait for their turn, not in the outbox, while more than this waits there.
REPLY_BACKLOG_BYTES = 1024 * 1024

Answer = messages.Replied | messages.Joined | messages.Left | messages.HistorySnapshot


class Client(Actor):
    """Started by the connection's thread; `answered` gives that thread a request's credit back."""

    def __init__(
        self,
        *,
        hub: Ref,
        client_id: str,
        outbox: Outbox,
        directory: Directory,
        clock: Clock,
        timers: Timers,
        answered: Callable[[], None],
    ) -> None:
        super().__init__(parent=hub, name=f"client {client_id}")
        self._hub = hub
        self._client_id = client_id
        self._outbox = outbox
        self._directory = directory
        self._clock = clock
        self._timers = timers
        self._answered = answered
        self._replies = ReplyQueue[Answer]()
        self._held: deque[messages.RequestReceived] = deque()
        self._barrier: int | None = None
        # Ever joined: a leave is answered after a later join was sent, and takes nothing out.
        self._joined: set[str] = set()
        self._replays = Replays(outbox, clock, self._report_damage)

    def started(self) -> None:
        self._hub.tell(messages.ClientConnected(client=self.actor_ref, client_id=self._client_id))

    def release(self) -> None:
        self._outbox.abort()
        for project_id in self._joined:
            if port := self._directory.find(project_id):
                port.tell(messages.SubscriberGone(key=self._client_id))
        tell_if_alive(self._hub, messages.ClientGone(client_id=self._client_id))

    def receive(self, message: messages.ClientMessage) -> None:
        match message:
            case messages.RequestReceived():
                self._on_request(message)
            case messages.Replied() | messages.Joined() | messages.Left():
                self._on_answer(message)
            case messages.HistorySnapshot():
                self._on_answer(message)
            case messages.ProjectFailed():
                self._on_project_failed(message)
            case messages._FlushOutbox():
                self._on_flush()
            case messages._PumpReplay():
                self._on_pump_replay()
            case messages.CloseClient():
                self._on_close(message)
            case messages._CloseDeadline():
                self._outbox.abort()
            case messages.ConnectionLost():
                logger.info("%s: %s", self, message.reason)
                self.stop()
            case _:
                assert_never(message)

    # -- requests ----------------------------------------------------------------------------

    def _on_request(self, message: messages.RequestReceived) -> None:
        """A create or delete is finished before what follows it is looked at, so that a client may
        send create, join and execute in one go."""
        if self._barrier is not None:
            self._held.append(message)
        else:
            self._dispatch(message.request)
            self._send_replies()

    def _dispatch(self, request: requests.Request | codec.Undecodable) -> None:
        if isinstance(request, codec.Undecodable):
            number = self._replies.open(request.id, None)
            self._settle_error(number, request.error)
            return
        body = request.body
        project_id = body.project_id if isinstance(body, requests.ToProject) else None
        number = self._replies.open(request.id, project_id)
        match body:
            case requests.Ping():
                self._ping(number, body)
            case (
                requests.ProjectCreate()
                | requests.ProjectDelete()
                | requests.ProjectList()
                | requests.HealthCheck()
            ):
                self._to_hub(number, body)
            case _:
                self._to_project(number, body)

    def _ping(self, number: int, body: requests.Ping) -> None:
        try:
            payload = codec.dumps(body.payload)
        except ValueError as error:
            self._settle_error(number, invalid_field("payload", str(error)))
        else:
            self._replies.settle(number, messages.Replied(number=number, ok=True, payload=payload))

    def _to_hub(self, number: int, body: requests.ToHub) -> None:
        if isinstance(body, requests.ProjectCreate | requests.ProjectDelete):
            self._barrier = number
        slot = Slot(self.actor_ref, number)
        caller = Caller(self._client_id)
        if not tell_if_alive(self._hub, messages.HubRequest(slot=slot, caller=caller, body=body)):
            self._settle_error(number, HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping"))

    def _to_project(self, number: int, body: requests.ToProject) -> None:
        port = self._directory.find(body.project_id)
        if port is None:
            self._settle_error(number, not_found(body.project_id))
            return
        subscriber = self._subscription(body) if isinstance(body, requests.ProjectJoin) else None
        request = messages.ProjectRequest(
            slot=Slot(self.actor_ref, number),
            caller=Caller(self._client_id),
            body=body,
            subscriber=subscriber,
        )
        if subscriber is not None:
            self._joined.add(body.project_id)
        if not port.tell(request):
            self._settle_error(number, project_failed())

    def _subscription(self, join: requests.ProjectJoin) -> Subscription:
        """The callbacks run in a project's thread, the first under the outbox's lock: they only
        tell."""

        def overflowed(position: int) -> None:
            reason = f"slow consumer; join again with after_seq {position}"
            tell_if_alive(
                self.actor_ref,
                messages.CloseClient(code=CloseCode.TRY_AGAIN_LATER, reason=reason),
            )

        def ended(why: str) -> None:
            tell_if_alive(
                self.actor_ref,
                messages.CloseClient(code=CloseCode.INTERNAL_ERROR, reason=why),
            )

        return Subscription(
            key=self._client_id,
            project_id=join.project_id,
            outbox=self._outbox,
            wants_ephemeral=join.ephemeral,
            overflowed=overflowed,
            ended=ended,
        )

    # -- answers -----------------------------------------------------------------------------

    def _settle_error(self, number: int, error: WireError) -> None:
        payload = codec.error_payload(error)
        self._settle(messages.Replied(number=number, ok=False, payload=payload))

    def _settle(self, answer: Answer) -> None:
        if not self._replies.settle(answer.number, answer):
            logger.debug("%s: a second answer to request %d", self, answer.number)
        if answer.number == self._barrier:
            self._barrier = None

    def _on_answer(self, answer: Answer) -> None:
        self._settle(answer)
        while self._held and self._barrier is None:
            self._dispatch(self._held.popleft().request)
        self._send_replies()

    def _on_project_failed(self, message: messages.ProjectFailed) -> None:
        for number in self._replies.unanswered(message.project_id):
            self._settle_error(number, project_failed())
        self._send_replies()

    def _send_replies(self) -> None:
        while (request := self._replies.ready()) is not None:
            if self._outbox.waiting_bytes > REPLY_BACKLOG_BYTES:
                return  # _on_flush comes back here
            assert request.answer is not None
            self._send_answer(request.id, request.answer)
            self._replies.pop()
            self._answered()

    def _send_answer(self, request_id: str | None, answer: Answer) -> None:
        match answer:
            case messages.Replied(ok=False):
                self._write(codec.error_message(request_id, answer.payload))
            case messages.Replied():
                self._write(codec.result_message(request_id, answer.payload))
            case messages.Joined():
                self._write(codec.result_message(request_id, answer.payload))
                assert isinstance(answer.subscriber, Subscription)
                self._replays.start(answer.subscriber, answer.reader, answer.since)
                self._pump_soon()
            case messages.Left():
                self._replays.drop(answer.project_id)
                self._write(codec.result_message(request_id, answer.payload))
            case messages.HistorySnapshot():
                self._write(self._history(request_id, answer))
            case _:
                assert_never(answer)

    def _history(self, request_id: str | None, snapshot: messages.HistorySnapshot) -> bytes:
        try:
            with reading_turn(self._clock):
                payload, missing = history_payload(
                    snapshot.reader, snapshot.bounds, snapshot.request, self._clock.now()
                )
        except OSError as error:
            logger.error("%s: reading history: %s", self, error)
            fault = HubFault(ErrorCode.STORAGE_FAILED, "the log cannot be read")
            return codec.error_message(request_id, codec.error_payload(fault))
        if missing:
            self._report_damage(snapshot.request.project_id, missing)
        return codec.result_message(request_id, payload)

    def _report_damage(self, project_id: str, missing: tuple[MissingRecords, ...]) -> None:
        if port := self._directory.find(project_id):
            port.tell(messages.DamageSeen(missing=missing))

    def _write(self, message: bytes) -> None:
        self._outbox.write(codec.text_frame(message), counts=True)

    def _on_pump_replay(self) -> None:
        """One page, then back through the inbox; where the socket is full, _on_flush goes on."""
        if not self._replays.can_go_on:
            return
        try:
            self._replays.pump()
        except OSError as error:
            logger.error("%s: replay: %s", self, error)
            self._close(CloseCode.INTERNAL_ERROR, "the log cannot be read")
        self._pump_soon()

    def _pump_soon(self) -> None:
        if self._replays.can_go_on:
            self.actor_ref.tell(messages._PumpReplay())

    def _on_flush(self) -> None:
        self._outbox.flush(FLUSH_WAIT_S)
        self._send_replies()
        self._pump_soon()

    # -- the end -----------------------------------------------------------------------------

    def _on_close(self, message: messages.CloseClient) -> None:
        self._close(message.code, message.reason)

    def _close(self, code: int, reason: str) -> None:
        if self._outbox.is_open:
            self._outbox.close(code, reason)
            self._timers.after(CLOSE_DEADLINE_S, self.actor_ref, messages._CloseDeadline())
