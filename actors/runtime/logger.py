"""Loggers whose lines are events with fields: structlog in front of the standard library's logging.

Each logger has its own structlog settings, so nothing here changes what another program, or a
library, has configured. `logs.py` of the server decides where the lines go and what they look like.
Without it, as in tests, an event is one line of text to whatever handlers there are.

structlog is imported with the first line. The guardian imports rooms that log, logs nothing, and
would be half as big again.
"""

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

from actors.runtime import log_text

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

# Of structlog, between the line that logs and logging: a record names that line.
_FRAMES = 4
# What `exc_info` becomes, and what is shown as lines of its own in a log of text.
BLOCKS = ("exception", "block")


class Event(dict[str, Any]):
    """What a call of a logger says: `event`, and the fields. As a text it is one line."""

    def __str__(self) -> str:
        shown = {k: v for k, v in self.items() if k not in ("event", "exc_info", *BLOCKS)}
        return log_text.line(self.get("event"), shown)


def get_logger(name: str) -> "BoundLogger":
    """Return the logger of that name. `bind` adds fields to all of its lines."""
    return cast("BoundLogger", _Logger(name))


def bind_ids(**ids: str) -> None:
    """Add fields to each line that this thread logs from now on, also to those of libraries."""
    from structlog.contextvars import bind_contextvars  # noqa: PLC0415 - see above

    bind_contextvars(**ids)


class _Logger:
    """structlog's BoundLogger, made when it is used for the first time."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(_bound_logger(self._name), attribute)
        setattr(self, attribute, found)
        return found


def _bound_logger(name: str) -> "BoundLogger":
    import structlog  # noqa: PLC0415 - see above
    from structlog import stdlib  # noqa: PLC0415

    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            stdlib.filter_by_level,
            _ids_first,
            stdlib.PositionalArgumentsFormatter(),
            _to_logging,
        ],
        wrapper_class=stdlib.BoundLogger,
        context_class=dict,
    ).bind()
    return logger


def _ids_first(
    _logger: logging.Logger, _method: str, event: MutableMapping[str, Any]
) -> dict[str, Any]:
    """Put what the thread has bound in front of the fields of the line."""
    from structlog.contextvars import get_contextvars  # noqa: PLC0415 - see above

    return {**get_contextvars(), **event}


def _to_logging(
    logger: logging.Logger, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Event], dict[str, Any]]:
    """Hand an event to logging. ProcessorFormatter knows it by the two extras."""
    return (Event(event),), {
        "exc_info": event.get("exc_info"),
        "extra": {"_logger": logger, "_name": method},
        "stacklevel": _FRAMES,
    }
