"""The write path of a connection, and the step from history to live. Without sockets."""

import freezegun
import pytest

from actors.client.backlog import Dropped
from actors.client.outbox import (
    CONTROL_FRAMES_MAX,
    PROGRESS_BYTES_MIN,
    PROGRESS_S,
    Outbox,
    WriteResult,
)
from actors.client.subscription import Subscription
from protocol.dialect import VERSION_1, Broadcast, broadcast
from protocol.frames import text_frame
from tests.fakes import FakeTransport, FrozenClock, texts

LIMIT = 1000


def an_outbox(room: int = 1 << 30, limit: int = LIMIT) -> tuple[Outbox, FakeTransport, list[int]]:
    transport, woken = FakeTransport(room), []
    return (
        Outbox(transport, limit_bytes=limit, clock=FrozenClock(), wake=lambda: woken.append(1)),
        transport,
        woken,
    )


def live(outbox: Outbox, frames: bytes, kept: bytes | None = None) -> WriteResult:
    with outbox.lock:
        return outbox.write_live(frames, frames, frames if kept is None else kept)


def test_an_idle_socket_gets_the_frames_at_once() -> None:
    outbox, transport, woken = an_outbox()
    outbox.write(b"abc", counts=True)
    assert live(outbox, b"def") is WriteResult.TAKEN
    assert transport.sent == b"abcdef"
    assert outbox.is_idle and not woken


def test_frames_that_the_socket_does_not_take_wait_and_wake_the_client_once() -> None:
    outbox, transport, woken = an_outbox(room=2)
    outbox.write(b"abcd", counts=True)
    outbox.write(b"ef", counts=True)
    assert (transport.sent, woken, outbox.waiting_bytes) == (b"ab", [1], 6)
    transport.room = 100
    outbox.flush(0.0)
    assert transport.sent == b"abcdef"
    assert outbox.is_idle and outbox.waiting_bytes == 0


def test_a_flush_without_progress_wakes_again() -> None:
    outbox, _, woken = an_outbox(room=0)
    outbox.write(b"abcd", counts=True)
    outbox.flush(0.0)
    assert woken == [1, 1]


def test_above_the_limit_droppable_updates_go_first() -> None:
    outbox, transport, _ = an_outbox(room=0)
    assert live(outbox, b"x" * (LIMIT * 5)) is WriteResult.TAKEN  # nothing else waits
    assert live(outbox, b"y") is WriteResult.OVERFLOW
    outbox, transport, _ = an_outbox(room=0)
    live(outbox, b"x" * (LIMIT - 10))
    assert live(outbox, b"d" * 20 + b"k" * 10, kept=b"k" * 10) is WriteResult.TAKEN
    assert live(outbox, b"d", kept=b"") is WriteResult.TAKEN
    assert live(outbox, b"k") is WriteResult.OVERFLOW
    transport.room = 1 << 20
    outbox.flush(0.0)
    assert transport.sent == b"x" * (LIMIT - 10) + b"k" * 10


def test_waiting_droppable_updates_go_before_the_client_is_closed() -> None:
    outbox, transport, _ = an_outbox(room=5)
    delta, line = text_frame(b"d" * 300), text_frame(b"l" * 100)
    for _ in range(2):  # of the first one some bytes are sent: it stays whole
        assert live(outbox, delta + line, kept=line) is WriteResult.TAKEN
    assert outbox.waiting_bytes == 2 * len(delta + line)
    assert live(outbox, delta + line, kept=line) is WriteResult.TAKEN
    assert outbox.waiting_bytes == len(delta) + 3 * len(line)
    for _ in range(3):
        assert live(outbox, line) is WriteResult.TAKEN
    assert live(outbox, line * 5) is WriteResult.OVERFLOW
    transport.room = 1 << 20
    outbox.flush(0.0)
    assert transport.sent == delta + line * 6


def test_droppable_updates_alone_never_close_a_client() -> None:
    outbox, transport, _ = an_outbox(room=1)
    huge = text_frame(b"x" * (3 * LIMIT))
    assert live(outbox, huge) is WriteResult.TAKEN  # nothing else waits
    assert live(outbox, text_frame(b"delta"), kept=b"") is WriteResult.TAKEN
    assert live(outbox, b"", kept=b"") is WriteResult.TAKEN
    assert live(outbox, text_frame(b"line")) is WriteResult.OVERFLOW
    transport.room = 1 << 20
    outbox.flush(0.0)
    assert transport.sent == huge


