"""METRICS_PORT: what the hub counts, whether it is alive, and whether it takes work.

It opens before anything else that takes time, and closes last, so that a start and a stop can be
seen. Without METRICS_PORT nothing of it exists, and prometheus_client is not imported.
"""

import contextlib
import http
import platform
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from actors.audit.trail import AuditTrail
from actors.config.settings import Config
from actors.executor.cli_facts import PART as CLI
from actors.frontend.status_listener import Answer, Page, StatusListener
from actors.metrics import catalogue
from actors.metrics.actor_readings import actor_readings
from actors.metrics.meter import Meter, Read, Reading
from actors.runtime.clock import Clock
from actors.runtime.living import LIVING
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.server import outlet
from actors.server.errors import StartFailed
from actors.server.system_limits import without_descriptors
from actors.watch.places import DATA_FOLDER
from actors.watch.room import STORAGE, StoragePlace
from protocol import VERSION
from storage.build import commit

logger = get_logger("claudehub.metrics")

STATUS_STOP_S = 2.0
# One scrape at a time is made; another one waits for its turn, at most this long.
SCRAPE_WAIT_S = 5.0
# The Hub is stuck if one message takes it so long: none waits for anything.
HUB_STUCK_S = 60.0
LOOPBACK = "127.0.0.1"
# Without these parts no prompt runs. Everybody who reaches the port may read these sentences, so
# they hold nothing of what a program or the system has said.
_NEEDED = {
    STORAGE: "less than MIN_FREE_BYTES is free, or nobody can tell; prompts are refused",
    CLI: "the CLI does not work; health_check and the log say why",
    DATA_FOLDER: "it is not as it was; health_check and the log say why",
}


class ServerState:
    """Say if the hub is alive, and if it takes work. Any thread may ask.

    `is_stopping` says that a stop is requested. The main thread sets `hub` and `is_open`.
    """

    def __init__(self, config: Config, problems: Problems, is_stopping: Callable[[], bool]) -> None:
        self.hub: Ref | None = None
        self.is_open = False
        self.storage = StoragePlace(Path(config.data_dir), config.min_free_bytes)
        self._problems = problems
        self._is_stopping = is_stopping

    def change(self, config: Config) -> None:
        """Use a changed MIN_FREE_BYTES."""
        self.storage.min_free_bytes = config.min_free_bytes

    def why_dead(self) -> list[str]:
        """Return why the hub should be restarted; nothing if it is alive."""
        if self.hub is not None and not self.hub.is_alive() and not self._is_stopping():
            return ["the hub's actor has ended"]
        slowest_s = max([s.handling_s for s in LIVING.states() if s.kind == "Hub"], default=0.0)
        if slowest_s > HUB_STUCK_S:
            return [f"the hub's actor is stuck: {slowest_s:.0f} s in one message"]
        return []

    def why_not_ready(self) -> list[str]:
        """Return why the hub takes no work at present; nothing if it does."""
        reasons = self.why_dead()
        if self._is_stopping():
            reasons.append("draining: the server stops, and takes no new prompts")
        elif not self.is_open:
            reasons.append("starting: clients cannot connect yet")
        self._look_at_storage()
        broken = [part for part in _NEEDED if self._problems.of(part) is not None]
        return reasons + [f"{part}: {_NEEDED[part]}" for part in broken]

    def _look_at_storage(self) -> bool:
        """Look now, and not only every few seconds; return True if prompts are refused."""
        problem = self.storage.look()
        self._problems.note(STORAGE, problem)
        return problem is not None

    def read(self) -> Iterable[Reading]:
        """Return what a scrape shows of this."""
        yield catalogue.READY, (), not self.why_not_ready()
        yield catalogue.DRAINING, (), self._is_stopping()
        yield catalogue.STORAGE_FULL, (), self._look_at_storage()
        yield catalogue.PROBLEMS, (), len(self._problems.now())
        yield catalogue.MIN_FREE_BYTES, (), self.storage.min_free_bytes
        with contextlib.suppress(OSError):
            yield catalogue.FREE_BYTES, (), self.storage.free_bytes()
        yield catalogue.THREADS, (), threading.active_count()
        yield catalogue.LINES_DROPPED, (), outlet.dropped_lines()
        yield catalogue.BUILD, (VERSION, commit() or "", platform.python_version()), 1


