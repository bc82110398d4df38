"""`project` objects within the bounds of a message: what of a question they show, how many fit into
one reply, and when one has changed. Pure."""

from collections.abc import Sequence
from typing import Any

from protocol.codec import dumps
from protocol.updates import PermissionRequest, ProjectInfo

# Of each field of a question that waits; the whole is in its `permission_request`.
QUESTION_FIELD_BYTES_MAX = 64 * 1024
# Of all questions of one project together.
QUESTIONS_BYTES_MAX = 1024 * 1024
QUEUE_SHOWN_MAX = 1000
# A change in these alone makes no `project_changed`.
NO_NEWS_FIELDS = ("last_active", "last_seq", "subscribers")
# What may be long in a question. The others are ids of ours.
LONG_FIELDS = ("input", "suggestions", "description", "blocked_path", "display_name", "reason")


def shown_question(request: PermissionRequest) -> dict[str, Any]:
    """Return a question as `pending_permissions` shows it: what is too long is left out, and
    `truncated` says so."""
    shown = request.model_dump()
    long = [n for n in LONG_FIELDS if _size_bytes(shown[n]) > QUESTION_FIELD_BYTES_MAX]
    return _without(shown, long)


def shown_questions(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a project's questions. Those past the bound for all of them are only named."""
    shown, total = [], 0
    for question in questions:
        total += _size_bytes(question)
        shown.append(question if total <= QUESTIONS_BYTES_MAX else _without(question, LONG_FIELDS))
    return shown


def fitting(infos: Sequence[ProjectInfo], max_bytes: int) -> dict[str, Any]:
    """Return the payload of project_list within a size: first questions are only named, then the
    prompts of queues are left out, and at last projects at the end, with `truncated`."""
    projects = [info.model_dump(mode="json") for info in infos]
    for shorten in (_name_questions, _empty_queues):
        if _size_bytes(projects) <= max_bytes:
            break
        projects = [shorten(project) for project in projects]
    kept: list[dict[str, Any]] = []
    total = 0
    for project in projects:
        total += _size_bytes(project) + 1
        if total > max_bytes:
            return {"projects": kept, "truncated": True}
        kept.append(project)
    return {"projects": kept}


def is_news(shown: ProjectInfo | None, info: ProjectInfo) -> bool:
    """Return True if clients that were shown the first should get the second. What changes with
    every line of the agent, or with every client, is no news by itself."""
    return shown is None or _compared(shown) != _compared(info)


def _compared(info: ProjectInfo) -> dict[str, Any]:
    return {name: value for name, value in info if name not in NO_NEWS_FIELDS}


def _name_questions(project: dict[str, Any]) -> dict[str, Any]:
    named = [_without(question, LONG_FIELDS) for question in project["pending_permissions"]]
    return {**project, "pending_permissions": named}


def _empty_queues(project: dict[str, Any]) -> dict[str, Any]:
    return {**project, "queue": [{**waiting, "prompt": ""} for waiting in project["queue"]]}


def _without(question: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if not names:
        return question
    return {**{k: v for k, v in question.items() if k not in names}, "truncated": True}


def _size_bytes(value: Any) -> int:
    return len(dumps(value))