def test_a_large_reply_leaves_half_of_the_room_to_updates() -> None:
    outbox, _, _ = an_outbox(room=1)
    outbox.write(text_frame(b"r" * (5 * LIMIT)), counts=True)
    assert live(outbox, b"x" * (LIMIT // 2)) is WriteResult.TAKEN
    assert live(outbox, b"x") is WriteResult.OVERFLOW


def test_a_buffer_that_is_half_sent_counts_whole() -> None:
    outbox, _, _ = an_outbox(room=1)
    line = text_frame(b"k" * 8)
    assert live(outbox, text_frame(b"d" * 980) + line, kept=line) is WriteResult.TAKEN
    assert live(outbox, text_frame(b"d" * 980) + line, kept=line) is WriteResult.OVERFLOW
    assert outbox.waiting_bytes <= LIMIT


def test_a_caller_that_finds_the_outbox_busy_is_woken_when_it_is_empty() -> None:
    """A pong on its way wakes nobody, but a replay that waits for it must continue."""
    outbox, transport, woken = an_outbox()
    assert outbox.is_idle_else_wake() and not woken
    transport.held_bytes = 1
    assert not outbox.is_idle_else_wake()
    transport.held_bytes = 0
    outbox.control(b"\x8a\x00")
    assert woken == [1]
    outbox.control(b"\x8a\x00")
    assert woken == [1]


def test_a_client_must_read_a_minimum_in_a_period() -> None:
    with freezegun.freeze_time("2026-11-25") as now:
        outbox, transport, _ = an_outbox(room=0, limit=1 << 30)
        outbox.write(b"r" * 1000, counts=False)
        now.tick(2 * PROGRESS_S)
        assert not outbox.is_too_slow()  # a replay goes at its reader's pace
        outbox.write(b"x" * (4 * PROGRESS_BYTES_MIN), counts=True)
        now.tick(PROGRESS_S - 1)
        assert not outbox.is_too_slow()
        transport.room = PROGRESS_BYTES_MIN
        outbox.flush(0.0)
        now.tick(1)
        assert not outbox.is_too_slow()  # it took enough, and has as long again
        transport.room = PROGRESS_BYTES_MIN - 1
        outbox.flush(0.0)
        assert not outbox.is_too_slow()
        now.tick(PROGRESS_S)
        assert outbox.is_too_slow()


def test_the_period_begins_when_something_waits() -> None:
    with freezegun.freeze_time("2026-11-25") as now:
        outbox, transport, _ = an_outbox()
        outbox.write(b"sent at once", counts=True)
        now.tick(10 * PROGRESS_S)
        transport.room = 0
        live(outbox, b"x" * 10)
        assert not outbox.is_too_slow()
        now.tick(PROGRESS_S)
        assert outbox.is_too_slow()


def test_a_replay_does_not_count_against_the_limit() -> None:
    outbox, _, _ = an_outbox(room=0)
    outbox.write(b"r" * (10 * LIMIT), counts=False)
    assert outbox.waiting_bytes == 0
    assert live(outbox, b"x" * LIMIT) is WriteResult.TAKEN


def test_pongs_go_before_whole_frames_and_behind_a_half_sent_one() -> None:
    outbox, transport, _ = an_outbox(room=3)
    outbox.write(text_frame(b"first") + text_frame(b"second"), counts=True)
    outbox.control(b"PONG")
    transport.room = 100
    outbox.flush(0.0)
    assert transport.sent == text_frame(b"first") + b"PONG" + text_frame(b"second")


def test_a_pong_goes_between_two_frames_of_a_buffer_and_says_where_it_ends() -> None:
    one, two = text_frame(b"one" * 20), text_frame(b"two" * 20)
    outbox, transport, _ = an_outbox(room=10)
    outbox.write(one + two, counts=True)
    assert outbox.control(b"PONG") == len(one) + 4
    assert outbox.control(b"PING") == len(one) + 8
    transport.room = len(one) - 10 + 2  # the pong itself is cut in two
    outbox.flush(0.0)
    assert transport.sent == one + b"PO"
    transport.room = 1000
    outbox.flush(0.0)
    assert transport.sent == one + b"PONGPING" + two
    assert outbox.control(b"DONE") == len(transport.sent) == outbox.sent_bytes


def test_bytes_held_back_by_the_transport_wake_the_client() -> None:
    outbox, transport, woken = an_outbox()
    transport.held_bytes = 3
    assert live(outbox, b"abcdef") is WriteResult.TAKEN
    assert woken and not outbox.is_idle
    outbox.half_close()
    assert not transport.half_closed
    transport.held_bytes = 0
    outbox.flush(0.0)
    assert outbox.is_idle and transport.half_closed


def test_waiting_pongs_are_limited() -> None:
    outbox, transport, _ = an_outbox(room=0)
    ping = b"\x89\x00"
    outbox.control(b"\x8a\x02-1")
    outbox.control(ping)
    for number in range(CONTROL_FRAMES_MAX + 5):
        outbox.control(b"\x8a\x02%02d" % number)
    transport.room = 1000
    outbox.flush(0.0)
    assert len(transport.sent) <= 4 * (CONTROL_FRAMES_MAX + 1)
    assert ping in transport.sent  # the hub's own is awaited; only a pong may be left out
    assert transport.sent.endswith(b"%02d" % (CONTROL_FRAMES_MAX + 4))


def test_a_close_drops_waiting_frames_but_finishes_a_half_sent_one() -> None:
    one, two = text_frame(b"one" * 20), text_frame(b"two" * 20)
    outbox, transport, _ = an_outbox(room=10)
    outbox.write(one + two, counts=True)
    outbox.write(two, counts=True)
    outbox.close(1013, "slow")
    outbox.write(b"late", counts=True)
    assert live(outbox, b"late") is WriteResult.CLOSED
    transport.room = 1000
    outbox.flush(0.0)
    assert transport.sent == one + b"\x88\x06\x03\xf5slow"


def test_the_close_reason_sees_what_is_dropped() -> None:
    one, two = text_frame(b"one" * 20), text_frame(b"two" * 20)
    outbox, transport, _ = an_outbox(room=len(one) + 1)
    outbox.write(one + two + one, counts=True)
    live(outbox, two)
    seen: list[Dropped] = []

    def reason(dropped: list[Dropped]) -> str:
        seen.extend(dropped)
        return "because"

    outbox.close(1013, reason)
    assert seen == [Dropped(one + two + one, skip=2), Dropped(two, skip=0)]
    transport.room = 1000
    outbox.flush(0.0)
    assert transport.sent == one + two + b"\x88\x09\x03\xf5because"


def test_a_second_close_does_nothing_and_the_half_close_is_last() -> None:
    outbox, transport, _ = an_outbox(room=0)
    outbox.write(b"x", counts=True)
    outbox.close_with(b"CLOSE")
    outbox.close(1000, "again")
    outbox.half_close()
    assert not transport.half_closed
    transport.room = 100
    outbox.flush(0.0)
    assert transport.sent == b"xCLOSE"
    assert transport.half_closed


def test_a_broken_socket_closes_quietly() -> None:
    outbox, transport, _ = an_outbox()
    transport.is_broken = True
    outbox.write(b"x", counts=True)
    assert not outbox.is_open and outbox.is_idle
    assert live(outbox, b"y") is WriteResult.CLOSED
    outbox.abort()
    assert transport.aborted


def batch(
    seq: int | None, text: bytes, kept: bytes | None = None, *, final: bool = False
) -> Broadcast:
    frames = text_frame(text)
    kept_frames = frames if kept is None else kept
    return Broadcast(seq, frames, kept_frames, (), (), is_final=final)


def a_subscription(
    outbox: Outbox, *, ephemeral: bool = True
) -> tuple[Subscription, list[tuple[str, int]]]:
    overflows: list[tuple[str, int]] = []
    subscription = Subscription(
        subscriber_id="c",
        project_id="p",
        dialect=VERSION_1,
        outbox=outbox,
        wants_ephemeral=ephemeral,
        overflowed=lambda *what: overflows.append(what),
        ended=lambda why: None,
    )
    return subscription, overflows


def test_live_begins_exactly_where_the_replay_ends() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(2, 4)
    assert not subscription.go_live()
    subscription.offer(batch(5, b"five"))  # noted, not sent: the replay will read it
    assert (subscription.newest, transport.sent) == (5, b"")
    subscription.replayed(text_frame(b"3+4"), 4)
    assert not subscription.go_live()
    subscription.replayed(text_frame(b"five"), 5)
    assert subscription.go_live()
    subscription.offer(batch(6, b"six"))
    assert texts(transport.sent) == [b"3+4", b"five", b"six"]


def test_a_join_at_the_last_number_is_live_at_once() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(4, 4)
    assert subscription.go_live()
    subscription.offer(batch(5, b"five"))
    assert texts(transport.sent) == [b"five"]


def test_ephemeral_updates_begin_at_the_live_end() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(0, 1)
    subscription.offer(batch(None, b"delta"))
    subscription.replayed(b"", 1)
    subscription.go_live()
    subscription.offer(batch(None, b"delta2"))
    assert texts(transport.sent) == [b"delta2"]


@pytest.mark.parametrize("ephemeral", [True, False])
def test_the_newest_status_of_a_replay_comes_at_its_end(ephemeral: bool) -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox, ephemeral=ephemeral)
    subscription.register(0, 1)
    stored = (b'{"crc":"00000000",{"seq":2}', True, True)
    for status in (b"executing", b"idle"):
        told = (b'{"status":"' + status + b'"', False, True)
        mixed = [told, stored] if status == b"idle" else [told]
        last = 2 if status == b"idle" else None
        subscription.offer(broadcast(VERSION_1, mixed, last_seq=last, deflation=None))
    subscription.offer(batch(None, b"delta", kept=b""))
    subscription.replayed(text_frame(b"1+2"), 2)
    assert subscription.go_live()
    replayed, state = texts(transport.sent)
    assert replayed == b"1+2"
    assert b"idle" in state and b"executing" not in state


def test_without_ephemeral_only_kept_updates_come() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox, ephemeral=False)
    subscription.register(0, 0)
    subscription.go_live()
    subscription.offer(batch(None, b"delta", kept=b""))
    subscription.offer(batch(1, b"whole", kept=text_frame(b"kept")))
    assert texts(transport.sent) == [b"kept"]
    assert subscription.position == 1


