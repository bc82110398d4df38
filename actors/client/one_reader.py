"""History is read by one client at a time, and at most half of the time.

Pages are made by the interpreter, which has one lock: four clients that catch up flat out would
leave a project that writes a tenth of its speed (bench/log.py, row 10). With this it keeps most of
it, and a page of 256 KiB still comes several hundred times a second.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from actors.runtime.clock import Clock

_one_at_a_time = threading.Lock()
_never = threading.Event()


@contextmanager
def one_reader(clock: Clock) -> Iterator[None]:
    """Waits for the turn, which others hold for twice the time of a page; after its own page the
    turn rests as long as it took."""
    with _one_at_a_time:
        start_s = clock.monotonic()
        try:
            yield
        finally:
            _never.wait(clock.monotonic() - start_s)
