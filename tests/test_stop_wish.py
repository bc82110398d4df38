"""A wish to stop is heard whichever thread the kernel gives the signal to."""

import os
import signal
import threading

from actors.stop_wish import StopWish


def test_a_signal_that_another_thread_gets_is_heard() -> None:
    wish = StopWish()
    go = threading.Event()

    def get_it() -> None:
        go.wait(5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=get_it)
    with wish.signals():
        thread.start()
        assert not wish.wait(0)
        go.set()
        wish.wait_for_ever()
        assert wish.is_wanted and wish.failure is None
        os.kill(os.getpid(), signal.SIGINT)  # again: no KeyboardInterrupt
        assert wish.wait(0)
    thread.join()


def test_a_failure_is_a_wish_with_a_reason() -> None:
    wish = StopWish()
    with wish.signals():
        threading.Timer(0.01, wish.fail, ["why"]).start()
        wish.wait_for_ever()
    assert wish.failure == "why"
    wish.fail("late")


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopWish().signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
