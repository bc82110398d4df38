"""Is the hub that answers the one that has the data folder?"""

import os
from pathlib import Path

from actors.access.gate import server_name
from actors.doctor.finding import Setup
from actors.process_tree import strangers
from storage import lock
from storage.errors import StorageError
from storage.layout import DataLayout

# A hub counts its time from the end of its start, which may take long with large logs.
START_MAX_S = 900.0
_CLOCKS_DIFFER_S = 5.0


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
    age_s = strangers.age_s(pid, setup.clock.now())
    if hub.uptime_s is None or age_s is None:
        return True
    return -_CLOCKS_DIFFER_S <= age_s - hub.uptime_s <= START_MAX_S


def has_port(setup: Setup, port: int) -> bool:
    """Return True if the hub that has the data folder listens at the port."""
    pid = holder(setup)
    if pid is None:
        return False
    found = strangers.listens(pid, port)
    return answers(setup) if found is None else found


def _server(setup: Setup) -> str | None:
    """Return the name that the hub of the data folder has in its challenges."""
    try:
        return server_name(DataLayout(Path(setup.config.data_dir)).written_id())
    except (OSError, StorageError):
        return None
