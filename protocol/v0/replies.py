"""Answers of version 0, made of ours; and what one connection has joined."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from protocol import codec, requests
from protocol.codec import Undecodable
from protocol.dialect import Update
from protocol.errors import Busy, ErrorCode, RequestRefused, WireError
from protocol.requests import Request
from protocol.updates import UpdateType
from protocol.v0 import shapes
from protocol.v0.requests import NO_PROJECT, Request0

# Joined projects that are remembered, the newest ones: more than a connection may have
# (actors/client/routing.py). Those that were deleted since are among them.
JOINED_MAX = 4_096

BUSY = "PROCESS_ACTIVE"
INTERNAL = "INTERNAL_ERROR"
CODES = {
    ErrorCode.INVALID_PATH: "INVALID_PATH",
    ErrorCode.PATH_NOT_ALLOWED: "INVALID_PATH",
    ErrorCode.PROJECT_NESTING: "PROJECT_NESTING",
    ErrorCode.PROJECT_EXISTS: "PROJECT_EXISTS",
    ErrorCode.PROJECT_NOT_FOUND: "PROJECT_NOT_FOUND",
    ErrorCode.TOO_MANY_PROJECTS: "RESOURCE_LIMIT",
    ErrorCode.RATE_LIMITED: "RESOURCE_LIMIT",
    ErrorCode.QUEUE_FULL: "RESOURCE_LIMIT",
    ErrorCode.NOTHING_RUNNING: "PROCESS_NOT_FOUND",
    ErrorCode.INVALID_MESSAGE: "VALIDATION_FAILED",
    ErrorCode.UNKNOWN_TYPE: "VALIDATION_FAILED",
    ErrorCode.INVALID_OPTIONS: "VALIDATION_FAILED",
    ErrorCode.INVALID_JSON: "JSON_PARSING",
    ErrorCode.UNAUTHENTICATED: "UNAUTHORIZED",
    ErrorCode.FORBIDDEN: "UNAUTHORIZED",
    ErrorCode.STORAGE_FAILED: "FILE_OPERATION",
    ErrorCode.SHUTTING_DOWN: INTERNAL,
    ErrorCode.INTERNAL: INTERNAL,
}

Beside = Mapping[str, Any]


class Replier0:
    """What one connection is answered. It keeps the projects that the connection has joined, the
    last one at the end: that is the current one."""

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._confirmed: set[str] = set()  # of those: whose join was answered

    def meant(self, request: Request) -> Request:
        """Put the current project in where the request names none."""
        body = request.body
        if isinstance(body, requests.ProjectCreate) and ".." in body.path.split("/"):
            error = RequestRefused(ErrorCode.INVALID_PATH, "path traversal detected")
            raise Undecodable(error, kind=request.type, meant=request)
        if not isinstance(body, requests.ToProject | requests.ProjectDelete):
            return request
        if body.project_id == NO_PROJECT:
            body = body.model_copy(update={"project_id": self._current(request)})
            request = replace(request, body=body)
        project_id = body.project_id
        if isinstance(body, requests.ProjectJoin):
            was_confirmed = project_id in self._confirmed
            self._forget(project_id)
            self._joined.append(project_id)
            if was_confirmed:
                self._confirmed.add(project_id)
            if len(self._joined) > JOINED_MAX:
                self._forget(self._joined[0])
        elif isinstance(body, requests.ProjectLeave):
            self._forget(project_id)
        elif isinstance(body, requests.Execute) and project_id not in self._joined:
            problem = "not subscribed to a project"  # nobody would see what it does
            raise _refused(request, problem)
        return request

    def _current(self, request: Request) -> str:
        if self._joined:
            return self._joined[-1]
        is_leave = isinstance(request.body, requests.ProjectLeave)
        problem = "not subscribed to any project" if is_leave else "project_id is required"
        raise _refused(request, problem)

    def _forget(self, project_id: str) -> None:
        if project_id in self._joined:
            self._joined.remove(project_id)
        self._confirmed.discard(project_id)

    def result(self, request: Request, payload: Any, *, now: str, beside: Beside) -> list[bytes]:
        body = request.body
        if isinstance(body, requests.ProjectJoin) and body.project_id in self._joined:
            self._confirmed.add(body.project_id)
        made = _RESULTS[request.type](request, payload, now, beside)
        about = None if request.type in _ABOUT_NONE else _project_id(request, payload)
        return [shapes.frame(kind, about, data) for kind, data in made]

    def error(self, request: Request | Undecodable, error: WireError) -> list[bytes]:
        kind, project_id, body = _about(request)
        if isinstance(body, requests.ProjectJoin) and project_id not in (None, *self._confirmed):
            self._forget(str(project_id))
        code = BUSY if isinstance(error, Busy) else CODES.get(error.code, INTERNAL)
        details: dict[str, Any] = {} if kind is None else {"message_type": kind}
        details |= {name: value for name, value in error.details.items() if name in _DETAILS}
        message = error.message.replace("payload.", "data.")
        if field := error.details.get("field"):
            details["field"] = field.replace("payload.", "data.")
        if code == CODES[ErrorCode.INVALID_PATH] and isinstance(body, requests.ProjectCreate):
            details["path"] = body.path
            message = _path_problem(body.path, message)
        facts: dict[str, Any] = {"code": code, "message": message}
        if details:
            facts["details"] = details
        return [shapes.frame("error", project_id, facts)]

    def history(
        self, request: Request, updates: Iterable[Update], facts: Mapping[str, Any]
    ) -> list[bytes]:
        assert isinstance(request, Request0) and isinstance(request.body, requests.GetRecords)
        metadata = {
            "total": facts["total"],
            "offset": facts["offset"],
            "limit": facts["limit"],
            "has_more": facts["more"],
            "since": request.since,
        }
        project_id = request.body.project_id
        data = b'{"project_id":%b,"messages":[%b],"metadata":%b}' % (
            codec.dumps(project_id),
            b",".join([_record(text) for text, _, _ in updates]),
            codec.dumps(metadata),
        )
        return [shapes.frame("get_messages", project_id, data)]


def _refused(request: Request, problem: str) -> Undecodable:
    error = RequestRefused(ErrorCode.INVALID_MESSAGE, problem)
    return Undecodable(error, kind=request.type, meant=request)


# What of our details a reply of version 0 has, too.
_DETAILS = ("project_id", "roots", "retry_after_seconds")


def _about(
    request: Request | Undecodable,
) -> tuple[str | None, str | None, requests.Body | None]:
    """Return the type of a request, the project that it is about, and its body."""
    if isinstance(request, Undecodable):
        if request.meant is not None:
            return _about(request.meant)
        return request.type, request.project_id, None
    is_about = isinstance(request.body, requests.ToProject | requests.ProjectDelete)
    project_id = request.body.project_id if is_about else None  # type: ignore[union-attr]
    return request.type, project_id or None, request.body


def _path_problem(path: str, message: str) -> str:
    """Return the message about a refused path. The older web page looks for these words."""
    if path.startswith("~"):
        return "invalid path: tilde expansion paths are not allowed"
    if not path.startswith("/"):
        return "invalid path: path must be absolute"
    return f"invalid path: {message}"


# -- results -------------------------------------------------------------------------------------

Made = list[tuple[str, dict[str, Any]]]


def _project_id(request: Request, payload: Any) -> str:
    if isinstance(request.body, requests.ProjectCreate):
        return str(payload["project"]["project_id"])
    return request.body.project_id  # type: ignore[union-attr]


def _created(request: Request, payload: Any, now: str, beside: Beside) -> Made:
    assert isinstance(request.body, requests.ProjectCreate)
    # The older clients compare it with what they have sent.
    sent = {"path": request.body.path}
    return [("project_state", {**shapes.project_state(payload["project"]), **sent})]


def _listed(request: Request, payload: Any, now: str, beside: Beside) -> Made:
    projects = [
        {
            **shapes.project_state(project),
            "metadata": {"subscriber_count": project["subscribers"]},
        }
        for project in payload["projects"]
    ]
    return [("project_list", {"projects": projects, "total": len(projects)})]


def _joined(request: Request, payload: Any, now: str, beside: Beside) -> Made:
    project = payload["project"]
    joined = {
        "project_id": project["project_id"],
        "session_id": project["session_id"] or "",
        "state": shapes.STATES[project["status"]],
    }
    return [("project_state", shapes.project_state(project)), ("project_join", joined)]


def _new_session(request: Request, payload: Any, now: str, beside: Beside) -> Made:
    facts = {
        "project_id": payload["project"]["project_id"],
        "old_session_id": beside["old_session_id"] or "",
        "status": "reset",
        "timestamp": now,
    }
    return [("agent_new_session", facts)]


def _did(kind: str, status: str, *, has_time: bool) -> Callable[[Request, Any, str, Beside], Made]:
    """Return what makes the answer to a request that only says what was done."""

    def make(request: Request, payload: Any, now: str, beside: Beside) -> Made:
        facts = {"project_id": _project_id(request, payload), "status": status}
        return [(kind, {**facts, "timestamp": now} if has_time else facts)]

    return make


def _health(request: Request, payload: Any, now: str, beside: Beside) -> Made:
    return [("health_check", health(payload, now))]


def health(payload: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return the data of `health_check` for the answer to our MachineCheck."""
    problems, limits, machine = payload["problems"], payload["limits"], payload["machine"]
    has_claude = payload["claude"] is not None
    cli = {"status": _HEALTHY if has_claude else _UNHEALTHY, "version": payload["claude"]}
    checks = {**machine, "claude_cli": cli}
    bad = [check for check in checks.values() if check["status"] != _HEALTHY]
    status = _DEGRADED if problems or bad else _HEALTHY
    return {
        "status": status if has_claude else _UNHEALTHY,
        "timestamp": now,
        "checks": checks,
        "problems": problems,
        "uptime": payload["uptime_seconds"],
        "version": payload["version"],
        "connections": {"active": payload["connections"], "limit": limits["connections"]},
        "projects": {
            "count": payload["projects"],
            "limit": limits["projects"],
            "executing": payload["executing"],
        },
        "claude": {"available": has_claude, "version": payload["claude"] or ""},
    }


