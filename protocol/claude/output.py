"""One line of the CLI's standard output: what is logged or sent, and the facts in it. Pure."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, TypeGuard

import simplejson

from protocol.claude.damaged_line import salvaged
from protocol.codec import dumps
from protocol.updates import ClaudeText, UpdateType

# The bytes that a stored line may take, as a multiple of MAX_LINE_BYTES: text that is dumped again
# as ASCII grows at most three times if it has no control characters.
STORED_GROWTH_MAX = 3
_FORGOTTEN = "No conversation found with session ID"
CONTROL_ID_MAX_LENGTH = 256
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\Z", re.ASCII)
_BOM = b"\xef\xbb\xbf"
_JSON_SPACE = b" \t\r"


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """What the CLI said in the `result` line that ends a turn.

    `cost_usd` is the cost since the last result (2.1.331), None if the CLI does not say it;
    `total_cost_usd` is the cost of the process so far. `aborted`: an interrupt or a signal ended
    it. `has_origin`: it does not belong to a prompt. `is_cut`: the line was too long, so it may not
    show which prompt it belongs to.
    """

    is_error: bool
    text: str
    cost_usd: float | None = None
    total_cost_usd: float | None = None
    forgotten: bool = False
    aborted: bool = False
    has_origin: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """The CLI asks the hub. `body` is the `request` in the line."""

    request_id: str
    subtype: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ControlResponse:
    """The CLI answers the hub. `error` is None if it did what was asked."""

    request_id: str
    error: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ControlCancel:
    """The CLI no longer needs an answer."""

    request_id: str


@dataclass(frozen=True, slots=True)
class TaskNews:
    """Background work: the whole set (2.1.331), or one task that began or ended (2.1.197)."""

    running: frozenset[str] | None = None
    started: str | None = None
    ended: str | None = None


class Phase(Enum):
    """Where in a turn the CLI says it is, beside its `result`."""

    INIT = auto()
    RESET = auto()
    """A new conversation begins, by `/clear` (2.1.331)."""
    RUNNING = auto()
    WAITING = auto()
    """It waits for an answer, or says something else of its state."""
    OVER = auto()
    """It is done with a user line, which the line names (2.1.331)."""
    IDLE = auto()


# What an older CLI says of its state because the hub asks for it (STATE_EVENTS).
STATES = frozenset((Phase.RUNNING, Phase.WAITING, Phase.IDLE))


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One line of standard output.

    `data` is JSON: the CLI's own bytes if `update_type` is `claude` or `claude_delta`. If
    `update_type` is None, the line is between hub and CLI and is not passed on. `uuids` are the
    user lines that it belongs to, if the CLI says so. `is_queued`: the CLI has taken a user line
    and has not begun with it. A damaged line is shown as text and has facts all the same.
    """

    update_type: UpdateType | None
    data: bytes
    session_id: str | None = None
    turn_end: TurnEnd | None = None
    control: ControlRequest | ControlResponse | ControlCancel | None = None
    uuids: tuple[str, ...] = ()
    mode: str | None = None
    tasks: TaskNews | None = None
    phase: Phase | None = None
    is_queued: bool = False


def parse_lines(raws: Iterable[bytes], max_bytes: int) -> list[AgentLine]:
    """Return what the lines say, without the empty lines; see parse_line."""
    parsed = [parse_line(raw, max_bytes) for raw in raws]
    return [line for line in parsed if line is not None]


def parse_line(raw: bytes, max_bytes: int) -> AgentLine | None:
    """Return what one line, without its newline, says; None for an empty line.

    A JSON object in UTF-8 of at most `max_bytes` is passed on unchanged. Anything else becomes a
    `claude_text`, so that nothing is lost and nothing invalid is stored.
    """
    line = raw.strip(_JSON_SPACE)
    if not line:
        return None
    if len(line) > max_bytes:
        return text_line(line[:max_bytes], max_bytes, size_bytes=len(line))
    value = _json_object(line)
    return _damaged(line, max_bytes) if value is None else _classify(line, value)


def _damaged(line: bytes, max_bytes: int) -> AgentLine:
    """Return a line as text, with what it was to say."""
    shown = text_line(line, max_bytes)
    value = salvaged(line)
    if value is None:
        return shown
    return replace(_classify(line, value), update_type=shown.update_type, data=shown.data)


