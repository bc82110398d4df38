"""One connection of the client: bytes in any pieces become the messages that the hub has sent."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from claudehub.client.address import parse_address
from claudehub.client.wire import Wire
from tests.scripted_hub import GREETING, ScriptedHub

FAR, NEAR = "ws://hub.example.org", "ws://127.0.0.1:8080"


class Hub:
    """The hub's end; `sent` is what the client has not yet got."""

    def __init__(self, url: str) -> None:
        self.wire = Wire(parse_address(url))
        self.server = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()],
            subprotocols=[Subprotocol("claudehub.v1")],
            max_size=None,
        )
        self.server.receive_data(self.wire.data_to_send())
        (request,) = self.server.events_received()
        assert isinstance(request, Request)
        self.server.send_response(self.server.accept(request))

    def say(self, how: str, message: dict[str, Any]) -> None:
        """Send a message whole, in parts, or between pings."""
        data = json.dumps(message).encode()
        if how == "parts":
            third = len(data) // 3
            self.server.send_text(data[:third], fin=False)
            self.server.send_ping(b"between")
            self.server.send_continuation(data[third:-1], fin=False)
            self.server.send_continuation(data[-1:], fin=True)
        else:
            self.server.send_text(data)
        if how == "ping":
            self.server.send_ping(b"")

    def sent(self) -> bytes:
        return b"".join(self.server.data_to_send())


def received(wire: Wire, data: bytes, cuts: list[int]) -> list[dict[str, Any]]:
    """Give bytes to a client, cut at some places."""
    found: list[dict[str, Any]] = []
    at = 0
    for end in [*sorted({cut % (len(data) + 1) for cut in cuts} - {0}), len(data)]:
        if end > at:
            found += [message for message, _ in wire.receive(data[at:end])]
            at = end
    return found


SIZES = st.sampled_from([0, 1, 100, 125, 126, 127, 1000, 65_535, 65_536, 70_000])


@settings(max_examples=60, deadline=None)
@given(
    said=st.lists(st.tuples(st.sampled_from(["whole", "parts", "ping"]), SIZES), max_size=8),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=20),
    url=st.sampled_from([NEAR, FAR]),
)
def test_any_pieces_of_any_frames_become_the_messages(
    said: list[tuple[str, int]], cuts: list[int], url: str
) -> None:
    hub = Hub(url)
    chance = random.Random(1)  # so that it does not compress to nothing
    messages = [{"n": n, "text": chance.randbytes(size).hex()} for n, (_, size) in enumerate(said)]
    for (how, _), message in zip(said, messages, strict=True):
        hub.say(how, message)
    assert bool(hub.server.extensions) is (url == FAR)
    assert received(hub.wire, hub.sent(), cuts) == messages
    pongs = hub.wire.data_to_send()
    assert bool(pongs) is any(how != "whole" for how, _ in said)


def test_every_byte_may_come_alone() -> None:
    hub = Hub(FAR)
    for how in ("whole", "parts", "ping", "whole"):
        hub.say(how, {"how": how})
    data = hub.sent()
    found = received(hub.wire, data, list(range(len(data))))
    assert [message["how"] for message in found] == ["whole", "parts", "ping", "whole"]


def test_nothing_is_read_behind_a_close() -> None:
    hub = Hub(NEAR)
    hub.say("whole", {"n": 1})
    hub.server.send_close(1001, "stops")
    behind = b"\x81\x02{}"
    assert received(hub.wire, hub.sent() + behind, []) == [{"n": 1}]
    assert hub.wire.is_ending and hub.wire.close_code == 1001
    assert received(hub.wire, behind, []) == []


def test_a_text_in_the_middle_of_another_is_a_fault() -> None:
    hub = Hub(NEAR)
    received(hub.wire, hub.sent(), [])
    assert received(hub.wire, b"\x01\x01{" + b"\x81\x02{}", []) == []
    assert hub.wire.is_ending and hub.wire.close_code is None


@pytest.mark.parametrize("pieces", [1, 5])
def test_a_message_above_what_the_hub_said_it_sends_ends_the_connection(pieces: int) -> None:
    hub = ScriptedHub().open(max_update_bytes=1000)
    hub.send({"type": "weather", "payload": {"text": "x" * 900}})
    assert hub.session.state == "connected"
    big = b"\x81\x7e\x03\xe9" + b"x" * 1001
    for at in range(0, len(big), len(big) // pieces):
        hub.raw(big[at : at + len(big) // pieces])
    assert hub.session.state == "waiting"


def test_a_greeting_may_not_be_of_any_size() -> None:
    hub = ScriptedHub()
    hub.accept()
    hub.send({"type": "welcome", "payload": {**GREETING, "text": "x" * (2 << 20)}})
    assert hub.session.state == "closed" and hub.session.error is not None


def test_a_large_message_in_small_pieces_takes_time_in_proportion() -> None:
    """It is joined once: 16 MiB in 1,000 pieces are no 8 GiB of copying."""
    hub = Hub(NEAR)
    received(hub.wire, hub.sent(), [])
    hub.wire.allow(32 << 20)
    hub.server.send_text(json.dumps({"text": "x" * (16 << 20)}).encode())
    data = hub.sent()
    (message,) = received(hub.wire, data, list(range(0, len(data), 16 << 10)))
    assert len(message["text"]) == 16 << 20
