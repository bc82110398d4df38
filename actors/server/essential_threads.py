"""The threads that the server cannot do without: it ends, and says why, if one of them fails.

What each of them expects to fail, it handles by itself. So this is about bugs, and about a process
without memory. A thread that loses nothing by it goes on first: up to three times in 60 seconds
(`run_again` in actors/runtime/restarts.py).
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from actors.runtime.base import reason_of
from actors.runtime.living import LIVING

# Without accept nobody comes in, without readiness no idle client is heard, without the caretaker
# agents outlive a kill -9: these three go on. Without timers nothing is on time, without signals
# nobody can stop the server. These two end it at once: what they failed at, a timer or a signal, is
# lost, and somebody waits for it.
NAMES = frozenset(("accept", "caretaker", "readiness", "signals", "timers"))


@contextlib.contextmanager
def watched(fail: Callable[[str], None]) -> Iterator[None]:
    """Call `fail` with the reason, within this context, when one of these threads fails. The hook
    that was there before still logs it."""
    before = threading.excepthook

    def on_exception(args: threading.ExceptHookArgs, /) -> None:
        name = "" if args.thread is None else args.thread.name
        if name in NAMES:
            LIVING.died(f"thread {name}")
            error = args.exc_value or args.exc_type()
            fail(f"the thread {name} failed: {reason_of(error)}")
        before(args)

    threading.excepthook = on_exception
    try:
        yield
    finally:
        threading.excepthook = before
