"""Turn updates into the entries of a conversation."""

from bisect import bisect_left
from collections.abc import Callable, Set
from itertools import islice
from typing import Any

from claudehub.client.line_reading import text_of as text_of_blocks
from claudehub.client.lines import ApiRetry, ClaudeLine, RateLimit
from claudehub.client.updates import (
    ExecutionFinished,
    ExecutionQueued,
    ExecutionStarted,
    Gap,
    HistoryGone,
    JsonObject,
    OutputText,
    PermissionRequest,
    PermissionResolved,
    ProjectDeleted,
    Prompt,
    SessionReset,
    Update,
)
from claudehub.show import words
from claudehub.show.safe_text import one_line, string
from claudehub.tui.entries import (
    EndEntry,
    Entry,
    NoteEntry,
    NoteKind,
    Order,
    PromptEntry,
    TextEntry,
    ThinkingEntry,
    ToolEntry,
    ToolState,
)

_COMPARED_CALLS_MAX = 20
# Who `by` names if nobody has answered.
_NOBODY = ("timeout", "withdrawn", "execution_finished")
OPEN_STATES = (ToolState.RUNNING, ToolState.ASKING)


class Conversation:
    """Entries in the order of the updates. `apply` takes one update after the other; a
    conversation that gets earlier updates is built again. `me` are the names under which the hub
    knows this client."""

    def __init__(self, me: Set[str] = frozenset()) -> None:
        self._me = me
        self.entries: list[Entry] = []
        self.waiting: dict[str, PromptEntry] = {}
        self._tools: dict[str, ToolEntry] = {}
        self._asked: dict[str, ToolEntry] = {}
        self._prompts: dict[str, PromptEntry] = {}
        self._open: dict[str, dict[Order, ToolEntry]] = {}
        self._said: dict[str, bool] = {}
        self._seq = 0
        self._count = 0

    def apply(self, update: Update) -> None:
        """Take the next update of the log. What is not logged changes nothing here, but for gaps
        and the end of the project."""
        if update.seq is not None:
            self._seq, self._count = update.seq, 0
        take = _TAKES.get(type(update))
        if take is not None:
            take(self, update)
        elif isinstance(update, ClaudeLine):
            self._line(update)

    def drop_before(self, seq: int) -> None:
        """Forget the entries that began before that number."""
        count = bisect_left(self.entries, (float(seq), 0), key=lambda entry: entry.order)
        for gone in self.entries[:count]:
            if isinstance(gone, ToolEntry):
                self._tools.pop(gone.tool_use_id or "", None)
                self._asked.pop(gone.permission_id or "", None)
                for calls in self._open.values():
                    calls.pop(gone.order, None)
            elif isinstance(gone, PromptEntry):
                self._prompts.pop(gone.execution_id, None)
        del self.entries[:count]

    def _name(self, who: str) -> str:
        return "you" if who in self._me else who

    def _order(self) -> Order:
        self._count += 1
        return (self._seq, self._count)

    def _note(self, update: Update, text: str, kind: NoteKind = NoteKind.INFO) -> None:
        self.entries.append(
            NoteEntry(order=self._order(), timestamp=update.timestamp, text=text, kind=kind)
        )

    # -- executions

    def _prompt(self, update: Prompt) -> None:
        by = update.user or self._name(update.client_id)
        execution_id = update.execution_id or ""
        entry = PromptEntry(
            order=self._order(),
            timestamp=update.timestamp,
            text=update.text,
            by=by,
            execution_id=execution_id,
        )
        self._prompts[execution_id] = entry
        self.entries.append(entry)

    def _queued(self, update: ExecutionQueued) -> None:
        """Take the prompt out of the conversation until its turn: what comes in between answers
        another one."""
        prompt = self._prompts.get(update.execution_id or "")
        if prompt is not None:
            prompt.place = update.queue_position
            prompt.changed()
            if prompt in self.entries[-_COMPARED_CALLS_MAX:]:
                self.entries.remove(prompt)
                self.waiting[prompt.execution_id] = prompt

    def _started(self, update: ExecutionStarted) -> None:
        execution_id = update.execution_id or ""
        self._said[execution_id] = False
        if update.origin == "background":
            self._note(update, "the agent goes on by itself: its work in the background has news")
        self._its_turn(execution_id)

    def _its_turn(self, execution_id: str) -> None:
        """Put a prompt that has waited where its answer begins."""
        prompt = self.waiting.pop(execution_id, None)
        if prompt is not None:
            prompt.order, prompt.place = self._order(), None
            prompt.changed()
            self.entries.append(prompt)

    def _finished(self, update: ExecutionFinished) -> None:
        execution_id = update.execution_id or ""
        for tool in self._open.pop(execution_id, {}).values():
            if tool.state in OPEN_STATES:
                tool.state = ToolState.UNFINISHED
                tool.ended = update.timestamp
                tool.changed()
        self._its_turn(execution_id)
        self._prompts.pop(execution_id, None)
        is_told = self._said.pop(execution_id, True) and update.outcome == "success"
        self.entries.append(
            EndEntry(
                order=self._order(),
                timestamp=update.timestamp,
                outcome=update.outcome,
                words=words.outcome(update),
                result="" if is_told else update.result or "",
                stderr="" if update.outcome == "success" else update.stderr,
            )
        )

    # -- lines of the CLI

    def _line(self, update: ClaudeLine) -> None:
        """Add what the line holds: the CLI writes a line a block, but may write several."""
        line = update.line
        kind, subtype = line.get("type"), line.get("subtype")
        if kind == "system" and subtype == "permission_denied":
            self._note(update, words.permission_denied(line), NoteKind.WARNING)
        elif kind == "system" and subtype == "compact_boundary":
            self._note(update, "the agent has summed up what came before", NoteKind.RULE)
        if kind not in ("assistant", "user"):
            return
        for block in update.blocks:
            take = _BLOCKS.get((kind, block.get("type")))
            if take is not None:
                take(self, update, block)

    def _text(self, update: ClaudeLine, block: JsonObject) -> None:
        self._said[update.execution_id or ""] = True
        text = string(block.get("text") or "")
        self.entries.append(TextEntry(order=self._order(), text=text, **_facts(update)))

    def _thinking(self, update: ClaudeLine, block: JsonObject) -> None:
        if text := string(block.get("thinking") or ""):
            self.entries.append(ThinkingEntry(order=self._order(), text=text, **_facts(update)))

    def _tool_use(self, update: ClaudeLine, block: JsonObject) -> None:
        tool_input = block.get("input")
        entry = ToolEntry(
            order=self._order(),
            **_facts(update),
            name=string(block.get("name") or "a tool"),
            input=tool_input if isinstance(tool_input, dict) else {},
            tool_use_id=string(block.get("id") or ""),
        )
        self._add_tool(entry, update.execution_id)

    def _add_tool(self, entry: ToolEntry, execution_id: str | None) -> None:
        if entry.tool_use_id:
            self._tools[entry.tool_use_id] = entry
        self._open.setdefault(execution_id or "", {})[entry.order] = entry
        self.entries.append(entry)

    def _tool_result(self, update: ClaudeLine, block: JsonObject) -> None:
        tool = self._tools.get(string(block.get("tool_use_id") or ""))
        if tool is None:  # the call is above what is loaded
            tool = ToolEntry(order=self._order(), timestamp=update.timestamp, name="")
            tool.parent = update.parent_tool_use_id
            self.entries.append(tool)
        if tool.state is not ToolState.REFUSED:
            tool.state = ToolState.FAILED if block.get("is_error") else ToolState.DONE
        tool.ended = update.timestamp
        tool.result = text_of_blocks(block.get("content"))
        tool.changed()
        self._open.get(update.execution_id or "", {}).pop(tool.order, None)

    # -- permissions

    def _request(self, update: PermissionRequest) -> None:
        tool = self._tools.get(update.tool_use_id or "") or self._same_call(update)
        if tool is None:
            tool = ToolEntry(
                order=self._order(),
                timestamp=update.timestamp,
                name=update.tool,
                input=update.input,
                tool_use_id=update.tool_use_id,
            )
            self._add_tool(tool, update.execution_id)
        tool.permission_id = update.permission_id
        tool.state = ToolState.ASKING
        tool.changed()
        self._asked[update.permission_id] = tool

    def _same_call(self, update: PermissionRequest) -> ToolEntry | None:
        """Return the call that a request without an id is about."""
        calls = self._open.get(update.execution_id or "", {})
        for tool in islice(reversed(calls.values()), _COMPARED_CALLS_MAX):
            is_free = tool.state is ToolState.RUNNING and tool.permission_id is None
            if is_free and tool.name == update.tool and tool.input == update.input:
                return tool
        return None

    def _resolved(self, update: PermissionResolved) -> None:
        tool = self._asked.pop(update.permission_id, None)
        if tool is None:
            return
        tool.answered = words.resolved(update)
        if update.by not in _NOBODY:
            verb = "allowed" if update.decision == "allow" else "denied"
            tool.answered = f"{verb} by {one_line(self._name(update.by))}"
        if tool.state is ToolState.ASKING:
            is_allowed = update.decision == "allow"
            tool.state = ToolState.RUNNING if is_allowed else ToolState.REFUSED
            tool.ended = "" if is_allowed else update.timestamp
        tool.changed()

    # -- notes

    def _api_retry(self, update: ApiRetry) -> None:
        """Show only the newest try of a row: ten lines that say the same help nobody."""
        last = self.entries[-1] if self.entries else None
        text = words.api_retry(update)
        if isinstance(last, NoteEntry) and last.text.startswith(text.partition(",")[0]):
            last.text, last.timestamp = text, update.timestamp
            last.changed()
        else:
            self._note(update, text, NoteKind.WARNING)

    def _rate_limit(self, update: RateLimit) -> None:
        if update.status != "allowed":
            self._note(update, words.rate_limit(update), NoteKind.WARNING)


