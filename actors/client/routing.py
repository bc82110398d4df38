"""Requests on their way: to the Hub, to a project, or answered here; and what is joined."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from websockets.frames import CloseCode

from actors import messages
from actors.access.gate import Gate
from actors.client.outbox import Outbox
from actors.client.subscription import Subscription
from actors.client.watcher import ClientWatcher
from actors.directory import Directory
from actors.messages.replies import ReplyTo
from actors.ports import Caller
from actors.runtime.base import tell_if_alive
from actors.runtime.refs import Ref
from protocol import requests
from protocol.dialect import Dialect
from protocol.errors import (
    ErrorCode,
    HubFault,
    WireError,
    invalid_field,
    not_found,
    project_failed,
)
from protocol.results import AuthenticateResult
from protocol.updates import UpdateType

# Each may bring a replay, and a project looks at every subscriber for each batch.
SUBSCRIPTIONS_MAX = 1024


class Memberships:
    """Which projects a connection has joined, as its own requests tell.

    A project handles the requests of one connection in their order, so a leave counts from when it
    is sent. A join counts from when it is sent, too, and no more once it has failed.
    """

    def __init__(self, limit: int = SUBSCRIPTIONS_MAX) -> None:
        self._limit = limit
        self._joins: dict[int, str] = {}  # by request: those whose answers are awaited
        self._joined: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined.union(self._joins.values()))

    def has_room(self, project_id: str, exists: Callable[[str], bool]) -> bool:
        """Return True if that project may be joined, again or for the first time. Projects that do
        not exist any more do not count."""
        if project_id in self or len(set(self)) < self._limit:
            return True
        self._joined = {joined for joined in self._joined if exists(joined)}
        return len(set(self)) < self._limit

    def joining(self, project_id: str, number: int) -> None:
        """Note that the join with that request number is sent."""
        self._joins[number] = project_id

    def leaving(self, project_id: str) -> None:
        """Note that a leave is sent: it follows all joins before it."""
        self._joins = {n: other for n, other in self._joins.items() if other != project_id}
        self._joined.discard(project_id)

    def answered(self, number: int, *, joined: bool) -> None:
        """Note an answer. A join that no leave has overtaken counts from now on if it worked."""
        project_id = self._joins.pop(number, None)
        if joined and project_id is not None:
            self._joined.add(project_id)


class Routing:
    """For the Client's thread only. `answer` settles a request that nobody else will;
    `authenticated` is called when a key has opened the gate, `refused` when one has not, `sent` for
    updates that a watcher has written."""

    def __init__(
        self,
        *,
        client: Ref,
        gate: Gate,
        hub: Ref,
        directory: Directory,
        dialect: Dialect,
        outbox: Outbox,
        authenticated: Callable[[], None],
        refused: Callable[[str], None],
        answer: Callable[[messages.Answer], None],
        sent: Callable[[UpdateType, int], None] | None = None,
    ) -> None:
        self.memberships = Memberships()
        self._client = client
        self._gate = gate
        self._hub = hub
        self._directory = directory
        self._dialect = dialect
        self._outbox = outbox
        self._authenticated = authenticated
        self._refused = refused
        self._answer = answer
        self._sent = sent

    def send(
        self, number: int, body: requests.Body, terms: requests.Terms = requests.USUAL
    ) -> None:
        """Send request `number` on, or answer it."""
        try:
            self._gate.check(body)
        except WireError as error:
            self.refuse(number, error)
            return
        if isinstance(body, requests.Authenticate):
            self._authenticate(number, body)
        elif isinstance(body, requests.Ping):
            self._answer(messages.Replied(number=number, payload=body.payload))
        elif isinstance(body, requests.ToHub):
            self._to_hub(number, body, terms)
        else:
            self._to_project(number, body, terms)

    def refuse(self, number: int, error: WireError) -> None:
        """Answer with an error."""
        self._answer(messages.Refused(number=number, error=error))

    def leave_all(self) -> None:
        """Leave every project: the connection is gone."""
        for project_id in self.memberships:
            if port := self._directory.find(project_id):
                port.tell(messages.SubscriberGone(subscriber_id=self._gate.caller.client_id))

    def _authenticate(self, number: int, body: requests.Authenticate) -> None:
        try:
            user = self._gate.authenticate(body)
        except WireError as error:
            self._refused(str(error))
            self.refuse(number, error)
        else:
            self._answer(messages.Replied(number=number, payload=AuthenticateResult(user=user)))
            self._authenticated()

    @property
    def _caller(self) -> Caller:
        caller, takes_questions = self._gate.caller, self._dialect.takes_questions
        return caller if takes_questions else replace(caller, takes_questions=False)

    def _to_hub(self, number: int, body: requests.ToHub, terms: requests.Terms) -> None:
        request = messages.HubRequest(
            reply_to=ReplyTo(self._client, number),
            caller=self._caller,
            body=body,
            watcher=self._watcher() if isinstance(body, requests.Watch) else None,
            terms=terms,
        )
        if not tell_if_alive(self._hub, request):
            self.refuse(number, HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping"))

    def _to_project(self, number: int, body: requests.ToProject, terms: requests.Terms) -> None:
        port = self._directory.find(body.project_id)
        if port is None:
            self.refuse(number, not_found(body.project_id))
            return
        subscriber = None
        if isinstance(body, requests.ProjectJoin):
            if not self.memberships.has_room(body.project_id, self._exists):
                problem = "too many projects are joined on this connection; leave one first"
                self.refuse(number, invalid_field("payload.project_id", problem))
                return
            subscriber = self._subscription(body)
            self.memberships.joining(body.project_id, number)
        elif isinstance(body, requests.ProjectLeave):
            self.memberships.leaving(body.project_id)
        request = messages.ProjectRequest(
            reply_to=ReplyTo(self._client, number),
            caller=self._caller,
            body=body,
            subscriber=subscriber,
            terms=terms,
        )
        if not port.tell(request):
            self.refuse(number, project_failed())

    def _exists(self, project_id: str) -> bool:
        return self._directory.find(project_id) is not None

    def _watcher(self) -> ClientWatcher:
        """Return a watcher for one `watch`. Its callback runs in the Hub's thread, under the
        outbox's lock, so it only tells."""

        def overflowed() -> None:
            why = "slow consumer; watch again, and join again"
            close = messages.CloseClient(code=CloseCode.TRY_AGAIN_LATER, reason=why)
            tell_if_alive(self._client, close)

        return ClientWatcher(
            client_id=self._gate.caller.client_id,
            dialect=self._dialect,
            outbox=self._outbox,
            overflowed=overflowed,
            sent=self._sent,
        )

    def _subscription(self, join: requests.ProjectJoin) -> Subscription:
        """Return a subscription for a join. Its callbacks run in the project's thread, the first
        one under the outbox's lock, so they only tell."""

        def overflowed(project_id: str, position: int) -> None:
            slow = messages.ClientTooSlow(project_id=project_id, position=position)
            tell_if_alive(self._client, slow)

        def ended(why: str) -> None:
            close = messages.CloseClient(code=CloseCode.INTERNAL_ERROR, reason=why)
            tell_if_alive(self._client, close)

        return Subscription(
            subscriber_id=self._gate.caller.client_id,
            project_id=join.project_id,
            dialect=self._dialect,
            outbox=self._outbox,
            wants_ephemeral=join.ephemeral,
            overflowed=overflowed,
            ended=ended,
        )
