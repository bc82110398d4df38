"""The client against a hub in memory, over a network that delays, splits and cuts by chance: what
comes out is what the log holds."""

from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from claudehub.client import flows, streams
from claudehub.client.address import parse_address
from claudehub.client.backoff import Backoff
from claudehub.client.calls import REPLY_TIMEOUT_S, Call
from claudehub.client.flows import advanced
from claudehub.client.position import Position
from claudehub.client.session import Session, State, Want
from claudehub.client.streams import Stream
from claudehub.client.updates import Gap, HistoryGone, Update
from claudehub.fake.core import FakeClient, FakeCore
from claudehub.fake.requests import receive
from tests.scripted_hub import URL

# Small, so that readers are too slow now and then.
BUFFER_BYTES = 4000
ALL = 1 << 30
ROUNDS_MAX = 300
# How many bytes arrive at once.
SIZES = st.sampled_from([1, 7, 200, 3000, ALL, ALL])
# Losses are rare, or hardly a connection would live long enough for anything else.
RARELY = st.sampled_from([True] + [False] * 5)


class Network:
    """One connection: bytes under way in both directions, and the hub behind it."""

    def __init__(self, core: FakeCore) -> None:
        self.to_client = bytearray()
        self.to_hub = bytearray()
        self.is_cut = False
        self._core = core
        self._server = ServerProtocol(subprotocols=[Subprotocol("claudehub.v1")], max_size=None)
        self._client: FakeClient | None = None

    def hub_reads(self, size: int) -> None:
        """Let so many bytes arrive at the hub."""
        data, self.to_hub = bytes(self.to_hub[:size]), self.to_hub[size:]
        self._server.receive_data(data)
        for event in self._server.events_received():
            if isinstance(event, Request):
                self._server.send_response(self._server.accept(event))
                self._client = self._core.connect(self._send, self._cut)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                assert self._client is not None
                receive(self._core, self._client, bytes(event.data))
        self._flush()

    def end(self) -> None:
        if self._client is not None:
            self._core.disconnect(self._client)

    def _send(self, text: str) -> None:
        self._server.send_text(text.encode())
        self._flush()

    def _cut(self) -> None:
        self.is_cut = True

    def _flush(self) -> None:
        self.to_client += b"".join(self._server.data_to_send())


