"""A client's session with a hub that the test plays: without sockets, threads or a clock."""

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any, Self

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from claudehub.client.address import parse_address
from claudehub.client.backoff import Backoff
from claudehub.client.calls import Call
from claudehub.client.errors import HubError
from claudehub.client.flows import advanced
from claudehub.client.position import Position
from claudehub.client.session import Session, State, Want
from claudehub.client.streams import Stream, WatchStream
from claudehub.client.updates import Update

URL = "ws://127.0.0.1:8080"
GREETING: dict[str, Any] = {
    "server": "claudehub/0.1.0",
    "protocol": 1,
    "protocols": [1],
    "client_id": "c1",
    "heartbeat_seconds": 30,
    "max_message_bytes": 1024 * 1024,
    "max_update_bytes": 18 * 1024 * 1024,
    "auth": None,
}
TIME = "2026-11-23T08:14:33.123456Z"


def update_payload(
    project_id: str, seq: int | None, update_type: str = "claude_text", **more: Any
) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "project_id": project_id,
        "update_type": update_type,
        "data": more.pop("data", {"text": f"line {seq}"}),
        "timestamp": TIME,
        **more,
    }
    return raw if seq is None else {**raw, "seq": seq}


def project_object(project_id: str, **facts: Any) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "name": project_id,
        "path": f"/src/{project_id}",
        "status": "idle",
        "queue": [],
        "pending_permissions": [],
        **facts,
    }