def test_the_last_update_comes_after_the_replay() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(0, 1)
    subscription.offer(batch(None, b"deleted", final=True))
    subscription.replayed(text_frame(b"one"), 1)
    subscription.go_live()
    assert texts(transport.sent) == [b"one", b"deleted"]


def test_updates_wait_for_a_reply_that_must_come_first() -> None:
    outbox, transport, _ = an_outbox()
    outbox.hold_live()
    assert live(outbox, text_frame(b"one")) is WriteResult.TAKEN
    assert live(outbox, text_frame(b"two")) is WriteResult.TAKEN
    outbox.write(text_frame(b"reply"), counts=True)
    assert texts(transport.sent) == [b"reply"]
    outbox.release_live()
    outbox.release_live()
    assert live(outbox, text_frame(b"three")) is WriteResult.TAKEN
    assert texts(transport.sent) == [b"reply", b"one", b"two", b"three"]


def test_held_updates_count_against_the_limit_and_end_with_the_connection() -> None:
    outbox, transport, _ = an_outbox()
    outbox.hold_live()
    big = text_frame(b"x" * (LIMIT - 100))
    assert live(outbox, big) is WriteResult.TAKEN
    assert live(outbox, big) is WriteResult.OVERFLOW
    outbox.close(1000, "bye")
    outbox.release_live()
    assert big not in transport.sent and transport.sent


@pytest.mark.parametrize("end", ["left", "replaced"])
def test_a_replay_of_who_left_or_joined_again_may_lose_its_log(end: str) -> None:
    """The project may be deleted before the Client has the answer to its leave or join."""
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(0, 1)
    assert not subscription.abandon_replay()
    getattr(subscription, end)()
    assert subscription.abandon_replay() and texts(transport.sent) == []


def test_a_replay_whose_log_is_gone_ends_with_the_last_update() -> None:
    outbox, transport, _ = an_outbox()
    subscription, _ = a_subscription(outbox)
    subscription.register(0, 9)
    assert not subscription.abandon_replay()
    subscription.offer(batch(None, b"deleted", final=True))
    assert subscription.abandon_replay()
    assert texts(transport.sent) == [b"deleted"]


def test_an_overflow_names_the_last_number_that_was_sent() -> None:
    outbox, _, _ = an_outbox(room=0)
    subscription, overflows = a_subscription(outbox)
    subscription.register(0, 0)
    subscription.go_live()
    subscription.offer(batch(1, b"x" * (LIMIT - 50)))
    subscription.offer(batch(2, b"y" * 100))
    subscription.offer(batch(3, b"z"))
    assert overflows == [("p", 1)]
