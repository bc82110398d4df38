"""Is the hub that answers the one that has the data folder?"""

import os
from pathlib import Path

from actors.access.gate import server_name
from actors.doctor.finding import Setup
from storage import lock

PROC = Path("/proc")
# A hub counts its time from the end of its start, which may take long with large logs.
START_MAX_S = 900.0
_CLOCKS_DIFFER_S = 5.0
_LISTEN = "0A"  # the state TCP_LISTEN in /proc/net/tcp


def holder(setup: Setup) -> int | None:
    """Return the pid of the hub that has the data folder, None if there is none."""
    return lock.holder(os.path.join(setup.config.data_dir, "lock"))


def answers(setup: Setup) -> bool:
    """Return False if the hub that has answered has another data folder. True if it has this one,
    and if nobody can tell."""
    hub, pid = setup.hub, holder(setup)
    if hub is None or not hub.is_hub or pid is None:
        return False
    if hub.server is not None and (own := _server(setup)) is not None:
        return hub.server == own
    age_s = _age_s(pid)
    if hub.uptime_s is None or age_s is None:
        return True
    return -_CLOCKS_DIFFER_S <= age_s - hub.uptime_s <= START_MAX_S


def has_port(setup: Setup, port: int) -> bool:
    """Return True if the hub that has the data folder listens at the port."""
    pid = holder(setup)
    if pid is None:
        return False
    found = _listens(pid, port)
    return answers(setup) if found is None else found


def _server(setup: Setup) -> str | None:
    """Return the name that the hub of the data folder has in its challenges."""
    try:
        return server_name(Path(setup.config.data_dir, "id").read_text("ascii").strip())
    except (OSError, ValueError):
        return None


def _listens(pid: int, port: int) -> bool | None:
    """Return True if the process listens at the TCP port; None if that cannot be seen: only root
    can look at a hub's descriptors."""
    folder = PROC / str(pid)
    try:
        sockets = set(map(_target, (folder / "fd").iterdir()))
        lines = [
            line.split()
            for table in ("tcp", "tcp6")
            if (folder / "net" / table).exists()
            for line in (folder / "net" / table).read_text("ascii").splitlines()[1:]
        ]
    except OSError:
        return None
    # `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
    inodes = {
        words[9]
        for words in lines
        if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port
    }
    return any(f"socket:[{inode}]" in sockets for inode in inodes)


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed by now
        return None


def _age_s(pid: int) -> float | None:
    """Return how long the process has run, None where that cannot be seen."""
    try:
        stat = (PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
        up_s = float((PROC / "uptime").read_text("ascii").split()[0])
    except OSError:
        return None
    ticks = int(stat.rpartition(")")[2].split()[19])  # the 22nd field; the name may have spaces
    return up_s - ticks / os.sysconf("SC_CLK_TCK")
