"""The suite's own clock: tests freeze time, and what pytest measures goes on."""

import time

import freezegun
from _pytest import timing


def test_frozen_time_stands_still_except_for_pytest() -> None:
    began = timing.Instant()
    with freezegun.freeze_time("2026-11-25T12:00:00Z") as clock:
        assert time.time() == time.time() == 1795608000.0
        before = time.monotonic()
        clock.tick(60)
        assert time.monotonic() - before == 60 and time.time() == 1795608060.0
        passed_s = began.elapsed().seconds
        assert 0 < passed_s < 30
        assert began.elapsed().seconds > passed_s
