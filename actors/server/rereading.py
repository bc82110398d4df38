"""SIGHUP: read again what can change while the server runs.

A terminal that closes sends SIGHUP, too. It never ends anything.
"""

from collections.abc import Callable, Sequence

from actors import messages
from actors.config.faults import ConfigurationError
from actors.config.settings import Config
from actors.runtime.base import tell_if_alive
from actors.runtime.logger import get_logger
from actors.runtime.refs import Ref
from actors.server import logs
from actors.server.errors import StartFailed

logger = get_logger("claudehub.main")

# The settings that take effect at once. Keys and certificates are files, and read by their
# reloaders.
_AT_ONCE = frozenset(("log_level",))


class Rereading:
    """`load` reads the configuration, with the flags and the environment of the start, and raises
    ConfigurationError. `reloaders` have the keys and the certificate;
    `move_metrics` is Monitoring.move."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        reloaders: Sequence[Ref],
        move_metrics: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._config = config
        self._load = load
        self._reloaders = reloaders
        self._move_metrics = move_metrics
        self._metrics_port = config.metrics_port

    def read(self) -> None:
        """Read everything again. What is wrong is logged, and changes nothing."""
        logger.info("SIGHUP: configuration, keys and certificate are read again")
        for reloader in self._reloaders:
            tell_if_alive(reloader, messages.ReadAgain())
        try:
            config = self._load()
        except ConfigurationError as error:
            for fault in error.faults:
                logger.error("the configuration stays as it was", fault=fault)
            return
        changed = {n for n in Config.model_fields if getattr(config, n) != getattr(self._config, n)}
        logs.set_level(config.log_level)
        if config.metrics_port == self._metrics_port or self._moves_metrics(config.metrics_port):
            changed.discard("metrics_port")
        if waiting := sorted(name.upper() for name in changed - _AT_ONCE):
            logger.warning("these settings take effect at the next start", settings=waiting)

    def _moves_metrics(self, port: int) -> bool:
        """Change METRICS_PORT; return False if that takes a restart."""
        try:
            if not self._move_metrics(port):
                return False
        except StartFailed as error:
            logger.error("METRICS_PORT stays as it was", reason=str(error))
            return True
        self._metrics_port = port
        return True
