"""SIGHUP: read again what can change while the server runs.

A terminal that closes sends SIGHUP, too. It never ends anything.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from actors import messages
from actors.audit.trail import CONFIG_CHANGED
from actors.config.faults import ConfigurationError
from actors.config.secrets import without_secrets
from actors.config.settings import Config
from actors.config.written import NONE, text_of
from actors.metrics import catalogue
from actors.metrics.meter import Reading
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.server.errors import StartFailed

logger = get_logger("claudehub.main")

# Its name among the problems, until a SIGHUP finds nothing wrong.
PART = "configuration"

# The settings that take effect at once: in what begins from now on, an execution, a question, a
# connection. Keys and certificates are files, and read by their reloaders. All other settings need
# a restart: they are built into sockets, open logs, processes, or what clients were greeted with.
AT_ONCE = frozenset(
    (
        "allowed_origins",
        "auth_timeout",
        "compression",
        "exec_timeout",
        "heartbeat",
        "kill_grace",
        "log_compress",
        "log_level",
        "log_retain_bytes",
        "log_retain_days",
        "max_conn",
        "max_projects",
        "max_queue",
        "min_free_bytes",
        "msg_rotate_days",
        "path_prefix",
        "permission_mode",
        "permission_timeout",
        "protocol_v0",
        "project_roots",
        "public_names",
        "rate_limit",
        "revoke_kills",
        "slow_client_bytes",
        "stop_grace",
        "trust_projects",
        "warm_ahead",
        "warm_idle",
        "warm_sessions",
    )
)


_STAYS = "the configuration stays as it was"
_IN_PART = "not all of the configuration has changed"


class Rereading:
    """`config` is what holds now. `load` reads the configuration, with the flags and the
    environment of the start, and raises ConfigurationError. `reloaders` have the keys and the
    certificate. `use` makes a changed configuration hold. `record` writes a line of the audit
    log; `move_metrics` is Monitoring.move."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        reloaders: Sequence[Ref],
        use: Callable[[Config], None],
        record: Callable[..., None],
        move_metrics: Callable[[int], bool] = lambda _: False,
        *,
        problems: Problems,
        clock: Clock,
    ) -> None:
        self.config = config
        self._problems = problems
        self._clock = clock
        self._port_problem: str | None = None
        self._was_good = True
        self._good_s = clock.now().timestamp()
        self._load = load
        self._reloaders = reloaders
        self._use = use
        self._record = record
        self._move_metrics = move_metrics

    def read(self) -> None:
        """Read everything again. If anything is wrong with the configuration, nothing of it
        changes."""
        logger.info("SIGHUP: configuration, keys and certificate are read again")
        for reloader in self._reloaders:
            tell_if_alive(reloader, messages.ReadAgain())
        try:
            wanted = self._load()
        except ConfigurationError as error:
            for fault in error.faults:
                logger.error(_STAYS, fault=fault)
        except Exception as error:  # a bug; the server is well all the same
            logger.error(_STAYS, fault=str(error), exc_info=error)
        else:
            self._try(wanted)
            return
        self._record(CONFIG_CHANGED, ok=False, details={"read_again": "configuration"})
        self._ended("the last SIGHUP has found faults, and changed nothing; see the log")

    def _try(self, wanted: Config) -> None:
        before = self.config
        try:
            self._take(wanted)
        except Exception as error:  # a bug, and no reason to end what runs
            self.config = before  # so the next SIGHUP tries the same again
            logger.error(_IN_PART, error=error, exc_info=error)
            self._ended(f"{_IN_PART}; see the log")

    def _take(self, wanted: Config) -> None:
        """Change what can change now, and say what has changed."""
        self._port_problem = None
        differing = [n for n in Config.model_fields if self._of(n) != getattr(wanted, n)]
        at_once = AT_ONCE
        if "metrics_port" in differing and self._moves_metrics(wanted.metrics_port):
            at_once |= {"metrics_port"}
        now = [name for name in differing if name in at_once]
        later = [name for name in differing if name not in at_once]
        before, self.config = self.config, _with(self.config, wanted, now)
        if now:
            self._use(self.config)
        _say(before, wanted, now, later)
        self._ended(self._port_problem)
        if differing:
            self._record(
                CONFIG_CHANGED, details={"changed": _upper(now), "at_next_start": _upper(later)}
            )

    def _moves_metrics(self, port: int) -> bool:
        """Change METRICS_PORT; return False if that takes a restart, or if the port is taken."""
        try:
            return self._move_metrics(port)
        except StartFailed as error:
            logger.error("METRICS_PORT stays as it was", reason=str(error))
            self._port_problem = "METRICS_PORT stays as it was; see the log"
            return False

    def _ended(self, problem: str | None) -> None:
        """Note how the reading has ended."""
        self._problems.note(PART, problem)
        self._was_good = problem is None
        if problem is None:
            self._good_s = self._clock.now().timestamp()

    def readings(self) -> Iterable[Reading]:
        """Return what a scrape shows, in a thread of its own. The start counts as a reading."""
        yield catalogue.RELOADED, (), self._was_good
        yield catalogue.RELOADED_TIME, (), self._good_s

    def _of(self, name: str) -> Any:
        return getattr(self.config, name)


def _with(config: Config, wanted: Config, names: Sequence[str]) -> Config:
    return config.model_copy(update={name: getattr(wanted, name) for name in names})


def _say(before: Config, wanted: Config, now: Sequence[str], later: Sequence[str]) -> None:
    """Log one line: what changes, from what to what, and what needs a restart."""
    fields: dict[str, object] = {"changed": [_change(before, wanted, name) for name in now] or NONE}
    if later:
        fields["at_next_start"] = [_change(before, wanted, name) for name in later]
    log = logger.warning if later else logger.info
    log("configuration read again", **fields)


def _change(before: Config, wanted: Config, name: str) -> str:
    old, new = (_shown(name, getattr(config, name)) for config in (before, wanted))
    return f"{name.upper()} {old} -> {new}"


def _shown(name: str, value: object) -> str:
    return without_secrets(text_of(name, value)) or NONE


def _upper(names: Sequence[str]) -> list[str]:
    return [name.upper() for name in names]
