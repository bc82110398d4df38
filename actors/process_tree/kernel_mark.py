"""A mark that the kernel keeps: a number in a resource limit that no program uses.

Children inherit limits through fork, exec, a session of their own and another environment. The soft
limit RLIMIT_RTTIME counts microseconds of a real-time process; ours are beyond 100,000 years, so
they limit nothing. Reading one takes a microsecond and no descriptor, and a zombie still has its
own. A program can take the mark off (`ulimit -R`), but none does so by chance. Linux only.
"""

import functools
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager

# 2^62 says that it is a mark; then come the data folder, the run of the server, and the process.
_FIRST = 1 << 62
_DATA_BITS, _RUN_BITS, _PROCESS_BITS = 20, 22, 20
NUMBERS_KNOWN_MAX = 1024
_LIMIT: int | None = getattr(resource, "RLIMIT_RTTIME", None)
_is_refused = False


@functools.lru_cache(maxsize=NUMBERS_KNOWN_MAX)
def numbers_of(prefix: str) -> range:
    """Return the numbers of all marks (`DATA:RUN-PROCESS`) that begin so; one for a whole mark."""
    data, _, rest = prefix.partition(":")
    run, _, process = rest.partition("-")
    first, size = _FIRST, 1 << (_DATA_BITS + _RUN_BITS + _PROCESS_BITS)
    for part, bits in ((data, _DATA_BITS), (run, _RUN_BITS), (process, _PROCESS_BITS)):
        if not part:
            break
        size >>= bits
        digest = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest(), "big")
        first += (digest >> (64 - bits)) * size
    return range(first, first + size)


def read(pid: int) -> int | None:
    """Return the number that a process carries; None if it has none, is gone, or is another
    user's."""
    if _LIMIT is None:
        return None
    try:
        soft, _ = resource.prlimit(pid, _LIMIT)
    except (OSError, ValueError):
        return None
    return soft if soft >= _FIRST else None


@contextmanager
def given(mark: str) -> Iterator[None]:
    """Within this context, new processes carry the number of a mark. The limit is the whole
    process's: hold a lock around it, so that no other start is marked too."""
    if _LIMIT is None or not mark:
        yield
        return
    global _is_refused  # noqa: PLW0603 - a fact of this system
    before = resource.getrlimit(_LIMIT)
    if not _set((numbers_of(mark).start, before[1])):
        _is_refused = True
        yield
        return
    try:
        yield
    finally:
        _set(before)


def works() -> bool:
    """Return True if processes can be marked here: a hard limit or a sandbox may forbid it."""
    if _LIMIT is None or _is_refused:
        return False
    hard = resource.getrlimit(_LIMIT)[1]
    return hard == resource.RLIM_INFINITY or hard > 2 * _FIRST - 1


def _set(limits: tuple[int, int]) -> bool:
    assert _LIMIT is not None
    try:
        resource.setrlimit(_LIMIT, limits)
    except (OSError, ValueError):
        return False
    return True
