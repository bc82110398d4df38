"""What a fake hub does with each request."""

import re
import uuid
from collections.abc import Callable, Mapping
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Any

import simplejson

from claudehub.fake.core import FakeClient, FakeCore, Refused, SentAnswer, SentPrompt
from claudehub.fake.log import first_of, last_of
from claudehub.fake.project import FakeExecution, FakeProject
from claudehub.fake.script import Decision

PAGE_USUAL = 100
_Payload = Mapping[str, Any]
# The payload of the result, and what happens when it is sent.
_Reply = tuple[Mapping[str, Any], Callable[[], None]]


def receive(core: FakeCore, client: FakeClient, text: str | bytes) -> None:
    """Take a message of a connection, and answer it."""
    number = None
    try:
        message = simplejson.loads(text)
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Refused("invalid_message", "a message is an object with a type")
        number = message.get("id")
        _handle(core, client, message)
    except Refused as refused:
        payload = {"code": refused.code, "message": str(refused), "details": refused.details}
        client.send({"type": "error", "id": number, "payload": payload})
    except (simplejson.JSONDecodeError, RecursionError) as error:
        payload = {"code": "invalid_json", "message": str(error), "details": {}}
        client.send({"type": "error", "payload": payload})


def _handle(core: FakeCore, client: FakeClient, message: Mapping[str, Any]) -> None:
    kind = message["type"]
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise Refused("unknown_type", f"there is no request {kind}")
    fault = core.next_fault(kind)
    if fault is not None and fault.code is not None:
        raise Refused(fault.code, fault.message, **fault.details)
    if fault is not None:
        client.cut()  # nothing of what follows reaches it
        if not fault.is_done:
            return
    reply, then = handler(core, client, message.get("payload") or {})
    client.send({"type": "result", "id": message.get("id"), "payload": reply})
    then()


def _nothing() -> None:
    """The default for what follows a reply."""


def _field(payload: _Payload, name: str) -> str:
    """Return a text that must be there. Raises Refused."""
    value = payload.get(name)
    if not isinstance(value, str):
        raise Refused("invalid_message", f"{name} must be a text", field=f"payload.{name}")
    return value


def _project(core: FakeCore, payload: _Payload) -> FakeProject:
    return core.project(_field(payload, "project_id"))


