"""The limits of the system."""

from collections.abc import Iterator
from pathlib import Path

from actors.doctor import own_hub
from actors.doctor.finding import Finding, Level, Setup, of_line, ok, warning
from actors.server import system_limits

# Each project that is joined has an instance, each of its folders a watch.
INSTANCES_BESIDE = 16
WATCHES_PER_PROJECT = 500
_INOTIFY = Path("/proc/sys/fs/inotify")


def limits(setup: Setup) -> Iterator[Finding]:
    """Look at the limits of the hub that runs; if none runs, at one's own."""
    pid = own_hub.holder(setup)
    # It raises the limit of this process, as the server does at its start.
    if pid is None and (problem := system_limits.too_low()) is not None:
        yield of_line(problem)
        return
    found = system_limits.warnings(setup.config.max_conn, pid=pid)
    whose = "" if pid is None else f" in process {pid}, the hub"
    for line in found:
        text, _, remedy = line.rpartition(": ")
        again = "" if pid is None else ", and start the hub again"
        yield Finding(Level.WARNING, text + whose, remedy + again)
    if not found:
        yield ok(f"room for {setup.config.max_conn} connections (MAX_CONN){whose}")


def inotify(setup: Setup) -> Iterator[Finding]:
    projects = setup.config.max_projects
    checks = (
        ("max_user_instances", projects + INSTANCES_BESIDE, "instances"),
        ("max_user_watches", WATCHES_PER_PROJECT * projects, "watches"),
    )
    few = []
    for name, wanted, what in checks:
        try:
            allowed = int((_INOTIFY / name).read_text())
        except (OSError, ValueError):
            continue  # not Linux, or not to be seen
        if allowed < wanted:
            few.append(name)
            yield warning(
                f"{allowed} {what} are allowed, and {projects} projects (MAX_PROJECTS) may need "
                f"{wanted}: without one the files of a project are not watched",
                f"sysctl -w fs.inotify.{name}={wanted}",
            )
    if not few:
        yield ok(f"enough to watch {projects} projects (MAX_PROJECTS)")
