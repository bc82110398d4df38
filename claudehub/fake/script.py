"""What the agent of a fake hub does with a prompt: the steps of a script."""

import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Decision:
    """What a permission was answered with. A script gets it for each Ask that it yields."""

    decision: str
    message: str | None = None
    updated_input: Mapping[str, Any] | None = None

    @property
    def is_allowed(self) -> bool:
        return self.decision == "allow"


@dataclass(frozen=True, slots=True)
class Ask:
    """A step: call a tool, ask for permission, and wait for the answer. `result` is what the tool
    says if it is allowed."""

    tool: str
    input: Mapping[str, Any]
    description: str | None = None
    suggestions: list[Mapping[str, Any]] = field(default_factory=list)
    result: str = "done"


@dataclass(frozen=True, slots=True)
class Delta:
    """A step: say a piece of the answer, as partial output. It is not stored."""

    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A step: wait until the test calls `FakeHub.release`, or the execution is ended."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ends, if not with success."""

    outcome: str
    result: str | None = None


# A text that the agent says, a line of the CLI as it comes, or one of the above.
Step = str | Mapping[str, Any] | Ask | Delta | Hold
# A generator is given the Decision of each Ask, and None for other steps, which no script looks
# at. The text that it returns is the result.
Steps = Generator[Step, Decision, "str | Ending | None"]
Script = Callable[[str], "Steps | Iterable[Step]"]


def usual(prompt: str) -> Iterable[Step]:
    """Answer as the agent of a hub does that has no script: "ok"."""
    return ["ok"]


def steps_of(script: Script, prompt: str) -> Steps:
    """Return the steps of a script, which may be a generator or any iterable. The last text is the
    result if there is no other."""
    found = script(prompt)
    if isinstance(found, Generator):
        result: str | Ending | None = yield from found
        return result
    said: str | None = None
    for step in [found] if isinstance(found, str) else found:
        yield step
        said = step if isinstance(step, str) else said
    return said


def said_line(block: Mapping[str, Any], session_id: str) -> dict[str, Any]:
    """Return the line of the CLI with which the agent says something, or calls a tool."""
    message = {
        "id": f"msg_{uuid.uuid4().hex[:12]}",
        "type": "message",
        "role": "assistant",
        "content": [block],
    }
    return {"type": "assistant", "message": message, "session_id": session_id}


def text_line(text: str, session_id: str) -> dict[str, Any]:
    return said_line({"type": "text", "text": text}, session_id)


def tool_line(ask: Ask, tool_use_id: str, session_id: str) -> dict[str, Any]:
    block = {"type": "tool_use", "id": tool_use_id, "name": ask.tool, "input": dict(ask.input)}
    return said_line(block, session_id)


def tool_result_line(
    tool_use_id: str, text: str, is_error: bool, session_id: str
) -> dict[str, Any]:
    """Return the line of the CLI with which it gives the agent what a tool has said."""
    block = {
        "type": "tool_result",
        "tool_use_id": tool_use_id,
        "content": text,
        "is_error": is_error,
    }
    message = {"role": "user", "content": [block]}
    return {"type": "user", "message": message, "session_id": session_id}


def delta_line(text: str, session_id: str) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    event = {"type": "content_block_delta", "index": 0, "delta": delta}
    return {"type": "stream_event", "event": event, "session_id": session_id}


def result_line(text: str | None, is_error: bool, session_id: str) -> dict[str, Any]:
    return {
        "type": "result",
        "subtype": "success",
        "is_error": is_error,
        "result": text or "",
        "session_id": session_id,
    }
