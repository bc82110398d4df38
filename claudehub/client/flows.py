"""What takes more than one request, written once for both shells.

A flow is a generator: it yields a Call, is sent the call's result or thrown its error, and returns
its own result. blocking.py waits for each call with a thread, aio.py with `await`.
"""

import os
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claudehub.client.answer import Answer
from claudehub.client.calls import Call
from claudehub.client.errors import HubError, RequestRefused
from claudehub.client.history import (
    PAGE,
    History,
    Moment,
    first_seq_of,
    moment,
    position_of,
    updates_of,
)
from claudehub.client.position import Position
from claudehub.client.progress import Begun
from claudehub.client.reading import history_gone, project_info
from claudehub.client.updates import (
    HistoryGone,
    PermissionRequest,
    ProjectInfo,
    Prompt,
    Update,
)

After = Position | int | None


# Refusals whose words do not name the folder.
_ABOUT_A_FOLDER = frozenset({"invalid_path", "path_not_allowed", "project_nesting"})


def is_path(project: str) -> bool:
    """Return True for a folder; an id has no slash."""
    return "/" in project or project in (".", "..", "~")


def advanced(flow: Generator[Call, Mapping[str, Any], Any], call: Call) -> Call:
    """Give a flow the end of its call, and return its next one. Raises StopIteration with the
    flow's result, and HubError."""
    if call.error is not None:
        return flow.throw(call.error)
    try:
        return flow.send(call.result or {})
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # The flow reads what the hub has sent; its own parameters were checked before the call.
        raise HubError(f"the hub's reply to {call.kind} cannot be read: {error!r}") from error


def asked(call: Call) -> Generator[Call, Mapping[str, Any], Mapping[str, Any]]:
    """Ask one thing, and return the reply."""
    reply = yield call
    return reply


def wanted_project(
    project: str, is_folder: bool, create: bool
) -> Generator[Call, Mapping[str, Any], str]:
    """Return the id of a project, given as an id or a folder."""
    if not is_folder and not is_path(project):
        return project
    path = os.path.realpath(os.path.expanduser(project))
    for info in (yield from projects()):
        if info.path == path:
            return info.project_id
    if not create:
        raise RequestRefused("project_not_found", f"no project is in {path}", {"path": path})
    try:
        info = yield from created(path)
    except RequestRefused as error:
        if error.code != "project_exists":
            raise
        # Somebody else has made it meanwhile; or the folder has another project's id.
        info = yield from described(error.details["project_id"])
        if info.path != path:
            raise
    return info.project_id


def projects() -> Generator[Call, Mapping[str, Any], list[ProjectInfo]]:
    listed = yield Call("project_list")
    return [project_info(project) for project in listed["projects"]]


def described(project_id: str) -> Generator[Call, Mapping[str, Any], ProjectInfo]:
    for info in (yield from projects()):
        if info.project_id == project_id:
            return info
    raise RequestRefused(
        "project_not_found", f"there is no project {project_id}", {"project_id": project_id}
    )


