"""Questions of the CLI that wait for a user, and what users have allowed for the whole session."""

import secrets
from dataclasses import dataclass
from typing import Any

from protocol.claude import NO_RULES, ControlRequest, Rules, allow_tool_line, deny_tool_line
from protocol.codec import dumps
from protocol.fields import PERMISSION_MODES
from protocol.nesting import is_too_deep
from protocol.updates import PermissionRequest

# bypassPermissions needs a process that was started for it, by a prompt's own options.
_MODES = frozenset(PERMISSION_MODES) - {"bypassPermissions"}
# At once, in one process; further questions are refused.
QUESTIONS_MAX = 64
# Of all questions that wait in one process: each is held, logged, and shown to everybody who joins.
QUESTIONS_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Question:
    """One can_use_tool. `outlives_turn`: an agent in the background asks it."""

    request_id: str
    shown: PermissionRequest
    outlives_turn: bool
    size_bytes: int


class Questions:
    """The questions of one process. `waiting` holds them by permission id, since the CLI's own ids
    are not unique over processes."""

    def __init__(self) -> None:
        self.waiting: dict[str, Question] = {}

    def ask(
        self, request: ControlRequest, execution_id: str | None, *, background: bool
    ) -> Question | None:
        """Return a question that can be shown; None if its shape is unknown, or there are too
        many."""
        body = request.body
        tool, tool_input = body.get("tool_name"), body.get("input")
        if not isinstance(tool, str) or not isinstance(tool_input, dict):
            return None
        size_bytes = _size_bytes(request.body)
        waiting = sum(question.size_bytes for question in self.waiting.values())
        if size_bytes is None or waiting + size_bytes > QUESTIONS_BYTES_MAX:
            return None
        if len(self.waiting) >= QUESTIONS_MAX:
            return None
        listed = body.get("permission_suggestions")
        suggestions = listed if isinstance(listed, list) else []
        shown = PermissionRequest(
            permission_id=secrets.token_hex(8),
            execution_id=execution_id,
            tool=tool,
            input=tool_input,
            description=_text(body.get("description")),
            suggestions=[s for s in suggestions if isinstance(s, dict)],
            blocked_path=_text(body.get("blocked_path")),
            tool_use_id=_text(body.get("tool_use_id")),
            agent_id=_text(body.get("agent_id")),
            display_name=_text(body.get("display_name")),
            reason=_text(body.get("decision_reason")),
        )
        outlives = execution_id is None or (background and isinstance(body.get("agent_id"), str))
        question = Question(request.request_id, shown, outlives, size_bytes)
        self.waiting[shown.permission_id] = question
        return question

    def take(self, permission_id: str) -> Question | None:
        return self.waiting.pop(permission_id, None)

    def take_withdrawn(self, request_id: str) -> str | None:
        """Take out a question that needs no answer any more; return its permission id."""
        for permission_id, question in self.waiting.items():
            if question.request_id == request_id:
                del self.waiting[permission_id]
                return permission_id
        return None

    def drop_of_turn(self) -> list[Question]:
        """Drop and return what the turn has asked: the turn is over."""
        dropped = [q for q in self.waiting.values() if not q.outlives_turn]
        self.waiting = {i: q for i, q in self.waiting.items() if q.outlives_turn}
        return dropped

    def take_all(self) -> list[str]:
        """Take out all: the process is gone."""
        taken, self.waiting = list(self.waiting), {}
        return taken


def _size_bytes(body: dict[str, Any]) -> int | None:
    """Return the size as JSON, as clients and the CLI will get it; None if it cannot be written:
    nested too deeply, or with a number that is not finite."""
    try:
        return None if is_too_deep(body) else len(dumps(body))
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def allow_line(
    question: Question, updated_input: dict[str, Any] | None, granted: list[dict[str, Any]]
) -> bytes:
    """Return the answer that allows; `granted` are suggestions that hold from now on."""
    tool_input = question.shown.input if updated_input is None else updated_input
    return allow_tool_line(question.request_id, tool_input, granted)


def deny_line(question: Question, message: str) -> bytes:
    return deny_tool_line(question.request_id, message)


class Remembered:
    """What users have allowed for the rest of one session. The CLI's process keeps it, and the
    Executor repeats it to the next process of the session. It is in memory only: after a restart of
    the server the agent asks again."""

    def __init__(self) -> None:
        self.rules = NO_RULES
        self.mode: str | None = None

    def __bool__(self) -> bool:
        return bool(self.rules) or self.mode is not None

    def grant(self, question: Question) -> list[dict[str, Any]]:
        """Take a question's suggestions; return them for this session and nothing longer.

        A mode would allow more than the question (`acceptEdits` for one `touch`), and each prompt
        sets its own mode. So a mode is kept beyond the turn only if there is no narrower
        suggestion.
        """
        granted = [{**s, "destination": "session"} for s in question.shown.suggestions]
        narrower = [s for s in granted if s.get("type") != "setMode"]
        for suggestion in narrower or granted:
            self._note(suggestion)
        return granted

    def _note(self, suggestion: dict[str, Any]) -> None:
        match suggestion.get("type"):
            case "addRules" | "replaceRules":
                named = tuple(_rule(r) for r in _dicts(suggestion.get("rules")))
                match suggestion.get("behavior"):
                    case "allow":
                        self.rules += Rules(allow=named)
                    case "deny":
                        self.rules += Rules(deny=named)
            case "addDirectories":
                listed = suggestion.get("directories")
                folders = listed if isinstance(listed, list) else []
                self.rules += Rules(folders=tuple(str(folder) for folder in folders))
            case "setMode" if str(suggestion.get("mode")) in _MODES:
                self.mode = str(suggestion["mode"])


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _rule(rule: dict[str, Any]) -> str:
    """Return a rule as the CLI writes it: `Bash(git *)`, or the tool alone."""
    content = rule.get("ruleContent")
    return f"{rule.get('toolName')}({content})" if content else str(rule.get("toolName"))
