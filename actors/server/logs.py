"""The server's log lines, on standard error: text for people, JSON for machines."""

import logging
import sys
from datetime import UTC, datetime

import simplejson

from actors.server import outlet


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return _stamp(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return simplejson.dumps(fields)


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _dropped(count: int) -> logging.LogRecord:
    text = "%d lines before this one were dropped, because nobody read them"
    return logging.LogRecord("claudehub.log", logging.WARNING, __file__, 0, text, (count,), None)


def configure(level: str, log_format: str) -> None:
    """Set up the root logger with our one handler: websocket-server adds one when it is
    imported."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _JsonFormatter() if log_format == "json" else _TextFormatter()
    handler.setFormatter(formatter)
    outlet.note_dropped(lambda count: formatter.format(_dropped(count)) + handler.terminator)
    logging.captureWarnings(True)
    logging.getLogger().handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Choose what is logged from now on."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    # These libraries report what we report ourselves.
    for name in ("websockets", "pykka", "watchdog", "websocket_server"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
