"""Begin and end watchdog's observers, with nothing left behind where one cannot begin."""

import os
import threading
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


def threads_of(observer: BaseObserver) -> list[threading.Thread]:
    """Return the threads of an observer: the one that hands events on, those that gather them, and
    those that read for them, which watchdog does not show."""
    parts = [observer, *observer.emitters]
    held = [each for part in parts for each in list(vars(part).values())]
    readers = [each for each in held if isinstance(each, threading.Thread)]
    return list(dict.fromkeys([*parts, *readers]))


def runs(observer: BaseObserver) -> bool:
    """Return False if a thread of the observer has ended: then it may notice nothing."""
    return all(thread.is_alive() for thread in threads_of(observer))


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
