"""Signals stop the server, whichever thread the kernel gives them to, and whatever the main thread
waits for."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from actors.server.stop_request import StopRequest

WAIT_S = 10.0


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_to_any_thread_stops_the_server() -> None:
    stop_request = StopRequest()
    go = threading.Event()

    def get_it() -> None:
        go.wait(WAIT_S)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=get_it)
    with stop_request.signals():
        thread.start()
        assert not stop_request.wait(0)
        go.set()
        stop_request.wait_for_ever(lambda: None)
        assert stop_request.is_requested and stop_request.failure is None
        assert not stop_request.is_urgent
    thread.join()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_is_urgent(first: int, second: int) -> None:
    stop_request = StopRequest()
    with stop_request.signals():
        send(first)
        assert stop_request.wait(WAIT_S)
        send(second)  # no KeyboardInterrupt either
        assert stop_request.wait_until(lambda: stop_request.is_urgent, WAIT_S)


def test_a_third_signal_ends_at_once_although_the_main_thread_waits_for_a_lock() -> None:
    ended = threading.Event()
    stop_request = StopRequest(at_once=ended.set)
    with stop_request.signals():
        for count in (1, 2):
            send(signal.SIGTERM)
            assert stop_request.wait_until(lambda: stop_request._signals == count, WAIT_S)  # noqa: B023
            assert not ended.is_set()
        go = threading.Event()
        sender = threading.Thread(target=lambda: (go.wait(WAIT_S), send(signal.SIGTERM)))
        sender.start()
        go.set()
        assert ended.wait(WAIT_S)  # a lock, as in the midst of the stop
        sender.join()


def test_a_signal_right_before_the_end_does_not_hold_it_up() -> None:
    """The end came in one piece with the signal, was not known, and the stop waited for ever."""
    stop_request = StopRequest()
    reading, writing = os.pipe()
    os.write(writing, bytes([signal.SIGHUP, 0]))
    thread = threading.Thread(target=stop_request._read, args=(reading,), daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    os.close(reading)
    os.close(writing)


def test_what_is_shown_at_sigusr1_stops_nothing() -> None:
    shown = threading.Event()
    stop_request = StopRequest(show=shown.set)
    with stop_request.signals():
        send(signal.SIGUSR1)
        assert shown.wait(WAIT_S)
        assert not stop_request.is_requested


def test_a_failure_stops_the_server_with_a_reason() -> None:
    stop_request = StopRequest()
    with stop_request.signals():
        threading.Timer(0.01, stop_request.fail, ["why"]).start()
        stop_request.wait_for_ever(lambda: None)
    assert stop_request.failure == "why"
    assert stop_request.is_urgent
    stop_request.fail("late")


def test_each_hangup_before_a_stop_is_told() -> None:
    stop_request = StopRequest()
    told: list[int] = []

    def hung_up() -> None:
        told.append(1)
        send(signal.SIGHUP if len(told) < 3 else signal.SIGTERM)

    with stop_request.signals():
        send(signal.SIGHUP)
        stop_request.wait_for_ever(hung_up)
    assert len(told) == 3


def test_a_hangup_during_a_stop_is_said_to_have_no_effect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop_request = StopRequest()
    unread = "SIGHUP: the configuration is not read again"

    def hung_up() -> None:
        send(signal.SIGTERM)
        assert stop_request.wait(WAIT_S)
        stop_request._hung_up = True  # it came right before the other one

    with stop_request.signals():
        send(signal.SIGHUP)
        stop_request.wait_for_ever(hung_up)
        assert caplog.text.count(unread) == 1
        assert stop_request.reason == "SIGTERM"
        send(signal.SIGHUP)
        send(signal.SIGINT)  # the same thread reads it behind the other one
        assert stop_request.wait_until(lambda: stop_request.is_urgent, WAIT_S)
        assert caplog.text.count(unread) == 2
        assert stop_request.reason == "SIGTERM"


def test_a_wait_ends_in_time_when_nothing_comes() -> None:
    assert not StopRequest().wait_until(lambda: False, 0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signal_handlers_are_restored(number: int) -> None:
    before: Callable[..., object] | int | None = signal.getsignal(number)
    with StopRequest().signals():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_a_report_that_fails_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def show() -> None:
        called.set()
        raise ValueError("no luck")

    stop_request = StopRequest(show=show)
    with stop_request.signals():
        send(signal.SIGUSR1)
        assert called.wait(WAIT_S)
        send(signal.SIGTERM)  # the same thread goes on
        assert stop_request.wait(WAIT_S)
    assert stop_request.failure is None
    assert "what SIGUSR1 asks for cannot be shown" in caplog.text and "no luck" in caplog.text


def test_a_storm_of_sigusr1_shuts_no_stop_out_and_is_one_report() -> None:
    began, go_on = threading.Event(), threading.Event()
    reports: list[int] = []

    def show() -> None:
        reports.append(1)
        began.set()
        go_on.wait(WAIT_S)

    stop_request = StopRequest(show=show)
    with stop_request.signals():
        send(signal.SIGUSR1)
        assert began.wait(WAIT_S)
        for _ in range(1_000):
            send(signal.SIGUSR1)
        send(signal.SIGTERM)
        assert stop_request.wait(WAIT_S)  # although the report is not over
        assert len(reports) == 1
        go_on.set()
    assert len(reports) == 1


def test_stop_signals_of_one_read_are_counted_each() -> None:
    ended = threading.Event()
    stop_request = StopRequest(at_once=ended.set)
    reading, writing = os.pipe()
    os.write(writing, bytes([signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGTERM, 0]))
    stop_request._read(reading)
    assert ended.is_set()
    os.close(reading)
    os.close(writing)


def test_a_hangup_from_before_is_told() -> None:
    told: list[int] = []
    stop_request = StopRequest(hung_up=lambda: True)

    def hung_up() -> None:
        told.append(1)
        send(signal.SIGTERM)

    with stop_request.signals():
        stop_request.wait_for_ever(hung_up)
    assert told == [1]