class Reading:
    """A reader, and a judge of what it gets."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.at = stream.position
        self.count = 0

    def take(self, truth: dict[Position, Any]) -> None:
        if not self.stream.is_ready:
            return
        for update in self.stream.take():
            self._judge(update, truth)

    def _judge(self, update: Update, truth: dict[Position, Any]) -> None:
        at, position = self.at, update.position
        assert position is not None
        if isinstance(update, HistoryGone):
            is_here = at.log_id == update.log_id
            assert not (is_here and update.first_seq - 1 <= at.seq <= update.last_seq), (at, update)
        elif isinstance(update, Gap):
            assert position.log_id == at.log_id and update.first_seq <= at.seq + 1 <= position.seq
        elif update.seq is not None:
            assert position == Position(at.log_id, at.seq + 1), (at, position)
            assert truth[position] == update.data
            self.count += 1
        else:
            assert position == at
        self.at = position


class Flow:
    """A flow that a program runs: a prompt that it sends."""

    def __init__(self, session: Session, flow: Any) -> None:
        self.result: Any = None
        self._session = session
        self._flow = flow
        self._ask(next(flow))

    def _ask(self, call: Call) -> None:
        def ended() -> None:
            try:
                self._ask(advanced(self._flow, call))
            except StopIteration as end:
                self.result = end.value

        call.on_end = ended
        self._session.ask(call)


class Chance(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.limit = patch.object(streams, "BUFFER_BYTES_MAX", BUFFER_BYTES)
        self.limit.start()
        self.now_s = 0.0
        self.core = FakeCore()
        self.project = self.core.make("site", "/src/site")
        self.project.script = lambda prompt: []
        self.truth: dict[Position, Any] = {}
        self.session = Session(parse_address(URL), backoff=Backoff(lambda: 0.5))
        self.network: Network | None = None
        self.readings: list[Reading] = []
        self.sent: list[Flow] = []
        self.all_arrives()
        assert self.session.state is State.CONNECTED  # else the first connection would fail

    def teardown(self) -> None:
        if not hasattr(self, "limit"):
            return
        self.drain()
        for reading in self.readings:
            end = Position(self.project.log_id, self.project.last_seq)
            assert reading.at == end, (reading.at, end)
        assert all(flow.result is not None for flow in self.sent)
        assert len(self.core.prompts) == len({prompt.key for prompt in self.core.prompts})
        assert len(self.core.prompts) == len(self.sent)
        self.session.close()
        self.limit.stop()

    # -- what happens at the hub

    @rule(count=st.integers(1, 4), size=st.sampled_from([1, 100, 1500]))
    def hub_writes(self, count: int, size: int) -> None:
        for _ in range(count):
            self.write("claude_text", {"text": f"{self.project.last_seq} " + "x" * size})

    @rule()
    def hub_says_something_ephemeral(self) -> None:
        self.project.add("claude_delta", {"event": {}}, logged=False)

    @rule(data=st.data())
    def log_is_damaged(self, data: st.DataObject) -> None:
        if self.project.last_seq >= self.project.first_seq:
            numbers = st.integers(self.project.first_seq, self.project.last_seq)
            first = data.draw(numbers)
            self.project.lose(first, min(first + 2, self.project.last_seq))

    @rule()
    def log_is_shortened(self) -> None:
        self.project.forget_before((self.project.first_seq + self.project.last_seq) // 2)

    @rule(now=RARELY)
    def log_is_lost(self, now: bool) -> None:
        """It is noticed at a join: a log changes while the hub is away."""
        if now:
            self.cut()
            self.project.begin_another_log()

    # -- what programs do

    @rule(back=st.integers(0, 6), ephemeral=st.booleans())
    def reader_begins(self, back: int, ephemeral: bool) -> None:
        seq = max(self.project.last_seq - back, 0)
        stream = Stream("site", Position(self.project.log_id, seq), ephemeral)
        self.readings.append(Reading(stream))
        self.session.subscriptions.add(stream)

    @rule(data=st.data())
    def reader_ends(self, data: st.DataObject) -> None:
        if self.readings:
            reading = self.readings.pop(data.draw(st.integers(0, len(self.readings) - 1)))
            self.session.subscriptions.remove(reading.stream)

    @rule(data=st.data())
    def reader_takes(self, data: st.DataObject) -> None:
        if self.readings:
            data.draw(st.sampled_from(self.readings)).take(self.truth)

    @rule()
    def prompt_is_sent(self) -> None:
        self.sent.append(Flow(self.session, flows.executed("site", "Hi", None, None, {})))

    # -- what the network does

    @rule(size=SIZES)
    def client_reads(self, size: int) -> None:
        network = self.network
        if network is not None and network.to_client:
            data, network.to_client = bytes(network.to_client[:size]), network.to_client[size:]
            self.session.received(data, self.now_s)

    @rule(size=SIZES)
    def hub_reads(self, size: int) -> None:
        if self.network is not None and self.network.to_hub:
            self.network.hub_reads(size)

    @rule()
    def all_arrives(self) -> None:
        for _ in range(5):
            self.step()
            self.hub_reads(ALL)
            self.client_reads(ALL)

    @rule(now=RARELY)
    def connection_is_cut(self, now: bool) -> None:
        if now:
            self.cut()

    def cut(self) -> None:
        if self.network is not None:
            self.network.end()
            self.network = None
            self.session.received(b"", self.now_s)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        if self.now_s + seconds < REPLY_TIMEOUT_S:  # a request that is not answered in time fails
            self.now_s += seconds

    # -- the shell

    @invariant()
    def step(self) -> None:
        """Do what a shell does, whenever anything has happened."""
        if not hasattr(self, "session"):
            return
        self.remember()
        self.session.tick(self.now_s)
        data = self.session.data_to_send()
        if self.network is not None:
            self.network.to_hub += data
        wanted = self.session.wanted()
        if wanted in (Want.CLOSE, Want.CONNECT) and self.network is not None:
            self.network.end()
            self.network = None
        if wanted is Want.CONNECT:
            self.network = Network(self.core)
            self.session.connected(self.now_s)

    def write(self, kind: str, data: dict[str, Any]) -> None:
        self.project.add(kind, data)

    def remember(self) -> None:
        """Keep what the log holds, since it may be lost."""
        for update in self.project.log:
            if "seq" in update:
                position = Position(self.project.log_id, update["seq"])
                self.truth.setdefault(position, update["data"])

    def drain(self) -> None:
        """Let everything arrive, until nothing more happens."""
        for _ in range(ROUNDS_MAX):
            self.all_arrives()
            for reading in self.readings:
                reading.take(self.truth)
            due_s = self.session.due_s
            if self.session.state is State.WAITING and due_s is not None:
                self.now_s = max(self.now_s, due_s)
            elif self.is_quiet():
                return
        raise AssertionError("it does not come to an end")

    def is_quiet(self) -> bool:
        self.step()  # a reader that has room again joins
        network = self.network
        return (
            network is not None
            and not network.to_client
            and not network.to_hub
            and not any(reading.stream.is_ready for reading in self.readings)
            and all(flow.result is not None for flow in self.sent)
        )


Chance.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestChance = Chance.TestCase