_HEALTHY, _DEGRADED, _UNHEALTHY = "healthy", "degraded", "unhealthy"

_RESULTS: dict[str, Callable[[Request, Any, str, Beside], Made]] = {
    "project_create": _created,
    "project_list": _listed,
    "project_join": _joined,
    "project_leave": _did("project_leave", "left", has_time=False),
    "execute": _did("execute", "started", has_time=True),
    "agent_kill": _did("agent_kill", "killed", has_time=True),
    "agent_new_session": _new_session,
    "project_delete": _did("project_deleted", "deleted", has_time=False),
    "health_check": _health,
}
_ABOUT_NONE = ("project_list", "health_check")


# -- records -------------------------------------------------------------------------------------


def _record(text: bytes) -> bytes:
    """Return a stored prompt or line of the CLI as version 0 shows it, as JSON."""
    head, data = shapes.parts(codec.update_payload(text))
    update = shapes.read_head(head)
    if update["update_type"] == UpdateType.PROMPT:
        direction, kind = b"client", b'"user"'
        content = codec.dumps({"text": _prompt_text(codec.loads(data))})
    else:
        direction, kind, content = b"claude", shapes.type_of(data) or b"null", data
    return b'{"timestamp":%b,"direction":"%b","message":{"type":%b,"content":%b}}' % (
        codec.dumps(update["timestamp"]),
        direction,
        kind,
        content,
    )


def _prompt_text(data: Mapping[str, Any]) -> str:
    if (prompt := data.get("prompt")) is not None:
        return str(prompt)
    return "\n".join(block["text"] for block in data["content"] if block["type"] == "text")