def _project_create(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    path = _field(payload, "path")
    if not path.startswith("/"):
        raise Refused("invalid_path", f"{path} is no absolute path")
    project_id = payload.get("project_id") or _free_id(core, path)
    project = core.make(project_id, path, payload.get("name"))
    if payload.get("trusted") is not None:
        project.trusted = bool(payload["trusted"])
    return {"project": core.described(project)}, _nothing


def _free_id(core: FakeCore, path: str) -> str:
    base = re.sub("[^a-z0-9_-]+", "-", PurePosixPath(path).name.lower()).strip("-_") or "project"
    numbered = (f"{base}-{number}" for number in count(2))
    return next(name for name in chain([base], numbered) if name not in core.projects)


def _project_trust(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    project.trusted = bool(payload.get("trusted"))
    return {"project": core.described(project)}, lambda: core.changed(project)


def _project_delete(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    reply = {"project_id": project.project_id}
    return reply, lambda: core.delete(project, client.client_id)


def _project_list(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    return {"projects": core.all_described()}, _nothing


def _watch(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    client.is_watching = True
    return {"projects": core.all_described()}, _nothing


def _unwatch(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    client.is_watching = False
    return {}, _nothing


def _project_join(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    after = _start_of(project, payload)
    is_other = payload.get("log_id") not in (None, project.log_id)
    if is_other or not project.first_seq - 1 <= after <= project.last_seq:
        raise Refused("history_gone", "the log does not hold this", **_facts(project))
    ephemeral = payload.get("ephemeral") is not False
    client.joined[project.project_id] = ephemeral
    replay = project.after(after)

    def send_replay() -> None:
        for update in replay:
            client.update(update)

    return {"project": core.described(project), **_facts(project)}, send_replay


def _start_of(project: FakeProject, payload: _Payload) -> int:
    """Return the number behind which a join begins."""
    if (after := payload.get("after_seq")) is not None:
        return int(after)
    if (last := payload.get("last")) is not None:
        return max(project.last_seq - int(last), project.first_seq - 1)
    if (since := payload.get("since")) is not None:
        found = [first_of(update) for update in project.log if update["timestamp"] >= since]
        return (found[0] - 1) if found else project.last_seq
    return project.last_seq


def _facts(project: FakeProject) -> dict[str, Any]:
    return {
        "first_seq": project.first_seq,
        "last_seq": project.last_seq,
        "log_id": project.log_id,
    }


def _project_leave(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    client.joined.pop(project.project_id, None)
    return {"project_id": project.project_id}, _nothing


def _execute(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    prompt, content, key = payload.get("prompt"), payload.get("content"), payload.get("key")
    if (prompt is None) == (content is None):
        raise Refused("invalid_message", "either prompt or content", field="payload.prompt")
    project = _project(core, payload)
    options = payload.get("options") or {}
    execution_id = str(uuid.uuid4())
    what = {"prompt": prompt} if content is None else {"content": content}
    data = {"execution_id": execution_id, **what, "options": options, "key": key}
    if key is not None and key in project.keys:
        return _executed_before(project.keys[key], data), _nothing
    sent = SentPrompt(project.project_id, execution_id, prompt, content, options, key)
    core.prompts.append(sent)
    execution, position = project.execute({**data, "client_id": client.client_id, "user": None})
    reply = {"execution_id": execution.id, "state": execution.state, "position": position}
    return reply, project.go_on


def _executed_before(execution: FakeExecution, data: _Payload) -> dict[str, Any]:
    for name in ("prompt", "content", "options"):
        if execution.prompt.get(name) != data.get(name):
            raise Refused("invalid_message", "the key has another prompt", field="payload.key")
    return {"execution_id": execution.id, "state": execution.state, "position": 0}


def _end(outcome: str) -> Callable[[FakeCore, FakeClient, _Payload], _Reply]:
    def handler(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
        project = _project(core, payload)
        execution = project.running
        if (wanted := payload.get("execution_id")) is not None:
            execution = project.executions.get(wanted)
        if execution is None or execution.state == "finished":
            raise Refused("nothing_running", "nothing runs")
        if execution.state == "queued" and outcome == "interrupted":
            raise Refused("nothing_running", "it waits")

        def then() -> None:
            ended = "cancelled" if execution.state == "queued" else outcome
            project.finish(execution, ended, None)
            project.go_on()

        return {"execution_id": execution.id}, then

    return handler


def _agent_new_session(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    old, project.session_id = project.session_id, None
    reset = {"old_session_id": old, "reason": "requested"}
    return {"project": core.described(project)}, lambda: project.add("session_reset", reset)


def _permission_answer(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    permission_id = _field(payload, "permission_id")
    decision = payload.get("decision")
    if decision not in ("allow", "deny"):
        raise Refused("invalid_message", "allow or deny", field="payload.decision")
    if permission_id in project.answered:
        earlier, by = project.answered[permission_id]
        raise Refused("already_answered", f"{by} was first", by=by, decision=earlier)
    if permission_id not in project.pending:
        raise Refused("permission_not_found", f"no permission {permission_id} waits")
    message, updated_input = payload.get("message"), payload.get("updated_input")
    remember = bool(payload.get("remember"))
    core.answers.append(
        SentAnswer(project.project_id, permission_id, decision, message, updated_input, remember)
    )

    def then() -> None:
        said = Decision(decision, message, updated_input)
        project.answer(permission_id, said, client.client_id)
        project.go_on()

    return {"permission_id": permission_id}, then


def _get_messages(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    project = _project(core, payload)
    after, before = payload.get("after_seq"), payload.get("before_seq")
    since, until = payload.get("since"), payload.get("until")
    found = [
        update
        for update in project.log
        if (after is None or last_of(update) > after)
        and (before is None or first_of(update) < before)
        and (since is None or update["timestamp"] >= since)
        and (until is None or update["timestamp"] <= until)
    ]
    limit = payload.get("limit") or PAGE_USUAL
    forwards = after is not None or since is not None
    page = found[:limit] if forwards else found[-limit:]
    return {"messages": page, **_facts(project), "more": len(found) > len(page)}, _nothing


def _health_check(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    executing = sum(project.running is not None for project in core.projects.values())
    return {
        "status": "ok",
        "problems": [],
        "version": "fake",
        "uptime_seconds": 1,
        "connections": len(core.clients),
        "projects": len(core.projects),
        "executing": executing,
        "claude": None,
    }, _nothing


def _ping(core: FakeCore, client: FakeClient, payload: _Payload) -> _Reply:
    return payload, _nothing


_HANDLERS: dict[str, Callable[[FakeCore, FakeClient, _Payload], _Reply]] = {
    "agent_interrupt": _end("interrupted"),
    "agent_kill": _end("killed"),
    "agent_new_session": _agent_new_session,
    "execute": _execute,
    "get_messages": _get_messages,
    "health_check": _health_check,
    "permission_answer": _permission_answer,
    "ping": _ping,
    "project_create": _project_create,
    "project_delete": _project_delete,
    "project_join": _project_join,
    "project_leave": _project_leave,
    "project_list": _project_list,
    "project_trust": _project_trust,
    "unwatch": _unwatch,
    "watch": _watch,
}
