"""The work of a thread that goes on after a failure, unless it fails too often."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from actors.runtime.living import LIVING
from actors.runtime.restarts import RESTART_PERIOD_S, RESTARTS_MAX, run_again


@dataclass
class SetClock:
    """A clock that a test sets."""

    now_s: float = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s, UTC)

    def monotonic(self) -> float:
        return self.now_s


class Work:
    """It fails `failures` times, `every_s` apart, and then returns."""

    def __init__(self, failures: int, every_s: float) -> None:
        self.left, self._every_s = failures, every_s
        self.clock = SetClock()

    def run(self) -> None:
        if self.left:
            self.left -= 1
            self.clock.now_s += self._every_s
            raise ValueError(f"{self.left} left")


def test_work_goes_on_after_failures_and_each_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = LIVING.deaths.get("thread w", 0), LIVING.restarts.get("thread w", 0)
    work = Work(RESTARTS_MAX, 0.0)
    run_again("w", work.run, work.clock)
    assert work.left == 0
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == RESTARTS_MAX
    assert all("a thread has failed, and goes on thread=w" in line for line in said)
    assert 'error="ValueError: 2 left"' in said[0]
    after = LIVING.deaths["thread w"], LIVING.restarts["thread w"]
    assert [a - b for a, b in zip(after, before, strict=True)] == [RESTARTS_MAX, RESTARTS_MAX]


def test_work_that_fails_too_often_ends_with_its_last_failure() -> None:
    work = Work(100, 0.0)
    with pytest.raises(ValueError, match="96 left"):
        run_again("w", work.run, work.clock)


def test_work_that_fails_now_and_then_goes_on_for_ever() -> None:
    work = Work(100, RESTART_PERIOD_S / RESTARTS_MAX)
    run_again("w", work.run, work.clock)
    assert work.left == 0
