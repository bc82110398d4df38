"""The message log of the older server (version 0): its lines, and the updates that come of them.
Pure.

A line holds a prompt of a client, or a line of the CLI:

    {"timestamp":"…","message":{"type":"user","content":{"text":"…"}},"direction":"client"}
    {"timestamp":"…","message":{"type":"…","content":{…}},"direction":"claude"}

That log does not say how a run ended, unless the CLI did, and not when it started.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import simplejson

from protocol.claude import AgentLine, TurnEnd, parse_line
from protocol.codec import dumps, loads
from protocol.fields import parse_time
from protocol.updates import ExecutionFinished, ExecutionStarted, Outcome, Prompt, UpdateType

# The sender of prompts of which nobody knows who sent them.
IMPORTED = "imported"
# What execution ids are made from, with the project and the number of the execution in it. So a
# second import gives each execution the same id.
_EXECUTIONS = UUID("7c1f5f0e-6f0c-5a53-9a0e-2f4f2b6f7a11")
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
# The form in which the older server wrote the CLI's lines. If what stands between the two is one
# JSON object, then the line is JSON too, and the object is passed on without being written anew.
_CLAUDE_HEAD = re.compile(
    rb'\{"timestamp":"([^"\\]{20,40})","message":\{"type":"[^"\\]{0,64}","content":(?=\{)'
)
_CLAUDE_TAIL = b'},"direction":"claude"}'
# What a number has in it that is too large for a float.
_HUGE = re.compile(rb"[eE]\+?\d{3}|\d{300}")
_MILLISECOND = timedelta(milliseconds=1)


class Fault(StrEnum):
    """Why a line is left out."""

    NOT_JSON = "is not a JSON object in UTF-8"
    NO_TIME = "has no valid time"
    NO_DIRECTION = "has no direction (client or claude)"
    NO_PROMPT = "is a prompt without a text"
    NO_OBJECT = "has no JSON object as its content"
    TOO_LONG = "is longer than MAX_LINE_BYTES"


class LineRefused(Exception):
    """A line that is left out. `is_prompt`: it was one, so the run before it had ended."""

    def __init__(self, fault: Fault, *, is_prompt: bool = False) -> None:
        super().__init__(fault)
        self.fault = fault
        self.is_prompt = is_prompt


@dataclass(frozen=True, slots=True)
class OldRecord:
    """A line that is taken over: a `prompt`, or else `data`, the CLI's line as JSON. `session_id`
    and `end` are what that line says of the session and of the end of the run."""

    timestamp: str
    prompt: str | None = None
    data: bytes = b""
    session_id: str | None = None
    end: TurnEnd | None = None


class OldUpdate(NamedTuple):
    """An update that is to be stored, with the time of the line from which it comes. `data` is JSON
    or a value for `codec.dumps`."""

    timestamp: str
    update_type: UpdateType
    data: Any
    execution_id: str | None = None


# -- lines --------------------------------------------------------------------------------------


def read_line(raw: bytes, max_bytes: int) -> OldRecord | None:
    """Return what a line, without its newline, says; None for an empty line. `max_bytes` is
    MAX_LINE_BYTES. Raises LineRefused."""
    line = raw.removeprefix(_BOM).strip(b" \t\r")
    if not line:
        return None
    if len(line) > max_bytes:
        raise LineRefused(Fault.TOO_LONG)
    head = _CLAUDE_HEAD.match(line)
    if head is not None and line.endswith(_CLAUDE_TAIL):
        content = line[head.end() : -len(_CLAUDE_TAIL)]
        told = parse_line(content, max_bytes)
        if told is not None and told.update_type is not UpdateType.CLAUDE_TEXT:
            return _said(_time(head[1].decode("ascii", "replace")), content, told)
    return _from_value(_loads(line), max_bytes)


def _loads(line: bytes) -> dict[str, Any]:
    try:
        value = simplejson.loads(line, use_decimal=True)  # a number keeps its digits
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LineRefused(Fault.NOT_JSON)
    return value


def _from_value(value: dict[str, Any], max_bytes: int) -> OldRecord:
    """Return the record of a line that has another form than the older server's own."""
    direction, message = value.get("direction"), value.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if direction == "client":
        text = content.get("text") if isinstance(content, dict) else content
        if not isinstance(text, str):
            raise LineRefused(Fault.NO_PROMPT, is_prompt=True)
        # The older server showed a lone surrogate so, too.
        return OldRecord(_time(value.get("timestamp"), True), _SURROGATE.sub("\ufffd", text))
    if direction != "claude":
        raise LineRefused(Fault.NO_DIRECTION)
    timestamp = _time(value.get("timestamp"))
    if not isinstance(content, dict):
        raise LineRefused(Fault.NO_OBJECT)
    try:
        data = dumps(content)
    except ValueError:  # nested too deeply
        raise LineRefused(Fault.NO_OBJECT) from None
    told = parse_line(data, max_bytes)
    if told is None or told.update_type is UpdateType.CLAUDE_TEXT:
        raise LineRefused(Fault.TOO_LONG if len(data) > max_bytes else Fault.NO_OBJECT)
    return _said(timestamp, data, told)


