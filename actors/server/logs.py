"""The server's log, on standard error: text for people, JSON for machines, one line an event.

It is also where everything else ends up that Python or a library would write to standard error by
itself: records of logging, warnings, exceptions that no thread catches, and what is printed.
"""

import contextlib
import io
import itertools
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import simplejson
from structlog.contextvars import merge_contextvars
from structlog.processors import format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from actors.config.secrets import HIDDEN, secret_values, without_known_secrets
from actors.runtime import log_text
from actors.runtime.logger import BLOCKS, Event, get_logger
from actors.server import outlet, system_limits
from actors.server.errors import StartFailed

logger = get_logger("claudehub.threads")

# Libraries that log what the server logs itself, with fields.
_ECHOES = ("websockets", "pykka", "watchdog", "websocket_server")
# watchdog says this, as an error, when an event comes while an observer ends: a client has left.
_INOTIFY, _OBSERVER_ENDS = "watchdog.observers.inotify", "called when the thread is inactive"
# A line that a library prints is cut into lines of this length.
PRINTED_CHARS_MAX = 1_000
# Of a field that is a list.
ITEMS_MAX = 100


class _Secrets:
    """What is hidden in every line. What only may be a secret is not: ids and fingerprints look
    like one."""

    def __init__(self) -> None:
        found = secret_values(os.environ)
        self._values = re.compile("|".join(map(re.escape, found))) if found else None

    def hide(self, text: str) -> str:
        text = without_known_secrets(text)
        return self._values.sub(HIDDEN, text) if self._values else text

    def clean(self, value: object) -> object:
        """Return a copy of a value, without secrets and of a bounded size."""
        match value:
            case None | bool() | int() | float():
                return value
            case list() | tuple() | set() | frozenset():
                return [self.clean(item) for item in itertools.islice(value, ITEMS_MAX)]
            case dict():
                pairs = itertools.islice(value.items(), ITEMS_MAX)
                return {str(key): self.clean(item) for key, item in pairs}
        return log_text.cut(self.hide(str(value)))


class _Formatter(ProcessorFormatter):
    """`render` makes the text of a line."""

    def __init__(self, render: Any) -> None:
        super().__init__(
            foreign_pre_chain=[merge_contextvars],
            processors=[format_exc_info, _completed(_Secrets()), render],
        )


