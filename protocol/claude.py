"""The Claude Code command line: its arguments, its input lines and its output lines.

What was relied on was seen with 2.1.197 and 2.1.331; the prompt goes through standard input, since
as an argument one that begins with `-` would be an option and one above 128 KiB would not start.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import simplejson

from protocol.codec import dumps
from protocol.requests import Options
from protocol.updates import ClaudeText, UpdateType

FIXED_ARGUMENTS = (
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
)
# Turns that start by themselves: the CLI has no environment variable that switches these two off.
BACKGROUND_TOOLS = ("ScheduleWakeup", "Monitor")
NO_BACKGROUND_ENVIRONMENT = {
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
}
# Bytes that a line may take when it is stored, as a multiple of MAX_LINE_BYTES: text that is
# dumped again as ASCII grows three times at most, if it holds no control characters.
STORED_GROWTH_MAX = 3
_FORGOTTEN = "No conversation found with session ID"
CONTROL_ID_MAX_LENGTH = 256
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\Z", re.ASCII)
_BOM = b"\xef\xbb\xbf"
_JSON_SPACE = b" \t\r"


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """Which conversation a process takes up: `resume` that one, else the folder's latest.

    `reset_model`: --resume would bring back a model that was named for an earlier prompt only.
    """

    resume: str | None = None
    continue_latest: bool = False
    reset_model: bool = False


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """What the CLI said in the `result` line that ends a turn. `cost_usd`: of this turn."""

    is_error: bool
    text: str
    cost_usd: float | None
    forgotten: bool


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One line of standard output: what is logged or sent, and the facts in it.

    `data` is JSON, the CLI's own bytes where `update_type` is `claude` or `claude_delta`. None in
    `update_type`: the line is between hub and CLI and is not passed on.
    """

    update_type: UpdateType | None
    data: bytes
    session_id: str | None = None
    turn_end: TurnEnd | None = None
    control_request_id: str | None = None


def arguments(options: Options, session: SessionChoice, default_mode: str) -> list[str]:
    """The argument list behind the command, from a fixed table.

    `--name=value` keeps a value from being taken for an option and a variadic option from
    swallowing what follows. `default_mode` is the hub's PERMISSION_MODE, `ask` for the CLI's own.
    """
    args = list(FIXED_ARGUMENTS)
    if session.resume is not None:
        args.append(f"--resume={session.resume}")
    elif session.continue_latest:
        args.append("-c")
    mode = options.permission_mode or (default_mode if default_mode != "ask" else "default")
    args.append(f"--permission-mode={mode}")
    disallowed = [*(options.disallowed_tools or ()), *BACKGROUND_TOOLS]
    table: tuple[tuple[str, str | int | None], ...] = (
        ("--model", options.model),
        ("--fallback-model", options.fallback_model),
        ("--allowedTools", _joined(options.allowed_tools)),
        ("--disallowedTools", _joined(disallowed)),
        ("--append-system-prompt", options.append_system_prompt),
        ("--max-turns", options.max_turns),
    )
    args += [f"{name}={value}" for name, value in table if value is not None]
    args += [f"--add-dir={folder}" for folder in options.add_dirs or ()]
    return args


def _joined(values: Sequence[str] | None) -> str | None:
    return ",".join(values) if values else None


def user_line(prompt: str, uuid: str) -> bytes:
    """A prompt as a line of standard input. `uuid` must be fresh: a repeated one is dropped."""
    line = {
        "type": "user",
        "message": {"role": "user", "content": prompt},
        "parent_tool_use_id": None,
        "session_id": "default",
        "uuid": uuid,
    }
    return dumps(line) + b"\n"


def end_session_line(request_id: str) -> bytes:
    """Asks the CLI to end at once, background work included."""
    return _control_line(request_id, {"subtype": "end_session"})


def default_model_line(request_id: str) -> bytes:
    """Asks for the default model; a user line that follows waits for it."""
    return _control_line(request_id, {"subtype": "set_model"})


def _control_line(request_id: str, request: dict[str, str]) -> bytes:
    line = {"type": "control_request", "request_id": request_id, "request": request}
    return dumps(line) + b"\n"


