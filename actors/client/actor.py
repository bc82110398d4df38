"""One connection: its requests in order, its subscriptions, its replays and its close.

The actor sleeps while the socket keeps up: live updates go from a project straight to the outbox.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from websockets.frames import CloseCode

from actors import messages
from actors.access.gate import Gate
from actors.access.prompt_keys import EXPIRY_LOOK_MAX_S, EXPIRY_LOOK_MIN_S
from actors.audit.trail import AuditTrail
from actors.client.answers import Answers
from actors.client.audit_record import AuditRecord, asked, code_of, kind_of
from actors.client.backlog import Dropped
from actors.client.outbox import Outbox
from actors.client.presence import Presence
from actors.client.replies import ReplyQueue
from actors.client.routing import Routing
from actors.directory import Directory
from actors.metrics import catalogue
from actors.metrics.client_counts import ClientCounts
from actors.metrics.meter import Meter
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from protocol import codec, frames, requests
from protocol.dialect import Dialect
from protocol.errors import project_failed
from protocol.updates import UpdateType

logger = get_logger("claudehub.client")

FLUSH_WAIT_S = 0.2
CLOSE_DEADLINE_S = 2.0
# While more than this waits in the outbox, replies wait in the reply queue.
REPLY_BACKLOG_BYTES = 1024 * 1024
# The number of a request that the Client sends by itself; those of its peer begin with 1.
OWN_NUMBER = 0


class Client(Actor):
    """The connection's thread starts it; `answered` gives that thread the credit of a request
    back."""

    rule = Rule.CLOSE_CONNECTION

    def __init__(
        self,
        *,
        hub: Ref,
        gate: Gate,
        outbox: Outbox,
        dialect: Dialect,
        directory: Directory,
        clock: Clock,
        timers: Timers,
        trail: AuditTrail,
        auth_timeout_s: float,
        answered: Callable[[], None],
        meter: Meter | None = None,
    ) -> None:
        name = gate.caller.client_id
        super().__init__(parent=hub, name=f"client {name}", ids={"client": name})
        self._hub = hub
        self._gate = gate
        self._outbox = outbox
        self._dialect = dialect
        self._directory = directory
        self._clock = clock
        self._timers = timers
        self._auth_timeout_s = auth_timeout_s
        self._answered = answered
        self._replies = ReplyQueue[messages.Answer]()
        self._held: deque[messages.RequestReceived] = deque()
        self._barrier: int | None = None
        self._record = AuditRecord(gate, trail)
        self._presence = Presence(gate, clock, trail.refusal_lines)
        self._routing = self._make_routing(meter)
        self._counts = None if meter is None else ClientCounts(meter, clock, outbox)
        self._answers = self._make_answers()

    def _make_routing(self, meter: Meter | None) -> Routing:
        return Routing(
            client=self.actor_ref,
            gate=self._gate,
            hub=self._hub,
            directory=self._directory,
            dialect=self._dialect,
            outbox=self._outbox,
            authenticated=self._on_authenticated,
            refused=self._presence.refused,
            answer=self._settle,
            sent=None if meter is None else partial(_count_sent, meter),
        )

    def _make_answers(self) -> Answers:
        return Answers(
            client=self.actor_ref,
            dialect=self._dialect,
            outbox=self._outbox,
            directory=self._directory,
            clock=self._clock,
            counts=self._counts,
        )

    def started(self) -> None:
        client_id = self._gate.caller.client_id
        self._hub.tell(messages.ClientConnected(client=self.actor_ref, client_id=client_id))
        self._presence.began()
        if self._gate.is_locked:
            due = messages._AuthenticationDue()
            self._timers.after(self._auth_timeout_s, self.actor_ref, due)
        if self._dialect.quiet_s is not None:
            self._timers.after(self._dialect.quiet_s, self.actor_ref, messages._QuietDue())

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return (
            self._say_that_it_failed,
            self._outbox.abort,
            self._end_counts,
            self._routing.leave_all,
            lambda: self._record.lost([each.asked for each in self._replies.unanswered()]),
            lambda: self._record.lost([asked(message.request) for message in self._held]),
            self._tell_gone,
            self._let_go,
        )

    def _say_that_it_failed(self) -> None:
        """Close with 1011, if it fits into the socket: the cut that follows waits for nothing."""
        if self.has_failed:
            self._outbox.close(CloseCode.INTERNAL_ERROR, "internal error")

    def _end_counts(self) -> None:
        if self._counts is not None:
            self._counts.end()

    def _let_go(self) -> None:
        """Let go of what calls back: a client's memory is then free at once, and does not wait for
        the garbage collector."""
        self._answers.let_go()
        del self._routing

    def _tell_gone(self) -> None:
        tell_if_alive(self._hub, messages.ClientGone(client_id=self._gate.caller.client_id))

    def on_receive(self, message: messages.ClientMessage) -> None:  # noqa: C901 - one case a message
        match message:
            case messages.RequestReceived():
                self._on_request(message)
            case (
                messages.Replied()
                | messages.Refused()
                | messages.Joined()
                | messages.Left()
                | messages.Watched()
                | messages.HistorySnapshot()
                | messages.RecordsFound()
            ):
                self._on_answer(message)
            case messages._CountOn():
                self._answers.count_on()
            case messages._QuietDue():
                self._on_quiet_due()
            case messages.ProjectFailed():
                self._on_project_failed(message)
            case messages._FlushOutbox():
                self._on_flush()
            case messages._PumpReplay():
                self._on_pump_replay()
            case messages.CloseClient():
                self._close(message.code, message.reason)
            case messages.ClientTooSlow():
                self._close_slow(f"join {message.project_id} again, after_seq {message.position}")
            case messages.LookAtKey():
                self._look_at_key()
            case messages._KeyExpiryDue():
                self._look_at_key()
                self._await_expiry()
            case messages._AuthenticationDue():
                if self._gate.is_locked:
                    self._close(CloseCode.POLICY_VIOLATION, "not authenticated in time")
                    self._record.not_authenticated("not in time")
                    self._presence.refused("not in time")
            case messages._CloseDeadline():
                self._outbox.abort()
            case messages.ConnectionLost():
                self._presence.left(message.reason)
                self.stop()
            case _:
                assert_never(message)

    # -- requests ----------------------------------------------------------------------------

    def _on_request(self, message: messages.RequestReceived) -> None:
        """Handle a request, or hold it behind a create or delete. Those finish first, so that a
        client may send create, join and execute without waiting."""
        if self._counts is not None:
            self._counts.received(kind_of(message.request), message.received_s)
        if self._barrier is not None:
            self._held.append(message)
        else:
            self._dispatch(message.request)
            self._send_replies()

    def _dispatch(self, request: requests.Request | codec.Undecodable) -> None:
        request = self._answers.meant(request)
        if isinstance(request, codec.Undecodable):
            number = self._replies.open(request, asked(request), None)
            self._routing.refuse(number, self._gate.refusal(request))
            return
        body = request.body
        self._presence.asked(body)
        project_id = body.project_id if isinstance(body, requests.ToProject) else None
        number = self._replies.open(request, asked(request), project_id)
        if request.terms.holds_updates and len(self._replies) == 1:
            self._outbox.hold_live()
        if isinstance(body, requests.ProjectCreate | requests.ProjectDelete):
            self._barrier = number
        self._routing.send(number, body, request.terms)

    def _on_authenticated(self) -> None:
        self._presence.authenticated()
        self._await_expiry()

    def _await_expiry(self) -> None:
        """Look at the key again later, and then again: the clock may be set, and a timer may fire a
        little early."""
        if (expires_at := self._gate.expires_at) is not None:
            left_s = (expires_at - self._clock.now()).total_seconds()
            due_s = min(max(left_s, EXPIRY_LOOK_MIN_S), EXPIRY_LOOK_MAX_S)
            self._timers.after(due_s, self.actor_ref, messages._KeyExpiryDue())

    def _look_at_key(self) -> None:
        if (reason := self._gate.look_again()) is not None:
            logger.warning("closed, because its key is no longer valid", reason=reason, code=1008)
            self._record.key_revoked(reason)
            self._close(CloseCode.POLICY_VIOLATION, reason)

    # -- answers -----------------------------------------------------------------------------

    def _settle(self, answer: messages.Answer) -> None:
        request = self._replies.settle(answer.number, answer)
        if request is None:
            logger.debug("a second answer to a request", number=answer.number)
        else:
            self._record.answered(request, answer)
        joined = isinstance(answer, messages.Joined)
        self._routing.memberships.answered(answer.number, joined=joined)
        if answer.number == self._barrier:
            self._barrier = None

    def _on_answer(self, answer: messages.Answer) -> None:
        if isinstance(answer, messages.HistorySnapshot) and self._answers.begin_count(answer):
            return
        if isinstance(answer, messages.Replied) and answer.number == OWN_NUMBER:
            self._answers.show_liveness(answer.payload)
            return
        self._settle(answer)
        while self._held and self._barrier is None:
            self._dispatch(self._held.popleft().request)
        self._send_replies()

    def _on_project_failed(self, message: messages.ProjectFailed) -> None:
        for request in self._replies.unanswered(message.project_id):
            self._routing.refuse(request.number, project_failed())
        self._send_replies()

    def _send_replies(self) -> None:
        while (request := self._replies.ready()) is not None:
            if self._outbox.waiting_bytes > REPLY_BACKLOG_BYTES:
                return  # _on_flush calls this again
            if self._answers.must_wait(request.request):
                return  # _on_pump_replay calls this again
            assert request.answer is not None
            if self._counts is not None:
                self._counts.answered(code_of(request.answer))
            self._answers.send(request.request, request.answer)
            self._outbox.release_live()
            self._replies.pop()
            self._answered()
            self._pump_soon()

    def _on_quiet_due(self) -> None:
        """Show that the hub is there, if nothing has done so."""
        if not self._answers.has_written and self._outbox.is_open:
            self._routing.send(OWN_NUMBER, requests.HealthCheck())

    def _on_pump_replay(self) -> None:
        """Send one page, then tell itself to go on. If the socket is full, `_on_flush` goes on."""
        if not self._answers.replays.can_go_on():
            return
        try:
            self._answers.replays.pump()
        except OSError as error:
            logger.error("a log cannot be read for a replay", error=error)
            self._close(CloseCode.INTERNAL_ERROR, "the log cannot be read")
        self._pump_soon()
        self._send_replies()

    def _pump_soon(self) -> None:
        if self._answers.replays.can_go_on():
            self.actor_ref.tell(messages._PumpReplay())

    def _on_flush(self) -> None:
        self._outbox.flush(FLUSH_WAIT_S)
        if self._outbox.is_too_slow():
            self._close_slow("join again, after the last seq that you got")
        self._send_replies()
        self._pump_soon()

    # -- the end -----------------------------------------------------------------------------

    def _close_slow(self, advice: str) -> None:
        """Close as too slow (1013). The reason names the last number that was sent, of the project
        whose update is the first one dropped."""

        def reason(dropped: list[Dropped]) -> str:
            found = (frames.first_update(one.plain, one.skip) for one in dropped)
            project_id, seq = next(filter(None, found), ("", 0))
            if project_id:
                return f"slow consumer; join {project_id} again, after_seq {seq - 1}"
            return f"slow consumer; {advice}"

        logger.warning("closed, because it reads too slowly", code=1013)
        self._close(CloseCode.TRY_AGAIN_LATER, reason)

    def _close(self, code: int, reason: str | Callable[[list[Dropped]], str]) -> None:
        if self._outbox.is_open:
            if self._counts is not None and code == CloseCode.TRY_AGAIN_LATER:
                self._counts.too_slow()
            self._outbox.close(code, reason)
            self._timers.after(CLOSE_DEADLINE_S, self.actor_ref, messages._CloseDeadline())


def _count_sent(meter: Meter, update_type: UpdateType, count: int) -> None:
    meter.count(catalogue.MESSAGES, update_type, catalogue.OUT, by=count)