def _completed(secrets: _Secrets) -> Any:
    """Return a processor that puts time, level and logger in front of the fields."""

    def complete(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event.pop("_record")
        del event["_from_structlog"]
        event.pop("exc_info", None)
        said = secrets.clean(str(event.pop("event")))
        blocks = {name: secrets.hide(str(event.pop(name))) for name in BLOCKS if name in event}
        return {
            "timestamp": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": said,
            **{name: secrets.clean(found) for name, found in event.items()},
            **{name: log_text.tail(text) for name, text in blocks.items()},
        }

    return complete


def _stamp(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(_: WrappedLogger, __: str, event: EventDict) -> str:
    head = f"{event.pop('timestamp')} {event.pop('level').upper():<7} {event.pop('logger')}: "
    blocks = [log_text.block(event.pop(name)) for name in BLOCKS if name in event]
    return head + log_text.line(event.pop("event"), event) + "".join(blocks)


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return simplejson.dumps(event, ignore_nan=True)


class _Handler(logging.StreamHandler[TextIO]):
    """A fault in a line is a line, too: logging would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        fault = sys.exception()
        event = Event(event="a log line cannot be made", at=f"{record.name}:{record.lineno}")
        event["error"] = type(fault).__name__
        self.stream.write(self.format(_record(logging.ERROR, event)) + self.terminator)


def _record(level: int, event: Event) -> logging.LogRecord:
    record = logging.LogRecord("claudehub.log", level, __file__, 0, event, (), None)
    record.__dict__.update(_logger=None, _name="")
    return record


def configure(level: str, log_format: str) -> None:
    """Set up the root logger with our one handler, and take away those of libraries: a library may
    have added some when it was imported."""
    handler = _Handler(_unlogged(sys.stderr))
    formatter = _Formatter(_json if log_format == "json" else _text)
    handler.setFormatter(formatter)

    def dropped(count: int) -> str:
        event = Event(event="log lines were dropped, because nobody read them", count=count)
        return formatter.format(_record(logging.WARNING, event)) + handler.terminator

    outlet.note_dropped(handler.stream, dropped)
    for other in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(other, logging.Logger):
            other.handlers.clear()
            other.propagate = True
    logging.getLogger().handlers[:] = [handler]
    logging.lastResort = handler
    set_level(level)


def say_last(reason: str, log_format: str) -> None:
    """Say why the server did not start: a plain line for people, as for a faulty setting."""
    if log_format == "json":
        logger.error("not started", reason=reason)
    else:
        _unlogged(sys.stderr).write(f"claudehub: {reason}\n")


def set_level(level: str) -> None:
    """Choose what is logged from now on."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for name in _ECHOES:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(_INOTIFY).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return _OBSERVER_ENDS not in record.getMessage()


def flush(timeout_s: float) -> None:
    """Write the lines so far, for so long; no further line is written."""
    outlet.flush(_unlogged(sys.stderr), timeout_s)


# -- what would be written past the log ------------------------------------------------------------


@contextlib.contextmanager
def everything_logged() -> Iterator[None]:
    """Make log lines, within this context, of warnings, of exceptions that nothing catches, and of
    what is written to standard error. Call it behind `configure`. Raises StartFailed."""
    before = (warnings.showwarning, threading.excepthook, sys.unraisablehook, sys.stderr)
    warnings.showwarning = _on_warning
    threading.excepthook = _on_thread_exception
    sys.unraisablehook = _on_unraisable
    sys.stderr = printed = _Printed(before[3])
    try:
        yield
    except StartFailed:  # the last line says it
        raise
    except Exception as error:
        if system_limits.is_lack(error):  # no bug
            raise StartFailed(system_limits.lack(error)) from None
        # Python would print a traceback, past the log.
        logger.error("the server has failed: this is a bug", error=error, exc_info=True)
        raise SystemExit(1) from None
    finally:
        printed.end_line()
        warnings.showwarning, threading.excepthook, sys.unraisablehook, sys.stderr = before


def _on_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    at = f"{filename}:{lineno}"
    get_logger("py.warnings").warning(str(message), category=category.__name__, at=at)


def _on_thread_exception(args: threading.ExceptHookArgs, /) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread is not None else "unknown"
    logger.error(
        "a thread has failed", thread=name, error=str(args.exc_value), exc_info=args.exc_value
    )


def _on_unraisable(args: "sys.UnraisableHookArgs", /) -> None:
    logger.error(
        args.err_msg or "an exception was ignored",
        where=getattr(args.object, "__qualname__", type(args.object).__name__),
        error=str(args.exc_value),
        exc_info=args.exc_value,
    )


class _Printed(io.TextIOBase):
    """Standard error for everybody but the log: each line that is printed becomes a log line.

    A thread's part of a line waits for the rest of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._logger = get_logger("claudehub.stderr")
        self._begun = threading.local()

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._begun, "text", "") + text).split("\n")
        while len(rest) > PRINTED_CHARS_MAX:
            lines.append(rest[:PRINTED_CHARS_MAX])
            rest = rest[PRINTED_CHARS_MAX:]
        self._begun.text = rest
        for line in lines:
            if line.strip():
                self._logger.warning(line)
        return len(text)

    def end_line(self) -> None:
        """Log what this thread has printed without a line break behind it."""
        self.write("\n")

    def fileno(self) -> int:
        return self.stream.fileno()


def _unlogged(stream: TextIO) -> TextIO:
    return stream.stream if isinstance(stream, _Printed) else stream