def _facts(line: ClaudeLine) -> dict[str, Any]:
    return {"timestamp": line.timestamp, "parent": line.parent_tool_use_id}


_TAKES: dict[type[Update], Callable[..., None]] = {
    Prompt: Conversation._prompt,
    ExecutionQueued: Conversation._queued,
    ExecutionStarted: Conversation._started,
    ExecutionFinished: Conversation._finished,
    PermissionRequest: Conversation._request,
    PermissionResolved: Conversation._resolved,
    OutputText: lambda c, u: c._note(u, u.text, NoteKind.OUTPUT),
    ApiRetry: Conversation._api_retry,
    RateLimit: Conversation._rate_limit,
    SessionReset: lambda c, u: c._note(u, words.session_reset(u), NoteKind.RULE),
    Gap: lambda c, u: c._note(u, words.gap(u), NoteKind.WARNING),
    HistoryGone: lambda c, u: c._note(u, words.history_gone(u), NoteKind.WARNING),
    ProjectDeleted: lambda c, u: c._note(u, "the project has been deleted", NoteKind.WARNING),
}

_BLOCKS: dict[tuple[str | None, str | None], Callable[..., None]] = {
    ("assistant", "text"): Conversation._text,
    ("assistant", "thinking"): Conversation._thinking,
    ("assistant", "tool_use"): Conversation._tool_use,
    ("user", "tool_result"): Conversation._tool_result,
}
