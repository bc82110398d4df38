"""A tool call in one line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from claudehub.show.diffs import EDITING_TOOLS, counts, edit_diff, edited_path
from claudehub.show.safe_text import as_json, one_line, shortened, string

_DETAIL_LENGTH = 2_000
_MINUS = "\N{MINUS SIGN}"
_Input = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a tool is called with: `verb` is the tool or a sign for it, `detail` the rest. Both are
    safe text in one line, and as long as they come; whoever shows them cuts them."""

    verb: str
    detail: str

    def __str__(self) -> str:
        return f"{self.verb} {self.detail}".rstrip()


def summary_of(tool: str, tool_input: _Input) -> Summary:
    """Return a tool call in one line: `$ npm test`, `Edit app.py +3 -1`, `Grep "TODO" in src`."""
    if tool == "Bash":
        return Summary("$", _first_line(string(tool_input.get("command") or "")))
    if tool in EDITING_TOOLS:
        return Summary(tool, _edit(tool, tool_input))
    if tool.startswith("mcp__"):
        server, _, name = tool.removeprefix("mcp__").partition("__")
        return Summary(one_line(f"{server}: {name}"), _fields(tool_input))
    detail = _DETAILS.get(tool, _fields)(tool_input)
    return Summary(one_line(tool), detail)


def edit_counts(tool: str, tool_input: _Input) -> str:
    """Return `+3 -1` (with a true minus sign), or nothing for a tool that does not edit."""
    added, removed = counts(edit_diff(tool, tool_input) or ())
    return " ".join(f"{sign}{count}" for sign, count in (("+", added), (_MINUS, removed)) if count)


def _edit(tool: str, tool_input: _Input) -> str:
    return f"{_safe(edited_path(tool_input))} {edit_counts(tool, tool_input)}".rstrip()


def _first_line(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return ""
    more = len(lines) - 1
    return _safe(lines[0]) + (f" … +{more} line{'s' if more > 1 else ''}" if more else "")


def _safe(text: str) -> str:
    return one_line(shortened(text, _DETAIL_LENGTH))


def _named(name: str) -> Callable[[_Input], str]:
    return lambda tool_input: _first_line(string(tool_input.get(name) or ""))


def _read(tool_input: _Input) -> str:
    offset, limit = tool_input.get("offset"), tool_input.get("limit")
    lines = ""
    if isinstance(offset, int) and isinstance(limit, int):
        lines = f", lines {offset} to {offset + limit - 1}"
    elif isinstance(offset, int):
        lines = f", from line {offset}"
    elif isinstance(limit, int):
        lines = f", the first {limit} lines"
    return edited_path(tool_input) + lines


def _search(tool_input: _Input) -> str:
    """Return the pattern and where it is searched: for Grep, which quotes it, and Glob."""
    pattern = _safe(string(tool_input.get("pattern") or ""))
    places = [string(tool_input[name]) for name in ("path", "glob", "type") if tool_input.get(name)]
    return f'"{pattern}"' + (f" in {_safe(', '.join(places))}" if places else "")


def _task(tool_input: _Input) -> str:
    kind = tool_input.get("subagent_type")
    words = string(tool_input.get("description") or tool_input.get("prompt") or "")
    return _first_line(words) + (f" ({_safe(string(kind))})" if kind else "")


def _todos(tool_input: _Input) -> str:
    todos = tool_input.get("todos")
    entries = (
        [entry for entry in todos if isinstance(entry, dict)] if isinstance(todos, list) else []
    )
    done = sum(entry.get("status") == "completed" for entry in entries)
    now = next((e for e in entries if e.get("status") == "in_progress"), {})
    doing = now.get("activeForm") or now.get("content")
    return f"{done} of {len(entries)} done" + (f": {_safe(string(doing))}" if doing else "")


def _asked(tool_input: _Input) -> str:
    questions = tool_input.get("questions")
    entries = [q for q in questions if isinstance(q, dict)] if isinstance(questions, list) else []
    return _safe(" ".join(string(entry.get("question") or "") for entry in entries))


def _fields(tool_input: _Input) -> str:
    """Return the input as `name=value …`, the values as JSON unless they are plain words."""
    return _safe(" ".join(f"{name}={_value(value)}" for name, value in tool_input.items()))


def _value(value: Any) -> str:
    if isinstance(value, str) and value and not set(value) & set(" \t\n\"'="):
        return value
    return as_json(value)


_DETAILS: dict[str, Callable[[_Input], str]] = {
    "Read": _read,
    "Glob": _search,
    "Grep": _search,
    "WebFetch": _named("url"),
    "WebSearch": _named("query"),
    "Task": _task,
    "Agent": _task,
    "TodoWrite": _todos,
    "AskUserQuestion": _asked,
    "ExitPlanMode": lambda _: "",
    "Skill": _named("skill"),
    "SlashCommand": _named("command"),
}