def _time(value: object, is_prompt: bool = False) -> str:
    """Return a time as the log writes it. Raises LineRefused."""
    try:
        timestamp = parse_time(value)
    except ValueError:
        raise LineRefused(Fault.NO_TIME, is_prompt=is_prompt) from None
    if not "1000" <= timestamp[:4] <= "9999" or timestamp[4:5] != "-":
        raise LineRefused(Fault.NO_TIME, is_prompt=is_prompt)
    return timestamp


def _said(timestamp: str, data: bytes, told: AgentLine) -> OldRecord:
    if _HUGE.search(data) is not None:
        try:
            loads(data)
        except ValueError:  # a number that is not finite
            raise LineRefused(Fault.NOT_JSON) from None
    end = told.turn_end
    if end is not None and not end.text and b'"content"' in data:
        end = _end_inside(data) or end
    return OldRecord(timestamp, None, data, told.session_id, end)


def _end_inside(data: bytes) -> TurnEnd | None:
    """Return the end in a `result` of a mock run, whose facts lie in its `content`."""
    try:
        inner = simplejson.loads(data).get("content")
    except (ValueError, RecursionError):
        return None
    if not isinstance(inner, dict):
        return None
    try:
        raw = dumps({**inner, "type": "result"})
    except ValueError:
        return None
    told = parse_line(raw, len(raw))
    return None if told is None else told.turn_end


# -- executions ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """The execution that is open. `is_announced`: its start is written; `known_session` is that of
    the execution before."""

    execution_id: str
    began: str
    known_session: str | None
    last: str
    is_announced: bool = False
    session_id: str | None = None
    end: TurnEnd | None = None
    costs: list[float] = field(default_factory=list)


class OldHistory:
    """Turns the records of one project, in the order of its log, into updates.

    A prompt opens an execution, and so does a line of the CLI if none is open. The next prompt and
    the end of the log finish it.
    """

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._run: _Run | None = None
        self._runs = 0
        self._session_id: str | None = None

    def take(self, record: OldRecord) -> Iterator[OldUpdate]:
        """Yield the updates that are to be stored for the next record."""
        if record.prompt is not None:
            yield from self.finish()
            run = self._begin(record.timestamp)
            data = Prompt(
                execution_id=run.execution_id,
                options={},
                key=None,
                client_id=IMPORTED,
                user=None,
                prompt=record.prompt,
            )
            yield OldUpdate(record.timestamp, UpdateType.PROMPT, data)
            return
        run = self._run or self._begin(record.timestamp)
        yield from self._announce(run, record.session_id)
        run.last = record.timestamp
        if record.session_id is not None:
            run.session_id = self._session_id = record.session_id
        if record.end is not None:
            run.end = record.end
            cost = record.end.cost_usd
            cost = record.end.total_cost_usd if cost is None else cost
            run.costs += [] if cost is None else [cost]
        yield OldUpdate(record.timestamp, UpdateType.CLAUDE, record.data, run.execution_id)

    def finish(self) -> Iterator[OldUpdate]:
        """Yield the end of the execution that is open: at the end of the log, or before a prompt
        that cannot be taken over."""
        run, self._run = self._run, None
        if run is None:
            return
        yield from self._announce(run, None)
        if run.end is None:
            outcome = Outcome.LOST
        else:
            outcome = Outcome.ERROR if run.end.is_error else Outcome.SUCCESS
        ended = ExecutionFinished(
            execution_id=run.execution_id,
            outcome=outcome,
            result=None if run.end is None else run.end.text,
            session_id=run.session_id,
            duration_ms=_milliseconds(run.began, run.last),
            cost_usd=sum(run.costs) if run.costs else None,
        )
        yield OldUpdate(run.last, UpdateType.EXECUTION_FINISHED, ended)

    def _begin(self, timestamp: str) -> _Run:
        self._runs += 1
        execution_id = str(uuid5(_EXECUTIONS, f"{self._project_id}/{self._runs}"))
        self._run = _Run(execution_id, timestamp, self._session_id, timestamp)
        return self._run

    def _announce(self, run: _Run, session_id: str | None) -> Iterator[OldUpdate]:
        """Yield the start, once. The first line of the CLI says if the conversation went on."""
        if run.is_announced:
            return
        run.is_announced = True
        goes_on = session_id is not None and session_id == run.known_session
        started = ExecutionStarted(
            execution_id=run.execution_id, session_id=session_id if goes_on else None
        )
        yield OldUpdate(run.began, UpdateType.EXECUTION_STARTED, started)


def _milliseconds(began: str, ended: str) -> int:
    span = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return max(0, round(span / _MILLISECOND))
