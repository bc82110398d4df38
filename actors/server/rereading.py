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

logger = get_logger("claudehub.main")

# The settings that take effect at once. Keys and certificates are files, and read by their
# reloaders.
_AT_ONCE = frozenset(("log_level",))


class Rereading:
    """`load` reads the configuration, with the flags and the environment of the start, and raises
    ConfigurationError. `reloaders` have the keys and the certificate."""

    def __init__(
        self, config: Config, load: Callable[[], Config], reloaders: Sequence[Ref]
    ) -> None:
        self._config = config
        self._load = load
        self._reloaders = reloaders

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
        if waiting := sorted(name.upper() for name in changed - _AT_ONCE):
            logger.warning("these settings take effect at the next start", settings=waiting)