class Monitoring:
    """`meter` counts; None without METRICS_PORT. `is_own` is True for a name of the hub. For the
    main thread."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        state: ServerState,
        stack: contextlib.ExitStack,
        is_own: Callable[[str], bool],
    ) -> None:
        """Begin to answer; the stack ends that. Raises StartFailed."""
        self.state = state
        self.meter: Meter | None = None
        self._config = config
        self._clock = clock
        self._is_own = is_own
        self._listener: StatusListener | None = None
        if not config.metrics_port:
            return
        self.meter = Meter()
        self._pages = _pages(self.meter, state)
        self.meter.tally(state.read)
        self.meter.tally(lambda: actor_readings(LIVING))
        self._open(config.metrics_port)
        stack.callback(self._close)

    def move(self, port: int) -> bool:
        """Answer on another port from now on, or with 0 on none. Return False if that takes a
        restart: what began without METRICS_PORT does not count. Raises StartFailed if the port
        cannot be had; then the old one stays."""
        if self.meter is None:
            return not port
        if port:
            self._open(port)
        else:
            self._close()
        return True

    def _open(self, port: int) -> None:
        listener = _listen(self._config, port, self._clock, self._is_own)
        self._close()
        listener.start(self._pages)
        self._listener = listener
        logger.info("metrics are served", url=f"{listener.url}/metrics")

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.stop(STATUS_STOP_S)
            self._listener = None

    def watch_trail(self, trail: AuditTrail) -> None:
        """Show what the audit log drops."""
        self.watch(lambda: [(catalogue.AUDIT_DROPPED, (), trail.dropped)])

    def watch(self, read: Read) -> None:
        """Show what a part of the server reads at each scrape."""
        if self.meter is not None:
            self.meter.tally(read)

    def watch_certificate(self, expires_s: Callable[[], float | None]) -> None:
        """Show when the certificate expires, in Unix time; None: there is none."""

        def read() -> Iterable[Reading]:
            if (at_s := expires_s()) is not None:
                yield catalogue.CERTIFICATE, (), at_s

        self.watch(read)


def _listen(
    config: Config, port: int, clock: Clock, is_own: Callable[[str], bool]
) -> StatusListener:
    host = LOOPBACK if config.ws_port is None else config.bind
    try:
        return StatusListener(host, port, clock, is_own)
    except OSError as error:
        remedy = "choose another METRICS_PORT (0 turns it off)"
        reason = without_descriptors(error) or f"{error.strerror}; {remedy}"
        raise StartFailed(f"cannot listen on {host}:{port} (METRICS_PORT): {reason}") from None


class _Scrapes:
    """The page /metrics. Scrapes that come at once are made one after the other: together they
    would take the interpreter from everybody else."""

    def __init__(self, meter: Meter) -> None:
        # Only now: without METRICS_PORT a start must not pay for it.
        from actors.metrics.exposition import Exposition  # noqa: PLC0415

        self._exposition = Exposition(meter)
        self._turn = threading.Lock()

    def page(self, accept: str) -> Answer:
        if not self._turn.acquire(timeout=SCRAPE_WAIT_S):
            text = b"Service Unavailable: another scrape is under way\n"
            return Answer(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
        try:
            content_type, text = self._exposition.text(accept)
        finally:
            self._turn.release()
        return Answer(http.HTTPStatus.OK, text, content_type)


def _pages(meter: Meter, state: ServerState) -> Mapping[str, Page]:
    return {
        "/metrics": _Scrapes(meter).page,
        "/healthz": lambda _: _health(state.why_dead()),
        "/readyz": lambda _: _health(state.why_not_ready()),
    }


def _health(reasons: list[str]) -> Answer:
    """Return 200 without reasons, else 503 with one a line."""
    if not reasons:
        return Answer(http.HTTPStatus.OK, b"ok\n")
    text = "".join(f"{' '.join(reason.split())}\n" for reason in reasons)
    return Answer(http.HTTPStatus.SERVICE_UNAVAILABLE, text.encode())
