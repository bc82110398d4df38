"""Our updates as frames of version 0."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from protocol import codec
from protocol.dialect import Message, Update
from protocol.updates import (
    NOT_STARTED,
    Outcome,
    ProjectStatus,
    UpdateType,
    time_limit_of,
)
from protocol.v0 import shapes
from protocol.v0.shapes import ERROR, EXECUTING, IDLE

# The exit codes of a shell for a command that may not run, and for one that is not there.
_NO_COMMAND = (126, 127)
_NO_FILE = "[Errno 2]"
_ENDED_BY_SOMEBODY = (Outcome.KILLED, Outcome.INTERRUPTED, Outcome.CANCELLED)
_SESSION = b'"session_id"'
_NAMED_SESSION = re.compile(rb'"session_id"\s*:\s*"([^"\\]*)"')


class Stream0:
    """The updates of one project. It knows the state that it has shown last: a state is shown when
    it changes, whichever update tells it.

    While prompts wait that version 1 clients have queued, the state stays EXECUTING. After a failed
    execution it is ERROR, until something begins or the session is reset.
    """

    def __init__(self, project: Mapping[str, Any]) -> None:
        self._project = dict(project)
        self._id = str(project["project_id"])
        self._status = ProjectStatus(project["status"])  # as version 1 tells it
        self._shown = shapes.STATES[self._status]
        self._open = {prompt["execution_id"] for prompt in project["queue"]}
        self._started: set[str] = set()
        if project["execution_id"] is not None:
            self._started.add(project["execution_id"])
        self._open |= self._started
        # What ran at a reset keeps the session that was given up, and does not bring it back.
        self._voided: set[str] = set()
        self._frames: list[Message] = []
        self._heads: dict[str, bytes] = {}  # of frames, by their type

    def messages(self, updates: Iterable[Update]) -> list[Message]:
        frames: list[Message] = []
        self._frames = frames
        for text, is_stored, is_kept in updates:
            tell = _TELL.get(codec.update_type_of(text))
            if tell is None:
                continue
            if is_stored:
                tell(self, codec.update_payload(text))
            else:
                before = len(frames)
                tell(self, text)
                frames[before:] = [(frame, is_kept, is_kept) for frame, _, _ in frames[before:]]
        return frames

    # -- one method an update type, in the order of docs/version-0.md --------------------------

    def _prompt(self, payload: bytes) -> None:
        self._open.add(codec.loads(payload)["data"]["execution_id"])

    def _execution_started(self, payload: bytes) -> None:
        update = codec.loads(payload)
        self._open.add(update["data"]["execution_id"])
        self._started.add(update["data"]["execution_id"])
        self._status = ProjectStatus.EXECUTING
        if self._shown != EXECUTING:
            self._show(EXECUTING, update)

    def _claude(self, payload: bytes) -> None:
        head, line = shapes.parts(payload)
        if shapes.type_of(line) is None:
            return
        self._say("agent_message", line)
        if not self._may_be_news(line):
            return
        session_id = _session_of(line)
        update = shapes.read_head(head)
        is_voided = update.get("execution_id") in self._voided
        if session_id not in (None, self._project["session_id"]) and not is_voided:
            self._project["session_id"] = session_id
            facts = {
                "project_id": self._id,
                "state": self._shown,
                "path": self._project["path"],
                "timestamp": update["timestamp"],
            }
            self._say("project_update", facts)

    def _may_be_news(self, line: bytes) -> bool:
        """Return False if a line certainly names no session but the known one."""
        count = line.count(_SESSION)
        if not count:
            return False
        known = (self._project["session_id"] or "").encode("ascii", "replace")
        named = _NAMED_SESSION.findall(line)
        return len(named) != count or any(name != known for name in named)

    def _claude_delta(self, payload: bytes) -> None:
        """Tell the inner event: the older clients do not look into `stream_event`."""
        _, line = shapes.parts(payload)
        try:
            event = codec.loads(line).get("event")
        except ValueError:  # a number that is not finite, or deep nesting: no event has such
            return
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            self._say("agent_message", event)

    def _session_reset(self, payload: bytes) -> None:
        update = codec.loads(payload)
        old = update["data"]["old_session_id"]
        if update["data"]["reason"] == "requested":
            self._voided |= self._started
        if old is None or self._project["session_id"] == old:  # else a newer one is known already
            self._project["session_id"] = None
        self._show(shapes.STATES[self._status], update)
        self._say_what("session_reset", "session_reset", update)

    def _execution_finished(self, payload: bytes) -> None:
        update = codec.loads(payload)
        end = update["data"]
        outcome = Outcome(end["outcome"])
        for executions in (self._open, self._started, self._voided):
            executions.discard(end["execution_id"])
        if outcome is Outcome.CANCELLED and self._open:  # one of a queue, which nobody has seen
            return
        failure = _failure(self._id, outcome, end)
        if failure is not None:
            self._say("error", failure)
        if not self._open:
            self._status = ProjectStatus.IDLE
            self._show(IDLE if failure is None else ERROR, update)
        if outcome in _ENDED_BY_SOMEBODY:
            self._say_what("process_killed", "process_killed", update)

    def _status_changed(self, payload: bytes) -> None:
        update = codec.loads(payload)
        status = ProjectStatus(update["data"]["status"])
        if status is not self._status:
            self._status = status
            self._show(shapes.STATES[status], update)

    def _project_deleted(self, payload: bytes) -> None:
        self._say_what("project_deleted", "project_deleted", codec.loads(payload))

    # -- frames --------------------------------------------------------------------------------

    def _show(self, state: str, update: Mapping[str, Any]) -> None:
        self._shown = state
        self._project["last_active"] = update["timestamp"]
        self._say("project_state", {**shapes.project_state(self._project), "state": state})

    def _say_what(self, kind: str, reason: str, update: Mapping[str, Any]) -> None:
        facts = {"project_id": self._id, "reason": reason, "timestamp": update["timestamp"]}
        self._say(kind, facts)

    def _say(self, kind: str, data: Mapping[str, Any] | bytes) -> None:
        text = data if isinstance(data, bytes) else codec.dumps(data)
        head = self._heads.get(kind)
        if head is None:
            head = self._heads[kind] = shapes.frame(kind, self._id, b"")[:-1]
        self._frames.append((b"%b%b}" % (head, text), True, False))


# What is not here makes no frame.
_TELL: dict[str, Callable[[Stream0, bytes], None]] = {
    UpdateType.PROMPT: Stream0._prompt,
    UpdateType.EXECUTION_STARTED: Stream0._execution_started,
    UpdateType.CLAUDE: Stream0._claude,
    UpdateType.CLAUDE_DELTA: Stream0._claude_delta,
    UpdateType.SESSION_RESET: Stream0._session_reset,
    UpdateType.EXECUTION_FINISHED: Stream0._execution_finished,
    UpdateType.STATUS: Stream0._status_changed,
    UpdateType.PROJECT_DELETED: Stream0._project_deleted,
}


def _session_of(line: bytes) -> str | None:
    try:
        value = codec.loads_line(line)
    except ValueError:
        return None
    session_id = value.get("session_id")
    return session_id if isinstance(session_id, str) else None


def _failure(project_id: str, outcome: Outcome, end: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the data of the `error` about a failed execution; None for one that did not fail."""
    if outcome is Outcome.TIMEOUT:
        limit_s = time_limit_of(end["result"])
        taken = go_duration(end["duration_ms"] if limit_s is None else round(limit_s * 1000))
        return {
            "code": "EXECUTION_TIMEOUT",
            "message": f"execution timed out after {taken}",
            "details": {"project_id": project_id, "timeout": taken},
        }
    if outcome not in (Outcome.ERROR, Outcome.LOST):
        return None
    exit_code, result = end["exit_code"], end["result"] or ""
    is_missing = result.startswith(NOT_STARTED) and _NO_FILE in result
    code = "CLAUDE_NOT_FOUND" if is_missing or exit_code in _NO_COMMAND else "EXECUTION_FAILED"
    why = f"exit status {exit_code}" if exit_code else result or outcome.value
    return {"code": code, "message": f"Claude execution failed: {why}"}


def go_duration(duration_ms: int) -> str:
    """Return a time as Go writes durations, to a tenth of a second: `4s`, `1m30s`, `2h0m0s`."""
    tenths = round(duration_ms / 100)
    minutes, left = divmod(tenths, 600)
    text = f"{left / 10:g}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return text
