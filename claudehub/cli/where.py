"""Connect a command to its hub, and say in one line when the connection is lost and made again."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

import claudehub
from claudehub.cli.output import say
from claudehub.show.words import connected_again, connection_lost

# A shell that completes a word does not wait longer.
COMPLETION_TIMEOUT_S = 1.5
# A hub that restarts is back sooner. For a command that asks something, a longer absence is an
# error; who follows a project waits for ever.
GONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Where:
    """A hub and a key for it; None stands for the usual ones."""

    url: str | None
    key: Path | None = None


def _say(text: str) -> None:
    say(f"claudehub: {text}", err=True)


class Notices:
    """Tell the user of lost connections: one line when it is lost, and one when it is back."""

    def __init__(self, hub: claudehub.Hub, say: Callable[[str], None]) -> None:
        self._hub = hub
        self._say = say
        self._lost_at_s: float | None = None

    def changed(self, state: claudehub.State) -> None:
        if state is claudehub.State.WAITING and self._lost_at_s is None:
            self._lost_at_s = time.monotonic()
            self._say(connection_lost(self._hub.why))
        elif state is claudehub.State.CONNECTED and self._lost_at_s is not None:
            self._say(connected_again(time.monotonic() - self._lost_at_s))
            self._lost_at_s = None


def expanded(key: Path) -> Path:
    """Return the path of a key, with a home folder in the place of `~`. Raises click.UsageError."""
    try:
        return key.expanduser()
    except RuntimeError:
        raise click.UsageError(f"--key {key}: there is no home folder of that user") from None


def connected(where: Where, give_up_after_s: float | None = None) -> claudehub.Hub:
    """Connect. A lost connection is made again for so long, or for ever. Raises
    claudehub.ConnectFailed."""
    return claudehub.connect(where.url, key=where.key, give_up_after_s=give_up_after_s)


@contextlib.contextmanager
def reached(where: Where, give_up_after_s: float | None = GONE_S) -> Iterator[claudehub.Hub]:
    """Connect, and tell on standard error of lost connections. Raises claudehub.ConnectFailed, and
    ConnectionLost if none could be made for so long; None tries for ever."""
    with connected(where, give_up_after_s) as hub:
        hub.on_state(Notices(hub, _say).changed)
        yield hub


def project_ids(where: Where) -> list[str]:
    """Return the ids of all projects; nothing if the hub does not answer soon."""
    found: list[str] = []

    def ask() -> None:
        with (
            contextlib.suppress(claudehub.HubError),
            claudehub.connect(where.url, key=where.key, reconnect=False) as hub,
        ):
            found.extend(project.id for project in hub.projects())

    # The library has longer limits, and the shell waits meanwhile.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(COMPLETION_TIMEOUT_S)
    return list(found)
