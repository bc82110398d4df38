"""Requests on their way: to the Hub, to a project, or answered here. The Client's."""

from collections.abc import Callable

from websockets.frames import CloseCode

from actors import messages
from actors.access.gate import Gate
from actors.client.memberships import Memberships
from actors.client.outbox import Outbox
from actors.client.replies import project_failed
from actors.client.subscription import Subscription
from actors.messages import Ref
from actors.messages.replies import ReplyTo
from actors.ports import Directory
from actors.runtime.mailbox import tell_if_alive
from protocol import codec, requests
from protocol.errors import ErrorCode, HubFault, WireError, invalid_field, not_found

TO_HUB = (
    requests.ProjectCreate,
    requests.ProjectDelete,
    requests.ProjectList,
    requests.HealthCheck,
)


class Routing:
    """`answer` settles a request that nobody else will; `authenticated` is called when a key has
    opened the gate."""

    def __init__(
        self,
        *,
        client: Ref,
        gate: Gate,
        hub: Ref,
        directory: Directory,
        outbox: Outbox,
        authenticated: Callable[[], None],
        answer: Callable[[messages.Replied], None],
    ) -> None:
        self.memberships = Memberships()
        self._client = client
        self._gate = gate
        self._hub = hub
        self._directory = directory
        self._outbox = outbox
        self._authenticated = authenticated
        self._answer = answer

    def send(self, number: int, body: requests.Body) -> None:
        """Sends request `number` on."""
        try:
            self._gate.check(body)
        except WireError as error:
            self.refuse(number, error)
            return
        if isinstance(body, requests.Authenticate):
            self._authenticate(number, body)
        elif isinstance(body, requests.Ping):
            self._ping(number, body)
        elif isinstance(body, TO_HUB):
            self._to_hub(number, body)
        else:
            self._to_project(number, body)

    def refuse(self, number: int, error: WireError) -> None:
        """Answers with an error."""
        payload = codec.error_payload(error)
        self._answer(messages.Replied(number=number, ok=False, payload=payload))

    def leave_all(self) -> None:
        """The connection is gone."""
        for project_id in self.memberships:
            if port := self._directory.find(project_id):
                port.tell(messages.SubscriberGone(key=self._gate.caller.client_id))

    def _authenticate(self, number: int, body: requests.Authenticate) -> None:
        try:
            user = self._gate.authenticate(body)
        except WireError as error:
            self.refuse(number, error)
        else:
            payload = codec.dumps({"user": user})
            self._answer(messages.Replied(number=number, ok=True, payload=payload))
            self._authenticated()

    def _ping(self, number: int, body: requests.Ping) -> None:
        try:
            payload = codec.dumps(body.payload)
        except ValueError as error:
            self.refuse(number, invalid_field("payload", str(error)))
        else:
            self._answer(messages.Replied(number=number, ok=True, payload=payload))

    def _to_hub(self, number: int, body: requests.ToHub) -> None:
        reply_to = ReplyTo(self._client, number)
        request = messages.HubRequest(reply_to=reply_to, caller=self._gate.caller, body=body)
        if not tell_if_alive(self._hub, request):
            self.refuse(number, HubFault(ErrorCode.SHUTTING_DOWN, "the server is stopping"))

    def _to_project(self, number: int, body: requests.ToProject) -> None:
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
            caller=self._gate.caller,
            body=body,
            subscriber=subscriber,
        )
        if not port.tell(request):
            self.refuse(number, project_failed())

    def _exists(self, project_id: str) -> bool:
        return self._directory.find(project_id) is not None

    def _subscription(self, join: requests.ProjectJoin) -> Subscription:
        """The callbacks run in a project's thread, the first under the outbox's lock: they only
        tell."""

        def overflowed(project_id: str, position: int) -> None:
            slow = messages.ClientTooSlow(project_id=project_id, position=position)
            tell_if_alive(self._client, slow)

        def ended(why: str) -> None:
            close = messages.CloseClient(code=CloseCode.INTERNAL_ERROR, reason=why)
            tell_if_alive(self._client, close)

        return Subscription(
            key=self._gate.caller.client_id,
            project_id=join.project_id,
            outbox=self._outbox,
            wants_ephemeral=join.ephemeral,
            overflowed=overflowed,
            ended=ended,
        )
