"""One compressor for all subscribers of a project: whoever gets its frames can read them."""

import random
import zlib
from typing import Any

import pytest

from actors.client.outbox import Outbox
from actors.client.subscription import Subscription
from protocol.deflation import ALONE_BYTES_MIN, Deflation
from protocol.dialect import VERSION_1, Broadcast
from protocol.frames import text_frame, text_frames
from protocol.inflater import Inflater
from tests.fakes import FakeTransport, FrozenClock

EMPTY_BLOCK = b"\x00\x00\xff\xff"


class Peer:
    """A client with an inflater of its own: RFC 7692, section 7.2.2."""

    def __init__(
        self, *, keeps_context: bool = True, window_bits: int = 15, limit: int = 1 << 30
    ) -> None:
        self.transport = FakeTransport()
        self.outbox = Outbox(
            self.transport, limit_bytes=limit, clock=FrozenClock(), wake=lambda: None
        )
        self.outbox.inflater = Inflater(keeps_context=keeps_context, window_bits=window_bits)
        self._keeps_context = keeps_context
        self._window_bits = window_bits
        self._inflate = zlib.decompressobj(-window_bits)
        self._read = 0
        self.compressed = 0
        self.overflows: list[Any] = []

    def join(self, project_id: str = "p", *, ephemeral: bool = True) -> Subscription:
        subscription = Subscription(
            subscriber_id=str(id(self)),
            project_id=project_id,
            dialect=VERSION_1,
            outbox=self.outbox,
            wants_ephemeral=ephemeral,
            overflowed=lambda *what: self.overflows.append(what),
            ended=lambda _: None,
        )
        subscription.register(0, 0)
        assert subscription.go_live()
        return subscription

    def messages(self) -> list[bytes]:
        """What has come since the last time, inflated."""
        stream, at, found = self.transport.sent, self._read, []
        while at < len(stream):
            length, start = stream[at + 1] & 0x7F, at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(stream[at + 2 : start])
            data = stream[start : start + length]
            if stream[at] & 0x40:
                self.compressed += 1
                data = self._inflated(data)
            found.append(data)
            at = start + length
        self._read = at
        return found

    def _inflated(self, data: bytes) -> bytes:
        if not self._keeps_context:
            self._inflate = zlib.decompressobj(-self._window_bits)
        return self._inflate.decompress(data + EMPTY_BLOCK)


def a_batch(deflation: Deflation, seq: int, texts: list[bytes], dropped: int = 0) -> Broadcast:
    """The first `dropped` of them may be dropped."""
    kept = texts[dropped:]
    return Broadcast(
        last_seq=seq,
        frames=text_frames(texts),
        kept_frames=text_frames(kept),
        messages=texts,
        kept_messages=kept,
        deflation=deflation,
    )


def a_text(chooser: random.Random) -> bytes:
    words = ["tool_use", "assistant", "session", "text", "content", str(chooser.random())]
    return " ".join(chooser.choices(words, k=chooser.randrange(1, 80))).encode()


@pytest.mark.parametrize("seed", range(8))
def test_every_subscriber_can_inflate_every_update(seed: int) -> None:
    """Peers of all kinds join, leave and join again in any order, in two projects."""
    chooser = random.Random(seed)
    projects = {"p": Deflation(), "q": Deflation()}
    kinds: list[dict[str, Any]] = [{}, {}, {"keeps_context": False}, {"window_bits": 9}]
    peers: list[Peer] = []
    joined: dict[tuple[int, str], tuple[Subscription, bool]] = {}
    for seq in range(1, 150):
        if chooser.random() < 0.3:
            peers.append(Peer(**chooser.choice(kinds)))
        for index, peer in enumerate(peers):
            key = (index, chooser.choice("ppq"))
            if chooser.random() < 0.1:
                ephemeral = chooser.random() < 0.7
                joined[key] = (peer.join(key[1], ephemeral=ephemeral), ephemeral)
            elif key in joined and chooser.random() < 0.1:
                joined.pop(key)[0].left()
        project_id = chooser.choice("ppq")
        texts = [a_text(chooser) for _ in range(chooser.randrange(1, 5))]
        dropped = chooser.randrange(0, len(texts))
        batch = a_batch(projects[project_id], seq, texts, dropped)
        for (_, of_project), (subscription, _) in joined.items():
            if of_project == project_id:
                subscription.offer(batch)
        for index, peer in enumerate(peers):
            _, ephemeral = joined.get((index, project_id), (None, None))
            wanted = [] if ephemeral is None else texts if ephemeral else texts[dropped:]
            assert peer.messages() == wanted
    assert sum(peer.compressed for peer in peers) > 100