def refuse_control_line(request_id: str) -> bytes:
    """The answer to a control request that this hub does not know."""
    response = {"subtype": "error", "request_id": request_id, "error": "not supported by this host"}
    return dumps({"type": "control_response", "response": response}) + b"\n"


def parse_line(raw: bytes, max_bytes: int) -> AgentLine | None:
    """One line without its newline; None for an empty one.

    A JSON object in UTF-8 of at most `max_bytes` passes on as it came; anything else becomes a
    `claude_text`, so that nothing is lost and nothing broken is stored.
    """
    line = raw.strip(_JSON_SPACE)
    if not line:
        return None
    if len(line) > max_bytes:
        return text_line(line[:max_bytes], size_bytes=len(line))
    value = _json_object(line)
    if value is None:
        text = text_line(line)
        # Control characters grow six times in JSON: keep the bound that clients were told.
        if len(text.data) > STORED_GROWTH_MAX * max_bytes:
            return text_line(line[: max_bytes // 2], size_bytes=len(line))
        return text
    return _classify(line, value)


def text_line(raw: bytes, size_bytes: int | None = None) -> AgentLine:
    """A `claude_text`; `size_bytes` is the true length where `raw` was cut."""
    text = raw.decode("utf-8", errors="replace")
    cut = None if size_bytes is None else True
    data = ClaudeText(text=text, truncated=cut, size_bytes=size_bytes)
    return AgentLine(UpdateType.CLAUDE_TEXT, dumps(data.model_dump(exclude_none=True)))


def _json_object(line: bytes) -> dict[str, Any] | None:
    if line.startswith(_BOM):  # the parser takes it, but spliced into a record it is no JSON
        return None
    try:
        value = simplejson.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _classify(line: bytes, value: dict[str, Any]) -> AgentLine:
    """By `type`, wherever it stands: 2.1.331 writes it last in a `result`."""
    session = value.get("session_id")
    # It becomes part of a command line and of the metadata: an id, or nothing.
    session_id = session if isinstance(session, str) and _SESSION_ID.match(session) else None
    match value.get("type"):
        case "control_request":
            request_id = value.get("request_id")
            known = isinstance(request_id, str) and len(request_id) <= CONTROL_ID_MAX_LENGTH
            return AgentLine(None, b"", control_request_id=request_id if known else None)
        case "control_response" | "control_cancel_request":
            return AgentLine(None, b"")
        case "stream_event":
            return AgentLine(UpdateType.CLAUDE_DELTA, line)
        case "result":
            end = _turn_end(value)
            named = None if end.forgotten else session_id
            return AgentLine(UpdateType.CLAUDE, line, session_id=named, turn_end=end)
        case "system" if value.get("subtype") == "init":
            return AgentLine(UpdateType.CLAUDE, line, session_id=session_id)
        case _:
            return AgentLine(UpdateType.CLAUDE, line)


def _turn_end(value: dict[str, Any]) -> TurnEnd:
    """Judged by `is_error`: an API error has `subtype: success`."""
    listed = value.get("errors")
    errors = [str(error) for error in listed] if isinstance(listed, list) else []
    result = value.get("result")
    text = result if isinstance(result, str) else "; ".join(errors)
    forgotten = not value.get("num_turns") and any(_FORGOTTEN in error for error in errors)
    return TurnEnd(bool(value.get("is_error")), text, _turn_cost(value), forgotten)


def _turn_cost(value: dict[str, Any]) -> float | None:
    """Since the last result where the CLI tells it; the running total is right in the first turn
    of a process of 2.1.197, which is all that it is used for."""
    usage = value.get("model_usage_since_last_result")
    if isinstance(usage, dict):
        costs = [_number(e.get("costUSD")) for e in usage.values() if isinstance(e, dict)]
        return None if None in costs else _number(sum(cost for cost in costs if cost is not None))
    return _number(value.get("total_cost_usd"))


def _number(value: object) -> float | None:
    """A finite number; JSON's 1e999 is none."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
