"""The wait for the projects at the start, and the reports of its progress."""

import threading
from typing import Any

import pytest

from actors.server import start_progress
from actors.server.start_progress import StartProgress
from actors.server.stop_request import StopRequest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_progress, "POLL_S", 0.001)
    monkeypatch.setattr(start_progress, "QUIET_S", 0.005)
    monkeypatch.setattr(start_progress, "BETWEEN_LINES_S", 0.002)


def test_a_quick_start_says_nothing() -> None:
    said: list[tuple[int, int]] = []
    waiting = StartProgress(lambda *state: said.append(state))
    waiting.note(3, 3)
    waiting.wait(StopRequest())
    assert said == []


def test_a_slow_start_says_how_far_it_is(quick: None) -> None:
    said: list[tuple[int, int]] = []
    enough = threading.Event()

    def say(*state: int) -> None:
        said.append(state)  # type: ignore[arg-type]
        if len(said) == 3:
            enough.set()

    waiting = StartProgress(say)
    waiting.note(1, 4)
    thread = threading.Thread(target=waiting.wait, args=(StopRequest(),))
    thread.start()
    assert enough.wait(10)
    waiting.note(4, 4)
    thread.join(10)
    assert said[0] == (1, 4)
    assert said[-1] == (4, 4)


def test_a_start_without_progress_ends(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_progress, "STALLED_S", 0.01)
    stop_request: Any = StopRequest()
    waiting = StartProgress(lambda *_: None)
    waiting.note(0, 1)
    waiting.wait(stop_request)
    assert stop_request.failure == "the projects did not open in time"
