"""An edit of a file as a diff."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from claudehub.show.lines import Kind, Line
from claudehub.show.safe_text import string, visible

EDITING_TOOLS = ("Edit", "MultiEdit", "Write", "NotebookEdit")
# difflib takes quadratic time. Longer parts are shown as removed and added whole.
_COMPARED_LINES_MAX = 500
_CONTEXT_LINES = 3
_SHOWN = {
    "Edit": {"file_path", "old_string", "new_string", "replace_all"},
    "MultiEdit": {"file_path", "edits"},
    "Write": {"file_path", "content"},
    "NotebookEdit": {"notebook_path", "new_source", "cell_id", "cell_type", "edit_mode"},
}


def edited_path(tool_input: Mapping[str, Any]) -> str:
    """Return the path that an editing tool is given, as safe text."""
    return visible(string(tool_input.get("file_path") or tool_input.get("notebook_path") or "?"))


def edit_diff(tool: str, tool_input: Mapping[str, Any]) -> list[Line] | None:
    """Return what the tool would change in the file, without the file's name. None for tools that
    do not edit. The lines have no numbers, since the tool names none."""
    match tool:
        case "Edit":
            return _one_edit(tool_input)
        case "MultiEdit":
            edits = tool_input.get("edits")
            found: list[Line] = []
            for edit in edits if isinstance(edits, list) else ():
                if isinstance(edit, dict):
                    found += [Line(Kind.SKIPPED, "⋯")] if found else []
                    found += _one_edit(edit)
            return found
        case "Write":
            return _whole(Kind.ADDED, tool_input.get("content"))
        case "NotebookEdit":
            return _notebook_edit(tool_input)
    return None


def other_fields(tool: str, tool_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an editing tool's input that its diff does not show."""
    return {name: value for name, value in tool_input.items() if name not in _SHOWN.get(tool, ())}


def counts(diff: Iterable[Line]) -> tuple[int, int]:
    """Return how many lines a diff adds and removes."""
    kinds = [line.kind for line in diff]
    return kinds.count(Kind.ADDED), kinds.count(Kind.REMOVED)


def _one_edit(edit: Mapping[str, Any]) -> list[Line]:
    found = _compared(_split(edit.get("old_string")), _split(edit.get("new_string")))
    if edit.get("replace_all"):
        found.append(Line(Kind.NOTE, "(in every place where it stands)"))
    return found


def _notebook_edit(tool_input: Mapping[str, Any]) -> list[Line]:
    mode = string(tool_input.get("edit_mode") or "replace")
    cell = string(tool_input.get("cell_id") or "?")
    if mode == "delete":
        return [Line(Kind.NOTE, visible(f"cell {cell} is deleted"))]
    place = f"a new cell behind {cell}" if mode == "insert" else f"cell {cell}, as it will be"
    return [Line(Kind.NOTE, visible(place)), *_whole(Kind.ADDED, tool_input.get("new_source"))]


def _whole(kind: Kind, content: Any) -> list[Line]:
    return [Line(kind, visible(line)) for line in _split(content)]


def _split(content: Any) -> list[str]:
    """Return the lines; a last newline begins no line. str.splitlines() would split at more."""
    text = "" if content is None else string(content)
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _compared(old: list[str], new: list[str]) -> list[Line]:
    """Return the differences with a few equal lines around each."""
    start = _equal_lines(old, new)
    end = _equal_lines(old[start:][::-1], new[start:][::-1])
    middle = _changes(old[start : len(old) - end], new[start : len(new) - end])
    before = [Line(Kind.CONTEXT, line) for line in old[:start]]
    behind = [Line(Kind.CONTEXT, line) for line in old[len(old) - end :]]
    lines = _without_far_context([*before, *middle, *behind])
    return [Line(line.kind, visible(line.text)) for line in lines]


def _equal_lines(one: list[str], other: list[str]) -> int:
    """Return how many lines at the beginning are equal."""
    length = min(len(one), len(other))
    return next((i for i in range(length) if one[i] != other[i]), length)


def _changes(old: list[str], new: list[str]) -> list[Line]:
    removed = [Line(Kind.REMOVED, line) for line in old]
    added = [Line(Kind.ADDED, line) for line in new]
    if max(len(old), len(new)) > _COMPARED_LINES_MAX:
        return removed + added
    found: list[Line] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            found += [Line(Kind.CONTEXT, line) for line in old[a:b]]
        else:
            found += removed[a:b] + added[c:d]
    return found


def _without_far_context(lines: list[Line]) -> list[Line]:
    near: set[int] = set()
    for index, line in enumerate(lines):
        if line.kind is not Kind.CONTEXT:
            near.update(range(index - _CONTEXT_LINES, index + _CONTEXT_LINES + 1))
    found: list[Line] = []
    for index, line in enumerate(lines):
        if index in near:
            found.append(line)
        elif found and found[-1].kind is not Kind.SKIPPED:
            found.append(Line(Kind.SKIPPED, "⋯"))
    if found and found[-1].kind is Kind.SKIPPED:
        found.pop()
    return found
