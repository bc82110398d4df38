"""Tool calls as they go on: which run, which wait for an answer, how they ended and how long they
took."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from claudehub.client.lines import ClaudeLine
from claudehub.client.updates import (
    ExecutionFinished,
    PermissionRequest,
    PermissionResolved,
    Update,
)
from claudehub.show.safe_text import string
from claudehub.show.tools import Summary, summary_of
from claudehub.show.words import duration

# More calls than this cannot be open at once; those that were lost must not stay for ever.
_OPEN_MAX = 500
_REFUSALS = ("permission-rule", "user-rejected")
_EARLIER = Summary("a tool call", "that began earlier")


class State(StrEnum):
    """The state of a tool call, in words."""

    RUNNING = "running"
    WAITING = "waits for an answer"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call at one moment. `took_s` is the time that it ran, without the time that it waited
    for an answer; None while it runs, or where the updates do not say. `result` is the text that
    the agent is given, as it came. `parent` is the call of the subagent that made this one."""

    tool_use_id: str
    tool: str
    input: Mapping[str, Any] = field(hash=False)
    summary: Summary
    parent: str | None
    execution_id: str | None
    state: State
    since: datetime | None
    took_s: float | None = None
    result: str = ""
    ended: bool = False

    @property
    def words(self) -> str:
        """Return the state and the time: `failed, 2.3 s`."""
        return self.state if self.took_s is None else f"{self.state}, {duration(self.took_s)}"


class ToolCalls:
    """The tool calls that are open. A stream that begins in the middle gives results of calls that
    are not known; they end at once."""

    def __init__(self) -> None:
        self._open: dict[str, ToolCall] = {}
        self._permissions: dict[str, str] = {}

    @property
    def open(self) -> list[ToolCall]:
        """Return the calls that have not ended, in the order in which they began."""
        return list(self._open.values())

    def is_open(self, tool_use_id: str) -> bool:
        return tool_use_id in self._open

    def take(self, update: Update) -> list[ToolCall]:
        """Take an update; return the calls that it has changed, as they are now. A call that has
        ended is returned for the last time."""
        match update:
            case ClaudeLine():
                return list(self._line(update))
            case PermissionRequest() if update.tool_use_id in self._open:
                self._permissions[update.permission_id] = update.tool_use_id
                return [self._change(update.tool_use_id, state=State.WAITING)]
            case PermissionResolved():
                return self._resolved(update)
            case ExecutionFinished():
                return self._stop(update)
        return []

    def _line(self, update: ClaudeLine) -> Iterator[ToolCall]:
        line = update.line
        match line.get("type"):
            case "assistant":
                for block in update.blocks:
                    if block.get("type") == "tool_use" and isinstance(block.get("id"), str):
                        yield from self._begin(update, block)
            case "user":
                for block in update.blocks:
                    if block.get("type") == "tool_result":
                        yield self._end(update, block)
            case "system" if line.get("subtype") == "permission_denied":
                tool_use_id = line.get("tool_use_id")
                if isinstance(tool_use_id, str) and tool_use_id in self._open:
                    yield self._change(tool_use_id, state=State.DENIED)

    def _begin(self, update: ClaudeLine, block: Mapping[str, Any]) -> Iterator[ToolCall]:
        tool_use_id, tool = block["id"], string(block.get("name") or "?")
        if tool_use_id in self._open:
            return
        given = block.get("input")
        tool_input = given if isinstance(given, dict) else {}
        call = ToolCall(
            tool_use_id,
            tool,
            tool_input,
            summary_of(tool, tool_input),
            update.parent_tool_use_id,
            update.execution_id,
            State.RUNNING,
            _time(update),
        )
        while len(self._open) >= _OPEN_MAX:
            del self._open[next(iter(self._open))]
        self._open[tool_use_id] = call
        yield call

    def _end(self, update: ClaudeLine, block: Mapping[str, Any]) -> ToolCall:
        tool_use_id = string(block.get("tool_use_id") or "")
        call = self._open.pop(tool_use_id, None) or ToolCall(
            tool_use_id,
            "",
            {},
            _EARLIER,
            update.parent_tool_use_id,
            update.execution_id,
            State.RUNNING,
            None,
        )
        state = State.FAILED if block.get("is_error") else State.DONE
        if block.get("is_error") and (
            call.state is State.DENIED or _is_refused(update.line, tool_use_id)
        ):
            state = State.DENIED
        result = _text(block.get("content"))
        took_s = None if state is State.DENIED else _seconds(call.since, update)
        return replace(call, state=state, took_s=took_s, result=result, ended=True)

    def _resolved(self, update: PermissionResolved) -> list[ToolCall]:
        tool_use_id = self._permissions.pop(update.permission_id, None)
        if tool_use_id is None or tool_use_id not in self._open:
            return []
        if update.decision == "allow":
            return [self._change(tool_use_id, state=State.RUNNING, since=_time(update))]
        return [self._change(tool_use_id, state=State.DENIED)]

    def _stop(self, update: ExecutionFinished) -> list[ToolCall]:
        """End what the execution has left. Calls of the background belong to no execution."""
        left = [call for call in self.open if call.execution_id == update.execution_id]
        for call in left:
            del self._open[call.tool_use_id]
        states = {State.DENIED: State.DENIED}
        return [
            replace(call, state=states.get(call.state, State.STOPPED), ended=True) for call in left
        ]

    def _change(self, tool_use_id: str, **changes: Any) -> ToolCall:
        call = replace(self._open[tool_use_id], **changes)
        self._open[tool_use_id] = call
        return call


def _is_refused(line: Mapping[str, Any], tool_use_id: str) -> bool:
    """Return whether the CLI says that the tool has not run."""
    facts = line.get("tool_result_meta")
    return any(
        isinstance(fact, dict)
        and fact.get("id") == tool_use_id
        and fact.get("non_execution_kind") in _REFUSALS
        for fact in (facts if isinstance(facts, list) else ())
    )


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(
            string(block.get("text") or f"({block.get('type')})")
            for block in content
            if isinstance(block, dict)
        )
    return "" if content is None else string(content)


def _time(update: Update) -> datetime | None:
    try:
        return update.time
    except ValueError:
        return None


def _seconds(since: datetime | None, update: Update) -> float | None:
    now = _time(update)
    if since is None or now is None:
        return None
    try:
        return max((now - since).total_seconds(), 0.0)
    except TypeError:
        return None  # one has a zone and the other has none
