"""What can be seen of a process that is none of ours."""

from datetime import datetime

import psutil


def listens(pid: int, port: int) -> bool | None:
    """Return True if the process listens at the TCP port; None if that cannot be seen: only root
    can look at a hub's descriptors."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError):
        return None
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        for each in found
    )


def age_s(pid: int, now: datetime) -> float | None:
    """Return how long the process has run, None where that cannot be seen."""
    try:
        return now.timestamp() - psutil.Process(pid).create_time()
    except (psutil.Error, OSError):
        return None