def created(path: str | Path, **options: Any) -> Generator[Call, Mapping[str, Any], ProjectInfo]:
    """Make a project. If the reply to a first try was lost, the project that it made counts."""
    folder = os.path.abspath(os.path.expanduser(path))
    call = Call("project_create", path=folder, **options)
    try:
        reply = yield call
    except RequestRefused as error:
        if error.code in _ABOUT_A_FOLDER:
            message = f"{error.message}: {folder}"
            raise RequestRefused(error.code, message, error.details) from None
        if error.code != "project_exists" or not call.was_lost:
            raise
        info = yield from described(error.details["project_id"])
        if info.path != os.path.realpath(folder):
            raise
        return info
    return project_info(reply["project"])


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin to read, and what is gone before it."""

    position: Position
    gone: HistoryGone | None = None


def started_at(
    project_id: str, after: After, last: int | None, since: Moment | None
) -> Generator[Call, Mapping[str, Any], Start]:
    """Return where a reader begins. Raises ValueError for more than one way to say it."""
    if sum(choice is not None for choice in (after, last, since)) > 1:
        raise ValueError("one of after, last and since")
    page = yield Call("get_messages", project_id=project_id, limit=1, since=moment(since))
    log_id, first, end = page["log_id"], page["first_seq"], page["last_seq"]
    if since is not None:
        found = [position_of(raw, log_id).seq - 1 for raw in page["messages"][:1]]
        return Start(Position(log_id, max(found[0] if found else end, first - 1)))
    if last is not None:
        return Start(Position(log_id, max(end - last, first - 1)))
    if after is None:
        return Start(Position(log_id, end))
    place = after if isinstance(after, Position) else Position("", after)
    if place.log_id in ("", log_id) and first - 1 <= place.seq <= end:
        return Start(Position(log_id, place.seq))
    gone = history_gone(project_id, {"log_id": log_id, "first_seq": first, "last_seq": end})
    assert gone.position is not None
    return Start(gone.position, gone)


def executed(
    project_id: str,
    prompt: str | list[Any],
    key: str | None,
    traceparent: str | None,
    options: Mapping[str, Any],
) -> Generator[Call, Mapping[str, Any], Begun]:
    """Send a prompt. It has a key, so it runs once, however often it is sent."""
    what = {"prompt": prompt} if isinstance(prompt, str) else {"content": prompt}
    call = Call(
        "execute",
        project_id=project_id,
        key=key or str(uuid.uuid4()),
        options=options or None,
        traceparent=traceparent,
        **what,
    )
    start = yield from started_at(project_id, None, None, None)
    reply = yield call
    execution_id, position = reply["execution_id"], start.position
    if key is not None:  # an earlier run of the program may have sent it
        found = yield from prompt_of(project_id, execution_id)
        position = found or position
    return Begun(execution_id, reply["state"], reply.get("position") or 0, position)


def prompt_of(
    project_id: str, execution_id: str
) -> Generator[Call, Mapping[str, Any], Position | None]:
    """Return the position before the prompt of an execution; None if it is no longer there."""
    before: int | None = None
    while True:
        page = yield Call("get_messages", project_id=project_id, before_seq=before, limit=PAGE)
        updates = updates_of(page)
        for update in reversed(updates):
            if isinstance(update, Prompt) and update.execution_id == execution_id:
                assert update.position is not None
                return Position(update.position.log_id, update.position.seq - 1)
        if not page["more"] or not updates:
            return None
        before = first_seq_of(updates[0])


def lost_at(project_id: str, execution_id: str) -> Generator[Call, Mapping[str, Any], int | None]:
    """Return None if an execution runs or waits. Else return the number of the last update in the
    log: if its end does not stand before that, it is lost."""
    info = yield from described(project_id)
    known = (info.execution_id, *(entry.execution_id for entry in info.queue))
    return None if execution_id in known else info.last_seq


def page_of(pages: History) -> Generator[Call, Mapping[str, Any], list[Update]]:
    """Fetch the next page of a log."""
    return pages.page((yield pages.call()))


def answered(
    project_id: str,
    permission: PermissionRequest | str,
    said: Answer,
) -> Generator[Call, Mapping[str, Any], None]:
    """Answer a permission, or a question of AskUserQuestion."""
    permission_id = permission if isinstance(permission, str) else permission.permission_id
    updated_input = said.updated_input
    if said.answers is not None:
        if isinstance(permission, str):
            asked = yield from _input_of(project_id, permission)
        else:
            asked = permission.input
        updated_input = {**asked, **(updated_input or {}), "answers": dict(said.answers)}
    yield Call(
        "permission_answer",
        project_id=project_id,
        permission_id=permission_id,
        decision=said.decision,
        message=said.message,
        updated_input=updated_input,
        remember=said.remember or None,
    )


def _input_of(
    project_id: str, permission_id: str
) -> Generator[Call, Mapping[str, Any], Mapping[str, Any]]:
    """Return the input of a permission that waits."""
    info = yield from described(project_id)
    for pending in info.pending_permissions:
        if pending["permission_id"] == permission_id and "input" in pending:
            found: Mapping[str, Any] = pending["input"]
            return found
    raise RequestRefused(
        "permission_not_found",
        "this permission does not wait, or its input is too large to be listed; "
        "give the PermissionRequest itself",
        {"permission_id": permission_id},
    )


def trusted(project_id: str, is_trusted: bool) -> Generator[Call, Mapping[str, Any], ProjectInfo]:
    reply = yield Call("project_trust", project_id=project_id, trusted=is_trusted)
    return project_info(reply["project"])


def ended(
    project_id: str, kind: str, execution_id: str | None
) -> Generator[Call, Mapping[str, Any], str]:
    """Interrupt or kill an execution; without an id, the one that runs when the hub is asked.

    The request names it, so that one that is sent again cannot meet the next execution.
    """
    if execution_id is None:
        info = yield from described(project_id)
        execution_id = info.execution_id
    reply = yield Call(kind, project_id=project_id, execution_id=execution_id)
    return str(reply["execution_id"])
