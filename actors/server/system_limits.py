"""What the system must allow for MAX_CONN connections; docs/tuning.md says how to raise it."""

import contextlib
import errno
import os
import re
import resource
from functools import partial
from pathlib import Path

from actors.limits.connections import HANDSHAKES_MAX

# For each connection: a descriptor, its reading thread and its Client's.
THREADS_PER_CONNECTION = 2
# Each thread's stack is a mapping, and so is the guard page below it.
MAPPINGS_PER_THREAD = 2
# For each project: its log, and while an agent runs its pipes; its actors and the agent's threads.
DESCRIPTORS_PER_PROJECT = 8
THREADS_PER_PROJECT = 8
DESCRIPTORS_BESIDE = 64
DESCRIPTORS_WANTED = 65536
# Below that a server does not start, or starts no agent.
DESCRIPTORS_MIN = 64
THREADS_BESIDE = 32
HANDSHAKES_LEAST = 8
_PROC = Path("/proc/sys")
_PROCESSES = Path("/proc")
# As /proc/PID/limits names them.
_NAMES = {resource.RLIMIT_NOFILE: "Max open files", resource.RLIMIT_NPROC: "Max processes"}
_CGROUPS = Path("/sys/fs/cgroup")


def warnings(max_conn: int, busy_projects: int = 16, pid: int | None = None) -> list[str]:
    """Return one line, with the remedy, for each limit that `max_conn` connections would reach in
    the process `pid`; None: in this one.

    `busy_projects` is how many projects are assumed to run an agent at the same time.
    """
    descriptors = (
        max_conn + HANDSHAKES_MAX + DESCRIPTORS_PER_PROJECT * busy_projects + DESCRIPTORS_BESIDE
    )
    threads = (
        THREADS_PER_CONNECTION * (max_conn + HANDSHAKES_MAX)
        + THREADS_PER_PROJECT * busy_projects
        + THREADS_BESIDE
    )
    mappings = MAPPINGS_PER_THREAD * threads
    soft = _soft if pid is None else partial(_soft_of, pid)
    checks = (
        ("descriptors", descriptors, soft(resource.RLIMIT_NOFILE), "ulimit -n {}"),
        ("threads", threads, soft(resource.RLIMIT_NPROC), "ulimit -u {}"),
        ("threads", threads, _tasks_of_the_cgroup(pid), "TasksMax={} (systemd), --pids-limit {}"),
        (
            "threads of the whole system",
            threads,
            _number(_PROC / "kernel/threads-max"),
            "sysctl kernel.threads-max={}",
        ),
        (
            "mappings (two a thread)",
            mappings,
            _number(_PROC / "vm/max_map_count"),
            "sysctl vm.max_map_count={}",
        ),
    )
    return [
        f"MAX_CONN={max_conn} needs about {needed} {what}, and {limit} are allowed: "
        f"{remedy.replace('{}', str(needed))} (docs/tuning.md)"
        for what, needed, limit, remedy in checks
        if limit is not None and limit < needed
    ]


def handshakes_max() -> int:
    """Return how many connections may be without authentication: a quarter of the descriptors at
    most, so that they leave some for everything else."""
    descriptors = _soft(resource.RLIMIT_NOFILE)
    if descriptors is None:
        return HANDSHAKES_MAX
    return max(HANDSHAKES_LEAST, min(HANDSHAKES_MAX, descriptors // 4))


def is_lack(error: BaseException) -> bool:
    """Return True if the system has given no thread or no memory."""
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)


def lack(error: BaseException) -> str:
    """Return what to say of such an error: the limits that can be the reason, as they are now."""
    address_space = _soft(resource.RLIMIT_AS)
    parts = [
        f"{name} is {value}"
        for name, value in (
            ("ulimit -v", None if address_space is None else f"{address_space >> 10} KiB"),
            ("ulimit -u", _soft(resource.RLIMIT_NPROC)),
            ("TasksMax", _tasks_of_the_cgroup(None)),
        )
        if value is not None
    ]
    limits = ", ".join(parts) or "no limit of this process is set"
    return f"the system gives no more threads or memory ({error}): {limits}; docs/tuning.md"


def without_descriptors(error: OSError) -> str | None:
    """Return what to say if the reason is that no descriptor is left, else None."""
    if error.errno == errno.EMFILE:
        return (
            f"no descriptor is left: ulimit -n is {_soft(resource.RLIMIT_NOFILE)}; docs/tuning.md"
        )
    if error.errno == errno.ENFILE:
        return "the whole system has no descriptor left: sysctl fs.file-max"
    return None


def too_low() -> str | None:
    """Return why no server can start with this process's limits, and what helps; or None."""
    raise_descriptors()
    allowed = _soft(resource.RLIMIT_NOFILE)
    if allowed is None or allowed >= DESCRIPTORS_MIN:
        return None
    return (
        f"{allowed} descriptors are allowed, and a server without clients needs {DESCRIPTORS_MIN}; "
        f"ulimit -n {DESCRIPTORS_WANTED} (docs/tuning.md)"
    )


def raise_descriptors() -> None:
    """Raise this process's limit on descriptors to DESCRIPTORS_WANTED, or to its hard limit
    if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _soft(which: int) -> int | None:
    if which == resource.RLIMIT_NPROC and os.geteuid() == 0:
        return None  # the limit does not apply to root
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def _soft_of(pid: int, which: int) -> int | None:
    """Return a soft limit of another process; None if it has none, or if that cannot be seen."""
    folder = _PROCESSES / str(pid)
    try:
        status, limits = (folder / "status").read_text(), (folder / "limits").read_text()
    except OSError:
        return None
    user = re.search(r"^Uid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    if which == resource.RLIMIT_NPROC and user is not None and user[1] == "0":
        return None
    found = re.search(rf"^{_NAMES[which]}\s+(\d+)", limits, re.MULTILINE)
    return None if found is None else int(found[1])


def _number(path: Path) -> int | None:
    """Return a number from a file; None if there is no such file, as on other systems, or no limit
    in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _tasks_of_the_cgroup(pid: int | None) -> int | None:
    try:
        lines = (_PROCESSES / str(pid or "self") / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name = line.rpartition(":")[2].lstrip("/")
        if (limit := _number(_CGROUPS / name / "pids.max")) is not None:
            return limit
    return None
