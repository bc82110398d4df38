"""A signal stops the server, whichever thread the kernel gives it to."""

import os
import signal
import threading

from actors.server.stop_request import StopRequest


def test_a_signal_to_any_thread_stops_the_server() -> None:
    stop_request = StopRequest()
    go = threading.Event()

    def get_it() -> None:
        go.wait(5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=get_it)
    with stop_request.signals():
        thread.start()
        assert not stop_request.wait(0)
        go.set()
        stop_request.wait_for_ever(lambda: None)
        assert stop_request.is_requested and stop_request.failure is None
        os.kill(os.getpid(), signal.SIGINT)  # again: no KeyboardInterrupt
        assert stop_request.wait(0)
    thread.join()


def test_a_failure_stops_the_server_with_a_reason() -> None:
    stop_request = StopRequest()
    with stop_request.signals():
        threading.Timer(0.01, stop_request.fail, ["why"]).start()
        stop_request.wait_for_ever(lambda: None)
    assert stop_request.failure == "why"
    stop_request.fail("late")


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