class ScriptedHub:
    """The session under test, and the server's end of its connection."""

    def __init__(
        self,
        *,
        url: str = URL,
        jitter: float = 1.0,
        splits: Callable[[int], int] | None = None,
        **options: Any,
    ) -> None:
        """`jitter` is what the session draws for each delay; `splits` returns how many of so many
        bytes arrive at once."""
        self.now_s = 1000.0
        self.states: list[State] = []
        self.requests: list[dict[str, Any]] = []
        self.closed_by_client: list[int] = []
        self._splits = splits
        self._wanted = Want.NOTHING
        self._server: ServerProtocol | None = None
        self.session = Session(parse_address(url), backoff=Backoff(lambda: jitter), **options)
        self.session.on_state = self.states.append

    # -- connections

    @property
    def is_connected(self) -> bool:
        return self._server is not None

    def step(self) -> Want:
        """Do what a shell does in one round, and return the last thing that the session wanted
        since the last call."""
        self._round()
        wanted, self._wanted = self._wanted, Want.NOTHING
        return wanted

    def _round(self) -> None:
        """Do what is due, and carry what is to be sent. A connection that the session gives up is
        closed."""
        self.session.tick(self.now_s)
        self._take(self.session.data_to_send())
        wanted = self.session.wanted()
        if wanted in (Want.CLOSE, Want.CONNECT):
            self._server = None
        if wanted is not Want.NOTHING:
            self._wanted = wanted

    def accept(self) -> None:
        """Open the connection that the session wants, and answer its handshake."""
        assert self.step() is Want.CONNECT
        self._server = ServerProtocol(subprotocols=[Subprotocol("claudehub.v1")], max_size=None)
        self.session.connected(self.now_s)
        self._round()

    def open(self, **facts: Any) -> Self:
        """Open a connection and greet."""
        self.accept()
        self.send({"type": "welcome", "payload": {**GREETING, **facts}})
        return self

    def offer_key(self, offer: Mapping[str, Any]) -> Want:
        """Open a connection, and greet with the wish for a key."""
        self.open(auth=offer)
        return self.step()

    def cut(self) -> None:
        """The connection is gone, without a word."""
        self._round()
        self.session.received(b"", self.now_s)
        self._round()

    def close(self, code: int, reason: str = "") -> None:
        assert self._server is not None
        self._server.send_close(code, reason)
        self._give()

    def raw(self, data: bytes) -> None:
        """Let bytes arrive that no WebSocket library would send."""
        self.session.received(data, self.now_s)
        self._round()

    def advance(self, seconds: float) -> Want:
        self.now_s += seconds
        return self.step()

    def delay_s(self) -> float:
        """Return after how many seconds the session tries again."""
        assert self.session.state is State.WAITING
        assert self.session.retry_at_s is not None
        return self.session.retry_at_s - self.now_s

    def reopen(self, **facts: Any) -> None:
        """Wait as long as the session wants, and open its next connection."""
        self.now_s += self.delay_s()
        self.open(**facts)

    # -- messages

    def send(self, message: object) -> None:
        self.send_text(json.dumps(message))

    def send_text(self, text: str) -> None:
        assert self._server is not None
        self._server.send_text(text.encode())
        self._give()

    def take(self, kind: str) -> dict[str, Any]:
        """Return the next request, of that kind."""
        self._round()
        assert self.requests, f"no request; {kind} was expected"
        request = self.requests.pop(0)
        assert request["type"] == kind, request
        return request

    def asked_nothing(self) -> bool:
        self._round()
        return not self.requests

    def reply(self, request: Mapping[str, Any], **payload: Any) -> None:
        self.send({"type": "result", "id": request["id"], "payload": payload})

    def refuse(self, request: Mapping[str, Any], code: str, **details: Any) -> None:
        payload = {"code": code, "message": f"it is {code}", "details": details}
        self.send({"type": "error", "id": request["id"], "payload": payload})

    def update(self, project_id: str, seq: int | None, kind: str = "claude_text", **m: Any) -> None:
        self.send({"type": "update", "payload": update_payload(project_id, seq, kind, **m)})

    def joined(self, request: Mapping[str, Any], log_id: str = "log", last_seq: int = 0) -> None:
        project_id = request["payload"]["project_id"]
        self.reply(
            request,
            project=project_object(project_id),
            first_seq=1,
            last_seq=last_seq,
            log_id=log_id,
        )

    # -- what programs do

    def ask(self, kind: str, **payload: Any) -> Call:
        call = Call(kind, **payload)
        self.session.ask(call)
        self._round()
        return call

    def read(
        self, seq: int, project_id: str = "site", log_id: str = "log", *, ephemeral: bool = True
    ) -> Stream:
        stream = Stream(project_id, Position(log_id, seq), ephemeral)
        self.session.subscriptions.add(stream)
        self._round()
        return stream

    def leave(self, stream: Stream) -> None:
        self.session.subscriptions.remove(stream)
        self._round()

    def watch(self) -> WatchStream:
        watcher = WatchStream()
        self.session.subscriptions.watch(watcher)
        self._round()
        return watcher

    def run(self, flow: Generator[Call, Mapping[str, Any], Any]) -> "Running":
        return Running(self, flow)

    # -- bytes

    def _take(self, data: bytes) -> None:
        if self._server is None or not data:
            return
        self._server.receive_data(data)
        for event in self._server.events_received():
            if isinstance(event, Request):
                self._server.send_response(self._server.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.requests.append(json.loads(bytes(event.data)))
            elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                self.closed_by_client.append(int.from_bytes(bytes(event.data[:2]), "big"))
        self._give()

    def _give(self) -> None:
        assert self._server is not None
        server = self._server
        data = b"".join(server.data_to_send())
        while data and self._server is server:
            size = len(data) if self._splits is None else self._splits(len(data))
            self.session.received(data[:size], self.now_s)
            data = data[size:]
            self._round()


class Running:
    """A flow under way; `result` or `error` once it has ended."""

    def __init__(self, hub: ScriptedHub, flow: Generator[Call, Mapping[str, Any], Any]) -> None:
        self.result: Any = None
        self.error: HubError | None = None
        self.is_over = False
        self._hub = hub
        self._flow = flow
        self._go_on(lambda: next(flow))
        hub.asked_nothing()

    def _go_on(self, step: Callable[[], Call]) -> None:
        try:
            call = step()
        except StopIteration as end:
            self.is_over, self.result = True, end.value
        except HubError as error:
            self.is_over, self.error = True, error
        else:
            call.on_end = lambda: self._go_on(lambda: advanced(self._flow, call))
            self._hub.session.ask(call)


def taken(stream: Stream | WatchStream) -> list[Update]:
    """Return what a reader has, nothing included."""
    return stream.take() if stream.is_ready else []


def seqs(stream: Stream) -> list[int | None]:
    return [update.seq for update in taken(stream)]
