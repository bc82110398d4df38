"""What a conversation is made of on the screen: one entry for each thing that is shown.

An entry keeps its `order` when the conversation is built again from more updates, so that a view
can remember where it was. `version` grows with each change, so that a painted entry can be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Order = tuple[float, int]
"""The `seq` of the update that an entry began with, and a number among those of the same seq."""

LAST: Order = (float("inf"), 0)


class ToolState(StrEnum):
    """How far a tool call is."""

    ASKING = "asking"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    UNFINISHED = "unfinished"


@dataclass(slots=True, kw_only=True)
class Entry:
    """What every entry has. `parent` is the tool call of the subagent that it belongs to."""

    order: Order
    timestamp: str = ""
    parent: str | None = None
    version: int = 0

    def changed(self) -> None:
        self.version += 1


@dataclass(slots=True, kw_only=True)
class PromptEntry(Entry):
    """A prompt. `place` is its place in the queue while it waits."""

    text: str
    by: str
    execution_id: str
    place: int | None = None


@dataclass(slots=True, kw_only=True)
class TextEntry(Entry):
    """What the agent says, in markdown."""

    text: str


@dataclass(slots=True, kw_only=True)
class ThinkingEntry(Entry):
    """What the agent thinks."""

    text: str


@dataclass(slots=True, kw_only=True)
class ToolEntry(Entry):
    """A tool call. `result` is what the agent was given; `answered` says who allowed or denied
    it. `name` is empty if only the result is loaded."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    tool_use_id: str | None = None
    permission_id: str | None = None
    state: ToolState = ToolState.RUNNING
    ended: str = ""
    result: str = ""
    answered: str = ""


class NoteKind(StrEnum):
    """What a note is about."""

    INFO = "info"
    WARNING = "warning"
    OUTPUT = "output"
    RULE = "rule"


@dataclass(slots=True, kw_only=True)
class NoteEntry(Entry):
    """A sentence about the conversation: a retry, a gap, a new session."""

    text: str
    kind: NoteKind = NoteKind.INFO


@dataclass(slots=True, kw_only=True)
class EndEntry(Entry):
    """The end of an execution."""

    outcome: str
    words: str
    result: str = ""
    stderr: str = ""


def text_of(entry: Entry) -> str:
    """Return the text that a search looks at and that can be copied."""
    match entry:
        case PromptEntry() | TextEntry() | ThinkingEntry() | NoteEntry():
            return entry.text
        case ToolEntry():
            values = (value for value in entry.input.values() if isinstance(value, str))
            return "\n".join((entry.name, *values, entry.result))
        case EndEntry():
            return "\n".join((entry.words, entry.result, entry.stderr))
    return ""
