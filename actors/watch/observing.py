"""Begin and end watchdog's observers, with nothing left behind where one cannot begin."""

import os
from collections.abc import Callable

from watchdog.observers.api import BaseObserver

# An observer takes one descriptor for inotify and two for a pipe. watchdog keeps those that it has
# got when the next one fails, so all of them must be there.
_DESCRIPTORS = 4


def begun(
    make: Callable[[], BaseObserver], schedule: Callable[[BaseObserver], object]
) -> BaseObserver:
    """Return an observer that runs. Raises OSError, and RuntimeError if no thread can be
    started."""
    _check_descriptors()
    observer = make()
    observer.daemon = True
    try:
        schedule(observer)
        observer.start()
    except BaseException:
        end(observer, 1.0)  # the thread of its inotify runs already
        raise
    return observer


def end(observer: BaseObserver, timeout_s: float) -> None:
    """Stop an observer, whether it runs or not."""
    observer.stop()
    if observer.is_alive():
        observer.join(timeout_s)


def _check_descriptors() -> None:
    taken: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    finally:
        for fd in taken:
            os.close(fd)
