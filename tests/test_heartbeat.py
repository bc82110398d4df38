"""The heartbeat: when it pings, and when it gives a peer up."""

from datetime import timedelta

import freezegun

from actors.frontend.heartbeat import Heartbeat
from tests.fakes import FrozenClock


def test_a_peer_stays_connected_while_it_answers() -> None:
    with freezegun.freeze_time("2026-11-25") as now:
        heartbeat = Heartbeat(30.0, FrozenClock())
        assert heartbeat.due_in_s == 30.0
        for beat in range(5):
            now.tick(timedelta(seconds=30))
            assert heartbeat.due_in_s == 0 and heartbeat.is_alive(100 * beat)
            heartbeat.pinged(until_bytes=100 * beat + 2)
            assert heartbeat.awaits_pong and heartbeat.due_in_s == 30.0
            heartbeat.answered()
        heartbeat.pinged(until_bytes=502)
        assert not heartbeat.is_alive(502)


def test_a_ping_behind_moving_data_is_not_late() -> None:
    heartbeat = Heartbeat(30.0, FrozenClock())
    assert heartbeat.is_alive(0)
    heartbeat.pinged(until_bytes=1_000_000)  # behind a page of history, over a slow line
    assert heartbeat.is_alive(400_000)
    heartbeat.postponed()
    assert heartbeat.is_alive(800_000)
    assert not heartbeat.is_alive(800_000)  # it has stopped
    heartbeat.restart()
    assert heartbeat.is_alive(800_000)
    heartbeat.pinged(until_bytes=1_000_000)
    assert not heartbeat.is_alive(1_000_000)  # it is there, and not answered


def test_a_pause_of_the_machine_gives_the_peer_its_full_time() -> None:
    with freezegun.freeze_time("2026-11-25") as now:
        heartbeat = Heartbeat(30.0, FrozenClock())
        now.tick(timedelta(minutes=10))
        assert heartbeat.is_alive(0)
        heartbeat.pinged(until_bytes=2)
        assert heartbeat.due_in_s == 30.0