def text_line(raw: bytes, max_bytes: int, size_bytes: int | None = None) -> AgentLine:
    """Return a `claude_text`; `size_bytes` is the true length if `raw` was cut."""
    line = _text_line(raw, size_bytes)
    # Control characters grow six times in JSON; the line is cut to the bound that clients know.
    if len(line.data) > STORED_GROWTH_MAX * max_bytes:
        return _text_line(raw[: max_bytes // 2], size_bytes or len(raw))
    return line


def _text_line(raw: bytes, size_bytes: int | None) -> AgentLine:
    text = raw.decode("utf-8", errors="replace")
    cut = None if size_bytes is None else True
    data = ClaudeText(text=text, truncated=cut, size_bytes=size_bytes)
    return AgentLine(UpdateType.CLAUDE_TEXT, dumps(data.model_dump(exclude_none=True)))


def _json_object(line: bytes) -> dict[str, Any] | None:
    if line.startswith(_BOM):  # the parser accepts it, but inside a record it would be invalid JSON
        return None
    try:
        value = simplejson.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _classify(line: bytes, value: dict[str, Any]) -> AgentLine:
    """Classify by `type`, wherever it stands: 2.1.331 writes it last in a `result`."""
    match value.get("type"):
        case "control_request":
            return AgentLine(None, b"", control=_control_request(value))
        case "control_response":
            return AgentLine(None, b"", control=_control_response(value))
        case "control_cancel_request":
            request_id = _control_id(value)
            return AgentLine(None, b"", control=ControlCancel(request_id) if request_id else None)
        case "stream_event":
            return AgentLine(UpdateType.CLAUDE_DELTA, line, uuids=_uuids(value))
        case "result":
            end = _turn_end(value)
            named = None if end.forgotten else _session_id(value)
            return AgentLine(
                UpdateType.CLAUDE, line, session_id=named, turn_end=end, uuids=_uuids(value)
            )
        case "system":
            return _system(line, value)
        case "conversation_reset":
            return AgentLine(UpdateType.CLAUDE, line, uuids=_uuids(value), phase=Phase.RESET)
        case "command_lifecycle":
            state = value.get("state")
            return AgentLine(
                UpdateType.CLAUDE,
                line,
                uuids=_uuids(value),
                phase=Phase.OVER if state in ("completed", "cancelled") else None,
                is_queued=state == "queued",
            )
        case _:
            return AgentLine(UpdateType.CLAUDE, line, uuids=_uuids(value))


def _system(line: bytes, value: dict[str, Any]) -> AgentLine:
    subtype = value.get("subtype")
    is_init = subtype == "init"
    mode = value.get("permissionMode") if subtype in ("init", "status") else None
    return AgentLine(
        UpdateType.CLAUDE,
        line,
        session_id=_session_id(value) if is_init else None,
        uuids=_uuids(value),
        mode=mode if isinstance(mode, str) else None,
        tasks=_task_news(subtype, value),
        phase=Phase.INIT if is_init else _phase_of_state(subtype, value),
    )


def _phase_of_state(subtype: object, value: dict[str, Any]) -> Phase | None:
    """Return what an older CLI says when its environment has STATE_EVENTS."""
    if subtype != "session_state_changed":
        return None
    states = {"running": Phase.RUNNING, "idle": Phase.IDLE}
    return states.get(str(value.get("state")), Phase.WAITING)


def _session_id(value: dict[str, Any]) -> str | None:
    """Return a valid id or None: it becomes part of a command line and of the metadata."""
    session = value.get("session_id")
    return session if is_session_id(session) else None


def is_session_id(value: object) -> TypeGuard[str]:
    """Return True for a text that can be the id of a session."""
    return isinstance(value, str) and _SESSION_ID.match(value) is not None


def _uuids(value: dict[str, Any]) -> tuple[str, ...]:
    listed = value.get("user_message_uuids")
    found = listed if isinstance(listed, list) else []
    found = [*found, value.get("user_message_uuid"), value.get("command_uuid")]
    return tuple(uuid for uuid in found if isinstance(uuid, str))


def _task_news(subtype: object, value: dict[str, Any]) -> TaskNews | None:
    if subtype == "background_tasks_changed":
        listed = value.get("tasks")
        tasks = [t for t in listed if isinstance(t, dict)] if isinstance(listed, list) else []
        return TaskNews(running=frozenset(str(task.get("task_id")) for task in tasks))
    if subtype == "task_started":
        return TaskNews(started=str(value.get("task_id")))
    if subtype == "task_notification":
        return TaskNews(ended=str(value.get("task_id")))
    return None


def _control_id(value: dict[str, Any]) -> str | None:
    request_id = value.get("request_id")
    is_one = isinstance(request_id, str) and len(request_id) <= CONTROL_ID_MAX_LENGTH
    return request_id if is_one else None


def _control_request(value: dict[str, Any]) -> ControlRequest | None:
    if (request_id := _control_id(value)) is None:
        return None
    body = value.get("request")
    body = body if isinstance(body, dict) else {}
    return ControlRequest(request_id, str(body.get("subtype")), body)


def _control_response(value: dict[str, Any]) -> ControlResponse | None:
    response = value.get("response")
    if not isinstance(response, dict) or (request_id := _control_id(response)) is None:
        return None
    body = response.get("response")
    error = None if response.get("subtype") == "success" else str(response.get("error"))
    return ControlResponse(request_id, error, body if isinstance(body, dict) else {})


def _turn_end(value: dict[str, Any]) -> TurnEnd:
    """Read the end of a turn; `is_error` decides, because an API error has `subtype: success`."""
    listed = value.get("errors")
    errors = [e for e in listed if isinstance(e, str)] if isinstance(listed, list) else []
    result = value.get("result")
    text = result if isinstance(result, str) else "; ".join(errors)
    return TurnEnd(
        is_error=bool(value.get("is_error")),
        text=text,
        cost_usd=_cost_since_last(value),
        total_cost_usd=_number(value.get("total_cost_usd")),
        forgotten=not value.get("num_turns") and any(_FORGOTTEN in error for error in errors),
        aborted=str(value.get("terminal_reason")).startswith("aborted"),
        has_origin=value.get("origin") is not None,
    )


def _cost_since_last(value: dict[str, Any]) -> float | None:
    usage = value.get("model_usage_since_last_result")
    if not isinstance(usage, dict):
        return None
    costs = [_number(e.get("costUSD")) for e in usage.values() if isinstance(e, dict)]
    return None if None in costs else _number(sum(cost for cost in costs if cost is not None))


def _number(value: object) -> float | None:
    """Return a finite number that can be a cost, else None; JSON's 1e999 is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