def test_subscribers_share_one_stream_from_the_batch_after_the_join() -> None:
    deflation, first, second = Deflation(), Peer(), Peer()
    ones, twos = first.join(), second.join()
    text = b"the same words again and again " * 10

    def sizes(*subscriptions: Subscription) -> list[int]:
        before = [len(first.transport.sent), len(second.transport.sent)]
        batch = a_batch(deflation, 1, [text])
        for subscription in subscriptions:
            subscription.offer(batch)
        return [
            len(first.transport.sent) - before[0],
            len(second.transport.sent) - before[1],
        ]

    plain = len(text_frame(text))
    alone, nothing = sizes(ones)
    assert alone < plain / 4 and nothing == 0
    shorter, _ = sizes(ones)
    assert shorter < alone  # it refers to the first
    again, newcomers = sizes(ones, twos)
    assert again <= shorter and newcomers == plain  # its window is empty yet
    assert sizes(ones, twos) == [alone, alone]  # begun afresh, for both
    assert len(set(sizes(ones, twos))) == 1
    assert first.messages() == [text] * 5 and second.messages() == [text] * 3


def test_a_short_standalone_message_stays_uncompressed() -> None:
    for size, first_byte in ((ALONE_BYTES_MIN - 10, 0x81), (ALONE_BYTES_MIN + 10, 0xC1)):
        peer = Peer(keeps_context=False)
        peer.join().offer(a_batch(Deflation(), 1, [b"x" * size]))
        assert peer.transport.sent[0] == first_byte
        assert peer.messages() == [b"x" * size]


def test_a_connection_follows_one_project_at_a_time() -> None:
    peer, one, other = Peer(), Deflation(), Deflation()
    ps, qs = peer.join("p"), peer.join("q")
    text = b"words and words and words " * 20
    for _ in range(2):
        ps.offer(a_batch(one, 1, [text]))
        qs.offer(a_batch(other, 1, [text]))
    assert peer.messages() == [text] * 4 and peer.compressed == 2
    ps.left()
    qs.offer(a_batch(other, 2, [text]))
    qs.offer(a_batch(other, 3, [text]))
    assert peer.messages() == [text] * 2 and peer.compressed >= 3


def test_dropped_deltas_do_not_break_a_slow_peers_stream() -> None:
    """Later messages cannot refer to dropped deltas, so they go out uncompressed."""
    deflation, slow, quick = Deflation(), Peer(limit=9_000), Peer()
    slows, quicks = slow.join(), quick.join()
    chooser = random.Random(1)
    logged: list[bytes] = []
    slow.transport.room = 100
    for seq in range(1, 60):
        delta, line = (
            chooser.randbytes(150).hex().encode(),
            b"line %d " % seq + a_text(chooser)[:40],
        )
        batch = a_batch(deflation, seq, [delta, line], dropped=1)
        slows.offer(batch)
        quicks.offer(batch)
        logged.append(line)
        if seq == 55:
            slow.transport.room = 1 << 30
            slow.outbox.flush(0.0)
    assert not slow.overflows
    got = slow.messages()
    assert [text for text in got if text.startswith(b"line ")] == logged
    assert 60 < len(got) < 2 * len(logged)
    assert len(quick.messages()) == 2 * len(logged)


@pytest.mark.parametrize("what_waits", ["a begun batch", "a reply", "another project"])
def test_a_batch_dropped_at_once_does_not_break_the_stream(what_waits: str) -> None:
    """The batch has passed the compressor, so later messages could refer to it."""
    deflation, peer, chooser = Deflation(), Peer(limit=3000), random.Random(2)
    subscription, other = peer.join("p"), peer.join("q")
    texts = [chooser.randbytes(400).hex().encode() for _ in range(4)]
    subscription.offer(a_batch(deflation, 1, [b"line"]))  # the stream is p's
    peer.transport.room = 1
    if what_waits == "a begun batch":
        subscription.offer(a_batch(deflation, 2, [texts[0] * 3], dropped=0))
    elif what_waits == "a reply":
        peer.outbox.write(text_frame(texts[0] * 3), counts=True)
    else:
        other.offer(a_batch(Deflation(), 2, [texts[0] * 3]))
    subscription.offer(a_batch(deflation, 3, [texts[1] * 2, b"kept"], dropped=1))
    peer.transport.room = 1 << 30
    peer.outbox.flush(0.0)
    for seq in (4, 5, 6):
        subscription.offer(a_batch(deflation, seq, [texts[1] * 2]))
    assert not peer.overflows
    assert peer.messages() == [b"line", texts[0] * 3, b"kept", *[texts[1] * 2] * 3]
