"""Loggers whose lines are events with fields: structlog in front of the standard library's logging.

Each logger has its own structlog settings, so nothing here changes what another program, or a
library, has configured. `logs.py` of the server decides where the lines go and what they look like.
Without it, as in tests, an event is one line of text to whatever handlers there are.
"""

import logging
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.stdlib import BoundLogger, PositionalArgumentsFormatter, filter_by_level
from structlog.typing import EventDict, WrappedLogger

from actors.runtime import log_text

# What `exc_info` becomes, and what is shown as lines of its own in a log of text.
BLOCKS = ("exception", "block")


class Event(dict[str, Any]):
    """What a call of a logger says: `event`, and the fields. As a text it is one line."""

    def __str__(self) -> str:
        shown = {k: v for k, v in self.items() if k not in ("event", "exc_info", *BLOCKS)}
        return log_text.line(self.get("event"), shown)


def get_logger(name: str) -> BoundLogger:
    """Return the logger of that name. `bind` adds fields to all of its lines."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            filter_by_level,
            merge_contextvars,
            PositionalArgumentsFormatter(),
            _to_logging,
        ],
        wrapper_class=BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind()
    return logger


def _to_logging(
    logger: WrappedLogger, method: str, event: EventDict
) -> tuple[tuple[Event], dict[str, Any]]:
    """Hand an event to logging. ProcessorFormatter knows it by the two extras."""
    extra = {"_logger": logger, "_name": method}
    return (Event(event),), {"exc_info": event.get("exc_info"), "extra": extra}
