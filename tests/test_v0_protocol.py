"""Version 0 as values: its requests read as ours, our answers and updates in its frames."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.client.routing import SUBSCRIPTIONS_MAX
from protocol import codec, requests
from protocol.codec import Undecodable
from protocol.dialect import Replier, Update
from protocol.errors import (
    Busy,
    ErrorCode,
    HubFault,
    RequestRefused,
    WireError,
    invalid_field,
    not_found,
)
from protocol.requests import USUAL, Request, Terms
from protocol.updates import UpdateType, time_limit_of, time_limit_text
from protocol.v0.dialect import VERSION_0
from protocol.v0.replies import CODES, JOINED_MAX
from protocol.v0.updates import go_duration
from storage import record

NOW = "2026-11-29T10:00:00.000000Z"
STAMP = "2026-11-29T09:00:00.000000Z"
PROJECT: dict[str, Any] = {
    "project_id": "p",
    "path": "/home/u/app",
    "status": "idle",
    "session_id": None,
    "execution_id": None,
    "queue": [],
    "subscribers": 2,
    "created_at": "2026-11-01T00:00:00.000000Z",
    "last_active": "2026-11-02T00:00:00.000000Z",
}
BOTH = Terms(only_if_idle=True, behind_updates=True)


def decode(kind: str, data: Any = None, **beside: Any) -> Request:
    return VERSION_0.decode(json.dumps({"type": kind, "data": data, **beside}))


def refused(kind: Any, data: Any = None, **beside: Any) -> WireError:
    with pytest.raises(Undecodable) as refusal:
        decode(kind, data, **beside)
    return refusal.value.error


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "body", "terms"),
    [
        ("project_list", None, requests.ProjectList(), USUAL),
        ("project_list", "anything", requests.ProjectList(), USUAL),
        ("health_check", 7, requests.MachineCheck(), USUAL),
        ("project_join", {"project_id": "x"}, requests.ProjectJoin(project_id="x"), USUAL),
        ("project_leave", {"project_id": "x"}, requests.ProjectLeave(project_id="x"), USUAL),
        (
            "agent_kill",
            {"project_id": "x"},
            requests.AgentKill(project_id="x"),
            Terms(behind_updates=True),
        ),
        ("agent_new_session", {"project_id": "x"}, requests.AgentNewSession(project_id="x"), BOTH),
        ("project_delete", {"project_id": "x"}, requests.ProjectDelete(project_id="x"), BOTH),
        (
            "execute",
            {"project_id": "x", "prompt": "go", "unknown": 1},
            requests.Execute(project_id="x", prompt="go"),
            BOTH,
        ),
    ],
)
def test_a_request_is_read_as_ours(kind: str, data: Any, body: requests.Body, terms: Terms) -> None:
    request = decode(kind, data)
    assert (request.type, request.id, request.body, request.terms) == (kind, None, body, terms)


def test_a_project_gets_a_uuid_and_keeps_its_path_as_sent() -> None:
    made = [decode("project_create", {"path": "/a/b/"}).body for _ in range(2)]
    assert all(isinstance(body, requests.ProjectCreate) for body in made)
    first, second = (body.project_id for body in made if isinstance(body, requests.ProjectCreate))
    assert first != second and len(str(first)) == 36
    assert isinstance(made[0], requests.ProjectCreate) and made[0].path == "/a/b/"
    assert made[0].trusted is None


def test_a_project_is_named_in_the_data_or_beside_it() -> None:
    def named(data: Any, **beside: Any) -> str:
        body = decode("project_join", data, **beside).body
        assert isinstance(body, requests.ProjectJoin)
        return body.project_id

    assert named({"project_id": "in"}, project_id="beside") == "in"
    assert named({}, project_id="beside") == named(None, project_id="beside") == "beside"
    assert named({"project_id": None}, project_id="beside") == "beside"
    assert named(None) == named({"project_id": ""}) == ""


def test_options_are_ours_by_the_same_names() -> None:
    options = {
        "model": "m",
        "fallback_model": "f",
        "permission_mode": "plan",
        "append_system_prompt": "s",
        "allowed_tools": ["Read"],
        "disallowed_tools": ["Bash"],
        "add_dirs": ["/d"],
    }
    ignored = {"mcp_config": {}, "strict_mcp_config": False, "made_up": 1, "model": "m"}
    body = decode("execute", {"prompt": "x", "options": {**options, **ignored}}).body
    assert isinstance(body, requests.Execute)
    assert body.options.model_dump(exclude_none=True) == options
    skipping = decode(
        "execute", {"prompt": "x", "options": {"dangerously_skip_permissions": True}}
    ).body
    assert isinstance(skipping, requests.Execute)
    assert skipping.options.permission_mode == "bypassPermissions"
    plain = decode("execute", {"prompt": "x", "options": {"dangerously_skip_permissions": False}})
    assert isinstance(plain.body, requests.Execute) and plain.body.options == requests.Options()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x", "options": []}, "options"),
        ({"prompt": "x", "options": {"allowed_tools": "Read"}}, "allowed_tools"),
        ({"prompt": "x", "options": {"permission_mode": "made up"}}, "permission_mode"),
        ({"prompt": "x", "options": {"mcp_config": {"a": 1}}}, "mcp_config"),
        ({"prompt": "x", "options": {"mcp_config": "a.json"}}, "mcp_config"),
        ({"prompt": "x", "options": {"strict_mcp_config": True}}, "strict_mcp_config"),
        (
            {"prompt": "x", "options": {"dangerously_skip_permissions": "yes"}},
            "dangerously_skip_permissions",
        ),
        ({"prompt": "x", "project_id": 7}, "project_id"),
        ("text", "data"),
    ],
)
def test_an_execute_that_cannot_be_understood_names_its_field(data: Any, field: str) -> None:
    error = refused("execute", data)
    assert CODES[error.code] == "VALIDATION_FAILED" and field in error.details["field"]


@pytest.mark.parametrize(
    ("data", "after", "offset", "limit", "types"),
    [
        ({}, None, 0, 100, ("prompt", "claude")),
        ({"limit": 0}, None, 0, 100, ("prompt", "claude")),
        ({"limit": -5, "offset": 3}, None, 3, 100, ("prompt", "claude")),
        ({"limit": 1001}, None, 0, 100, ("prompt", "claude")),
        ({"limit": 1000, "direction": ""}, None, 0, 1000, ("prompt", "claude")),
        ({"direction": "all"}, None, 0, 100, ("prompt", "claude")),
        ({"direction": "client"}, None, 0, 100, ("prompt",)),
        ({"direction": "claude"}, None, 0, 100, ("claude",)),
        ({"direction": "made up"}, None, 0, 100, ()),
        ({"since": "", "limit": 5}, None, 0, 5, ("prompt", "claude")),
        (
            {"since": "2026-11-29T11:00:00+01:00"},
            "2026-11-29T10:00:00.000000Z",
            0,
            100,
            ("prompt", "claude"),
        ),
    ],
)
def test_a_question_for_the_history(
    data: Any, after: str | None, offset: int, limit: int, types: tuple[str, ...]
) -> None:
    body = decode("get_messages", {"project_id": "p", **data}).body
    assert isinstance(body, requests.GetRecords)
    assert (body.after, body.offset, body.limit) == (after, offset, limit)
    assert body.update_types == types


@pytest.mark.parametrize(
    "data",
    [
        {"offset": -1},
        {"offset": "0"},
        {"offset": 1.5},
        {"limit": True},
        {"since": "yesterday"},
        {"since": 1754024878831},
        {"direction": 7},
    ],
)
def test_a_wrong_question_for_the_history_is_refused(data: Any) -> None:
    assert CODES[refused("get_messages", data).code] == "VALIDATION_FAILED"


def test_an_unknown_type_is_named() -> None:
    assert refused("heartbeat").message == "unknown message type: heartbeat"
    assert refused(None).code is ErrorCode.INVALID_MESSAGE


# Every fuzzed text has a request or a refusal; nothing else leaves the decoder.
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("path", "prompt", "options", "project_id", "since", "limit", "offset", "direction")


@given(
    st.sampled_from(["project_create", "execute", "get_messages", "project_join", "agent_kill"]),
    st.dictionaries(st.sampled_from(_FIELDS), _VALUES) | _VALUES,
    _VALUES,
)
def test_any_message_is_a_request_or_refused(kind: str, data: Any, project_id: Any) -> None:
    text = json.dumps({"type": kind, "data": data, "project_id": project_id})
    replier = VERSION_0.replier()
    try:
        request = replier.meant(VERSION_0.decode(text))
    except Undecodable as refusal:
        (frame,) = replier.error(refusal, refusal.error)
        assert json.loads(frame)["data"]["code"] in CODES.values()
    else:
        assert request.type == kind


# -- what a connection has joined ----------------------------------------------------------------


def meant(replier: Replier, kind: str, data: Any = None, **beside: Any) -> str:
    """Return the project that a request means, or why it means none."""
    try:
        body = replier.meant(decode(kind, data, **beside)).body
    except Undecodable as refusal:
        return refusal.error.message
    return body.project_id  # type: ignore[union-attr, return-value]


def test_the_current_project_is_the_one_joined_last_and_not_left() -> None:
    replier = VERSION_0.replier()
    assert meant(replier, "agent_kill") == "project_id is required"
    assert meant(replier, "project_leave") == "not subscribed to any project"
    for name in "ab":
        meant(replier, "project_join", {"project_id": name})
    assert meant(replier, "agent_kill") == "b"
    meant(replier, "project_join", {"project_id": "a"})
    assert meant(replier, "execute", {"prompt": "x"}) == "a"
    assert meant(replier, "project_leave") == "a"
    assert meant(replier, "agent_kill") == "b"


def test_an_execute_needs_a_joined_project() -> None:
    replier = VERSION_0.replier()
    go = {"prompt": "x", "project_id": "a"}
    assert meant(replier, "execute", go) == "not subscribed to a project"
    meant(replier, "project_join", {"project_id": "b"})
    assert meant(replier, "execute", go) == "not subscribed to a project"
    join = replier.meant(decode("project_join", {"project_id": "a"}))
    assert meant(replier, "execute", go) == "a"
    replier.error(join, not_found("a"))
    assert meant(replier, "execute", go) == "not subscribed to a project"


def test_a_refused_second_join_leaves_the_first_one() -> None:
    replier = VERSION_0.replier()
    go = {"prompt": "x", "project_id": "a"}
    join = replier.meant(decode("project_join", {"project_id": "a"}))
    replier.result(join, {"project": {**PROJECT, "project_id": "a"}}, now=NOW, beside={})
    limited = RequestRefused(ErrorCode.RATE_LIMITED, "slow down")
    replier.error(Undecodable(limited, meant=decode("project_join", {"project_id": "a"})), limited)
    assert meant(replier, "execute", go) == "a"
    again = replier.meant(decode("project_join", {"project_id": "a"}))
    replier.error(again, HubFault(ErrorCode.INTERNAL, "no"))
    assert meant(replier, "execute", go) == "a"
    assert meant(replier, "project_leave", {"project_id": "a"}) == "a"
    assert meant(replier, "execute", go) == "not subscribed to a project"


def test_a_connection_remembers_so_many_projects() -> None:
    replier = VERSION_0.replier()
    for number in range(JOINED_MAX + 1):
        meant(replier, "project_join", {"project_id": f"p{number}"})
    assert JOINED_MAX > SUBSCRIPTIONS_MAX
    first, last = ({"prompt": "x", "project_id": f"p{n}"} for n in (0, JOINED_MAX))
    assert meant(replier, "execute", first) == "not subscribed to a project"
    assert meant(replier, "execute", last) == f"p{JOINED_MAX}"


# -- answers -------------------------------------------------------------------------------------


def answered(kind: str, payload: Any, data: Any = None, **beside: Any) -> list[dict[str, Any]]:
    made = VERSION_0.replier().result(
        decode(kind, data or {"project_id": "p"}), payload, now=NOW, beside=beside
    )
    return [json.loads(frame) for frame in made]


STATE = {
    "id": "p",
    "path": "/home/u/app",
    "state": "IDLE",
    "created_at": PROJECT["created_at"],
    "last_active": PROJECT["last_active"],
}


def test_a_join_is_answered_with_the_state_and_the_join() -> None:
    state, joined = answered("project_join", {"project": PROJECT, "log_id": "l"})
    assert state == {"type": "project_state", "project_id": "p", "data": STATE}
    facts = {"project_id": "p", "session_id": "", "state": "IDLE"}
    assert joined == {"type": "project_join", "project_id": "p", "data": facts}
    busy = {**PROJECT, "session_id": "s", "status": "executing"}
    state, joined = answered("project_join", {"project": busy})
    assert state["data"] == {**STATE, "session_id": "s", "state": "EXECUTING"}
    assert joined["data"] == {"project_id": "p", "session_id": "s", "state": "EXECUTING"}


def test_the_other_answers() -> None:
    (created,) = answered("project_create", {"project": PROJECT}, {"path": "/home/u/app/"})
    assert created["data"] == {**STATE, "path": "/home/u/app/"} and created["project_id"] == "p"
    (listed,) = answered("project_list", {"projects": [PROJECT]})
    shown = {**STATE, "metadata": {"subscriber_count": 2}}
    assert listed == {"type": "project_list", "data": {"projects": [shown], "total": 1}}
    simple = [
        ("project_leave", "project_leave", {"status": "left"}),
        ("execute", "execute", {"status": "started", "timestamp": NOW}),
        ("agent_kill", "agent_kill", {"status": "killed", "timestamp": NOW}),
        ("project_delete", "project_deleted", {"status": "deleted"}),
    ]
    for kind, frame, facts in simple:
        (answer,) = answered(kind, {}, {"project_id": "p", "prompt": "x"})
        assert answer == {"type": frame, "project_id": "p", "data": {"project_id": "p", **facts}}
    for old, shown_old in (("s", "s"), (None, "")):
        (reset,) = answered("agent_new_session", {"project": PROJECT}, old_session_id=old)
        assert reset["data"] == {
            "project_id": "p",
            "old_session_id": shown_old,
            "status": "reset",
            "timestamp": NOW,
        }


HEALTH: dict[str, Any] = {
    "status": "ok",
    "problems": [],
    "version": "1",
    "uptime_seconds": 3.5,
    "connections": 2,
    "projects": 1,
    "executing": 0,
    "claude": "2.1.331",
    "warm_sessions": [],
    "limits": {"connections": 100, "projects": 50},
    "machine": {name: {"status": "healthy"} for name in ("cpu", "memory", "disk")},
}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "healthy"),
        ({"problems": ["the disk"]}, "degraded"),
        ({"machine": {**HEALTH["machine"], "disk": {"status": "unhealthy"}}}, "degraded"),
        ({"claude": None}, "unhealthy"),
    ],
)
def test_health_tells_what_the_older_clients_read(change: dict[str, Any], status: str) -> None:
    (answer,) = answered("health_check", {**HEALTH, **change})
    data = answer["data"]
    assert "project_id" not in answer and data["status"] == status
    assert data["checks"].keys() == {"cpu", "memory", "disk", "claude_cli"}
    assert all("status" in check for check in data["checks"].values())
    assert data["connections"] == {"active": 2, "limit": 100}
    assert data["projects"] == {"count": 1, "limit": 50, "executing": 0}
    assert data["claude"]["available"] is ("claude" not in change)
    assert (data["uptime"], data["version"], data["timestamp"]) == (3.5, "1", NOW)


def test_a_sign_of_life_has_plain_numbers() -> None:
    stats = json.loads(VERSION_0.liveness(HEALTH))
    assert stats == {
        "type": "server_stats",
        "data": {"connections": 2, "projects": 1, "uptime": 3.5},
    }


def error_of(request: Request | Undecodable, error: WireError) -> dict[str, Any]:
    (frame,) = VERSION_0.replier().error(request, error)
    found: dict[str, Any] = json.loads(frame)
    return found


def test_an_error_says_what_it_is_about() -> None:
    join = decode("project_join", {"project_id": "p"})
    assert error_of(join, not_found("p")) == {
        "type": "error",
        "project_id": "p",
        "data": {
            "code": "PROJECT_NOT_FOUND",
            "message": not_found("p").message,
            "details": {"message_type": "project_join", "project_id": "p"},
        },
    }
    busy = error_of(decode("execute", {"project_id": "p", "prompt": "x"}), Busy())
    assert busy["data"]["code"] == "PROCESS_ACTIVE"
    about_none = error_of(decode("project_list"), HubFault(ErrorCode.INTERNAL, "no"))
    assert "project_id" not in about_none
    limited = Undecodable(RequestRefused(ErrorCode.RATE_LIMITED, "slow down"), meant=join)
    assert error_of(limited, limited.error)["data"]["details"] == {"message_type": "project_join"}
    field = error_of(join, invalid_field("payload.options.model", "must not be empty"))
    assert field["data"]["message"].startswith("data.options.model: ")
    assert field["data"]["details"]["field"] == "data.options.model"


@pytest.mark.parametrize(
    ("path", "words"), [("rel/x", "absolute"), ("~/x", "tilde expansion"), ("/none", "no folder")]
)
def test_a_refused_path_has_the_words_that_the_older_page_looks_for(path: str, words: str) -> None:
    create = decode("project_create", {"path": path})
    error = error_of(create, RequestRefused(ErrorCode.INVALID_PATH, "no folder"))["data"]
    assert error["code"] == "INVALID_PATH" and words in error["message"]
    assert error["details"]["path"] == path


def test_a_path_that_climbs_is_refused() -> None:
    with pytest.raises(Undecodable) as refusal:
        VERSION_0.replier().meant(decode("project_create", {"path": "/a/../b"}))
    error = error_of(refusal.value, refusal.value.error)["data"]
    assert (error["code"], error["details"]["path"]) == ("INVALID_PATH", "/a/../b")


def test_every_code_of_ours_has_one() -> None:
    unreachable = {
        ErrorCode.HISTORY_GONE,
        ErrorCode.PERMISSION_NOT_FOUND,
        ErrorCode.ALREADY_ANSWERED,
    }
    assert CODES.keys() == set(ErrorCode) - unreachable


# -- updates -------------------------------------------------------------------------------------


def stored(update_type: str, data: Any, seq: int = 1) -> Update:
    text = data if isinstance(data, bytes) else None
    (body,) = codec.update_bodies("p", [(update_type, text or data, "e")])
    return record.encode(seq, STAMP.encode(), body), True, True


def passing(update_type: str, data: Any, *, is_kept: bool = True) -> Update:
    (body,) = codec.update_bodies("p", [(update_type, data, None)])
    return codec.ephemeral_payload(STAMP, body), False, is_kept


def frames(*updates: Update, project: dict[str, Any] = PROJECT) -> list[dict[str, Any]]:
    return spoken(VERSION_0.stream(project).messages(updates))


def spoken(made: Iterable[tuple[bytes, bool, bool]]) -> list[dict[str, Any]]:
    found = [json.loads(frame) for frame, _, _ in made]
    assert all(frame["project_id"] == "p" for frame in found)
    return found


def told(*updates: Update, project: dict[str, Any] = PROJECT) -> list[str]:
    """Return each frame in a word or two."""
    found = []
    for frame in frames(*updates, project=project):
        data = frame["data"]
        what = {"project_state": "state", "error": "code", "agent_message": "type"}
        found.append(f"{frame['type']} {data.get(what.get(frame['type'], ''), '')}".strip())
    return found


PROMPT = stored("prompt", {"execution_id": "e", "prompt": "x", "options": {}})
STARTED = stored("execution_started", {"execution_id": "e", "session_id": None})
EXECUTING = passing("status", {"status": "executing"})
IDLE = passing("status", {"status": "idle"})


def ended(outcome: str, execution_id: str = "e", **facts: Any) -> Update:
    data = {"execution_id": execution_id, "outcome": outcome, "exit_code": None, "result": None}
    return stored("execution_finished", {**data, "duration_ms": 4012, **facts})


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        (ended("success"), ["project_state IDLE"]),
        (ended("error", exit_code=3), ["error EXECUTION_FAILED", "project_state ERROR"]),
        (ended("error", exit_code=127), ["error CLAUDE_NOT_FOUND", "project_state ERROR"]),
        (ended("lost"), ["error EXECUTION_FAILED", "project_state ERROR"]),
        (ended("timeout"), ["error EXECUTION_TIMEOUT", "project_state ERROR"]),
        (ended("killed"), ["project_state IDLE", "process_killed"]),
        (ended("interrupted"), ["project_state IDLE", "process_killed"]),
        (ended("cancelled"), ["project_state IDLE", "process_killed"]),
    ],
)
def test_an_execution_is_told_once_whatever_tells_it(end: Update, wanted: list[str]) -> None:
    """The status of version 1 may come before the start and behind the end."""
    begun = ["project_state EXECUTING"]
    assert told(PROMPT, EXECUTING, STARTED, end, IDLE) == [*begun, *wanted]
    assert told(PROMPT, STARTED, EXECUTING, end, IDLE) == [*begun, *wanted]


def test_a_failure_says_why() -> None:
    (failed, _) = frames(ended("error", exit_code=3))
    assert failed["data"] == {
        "code": "EXECUTION_FAILED",
        "message": "Claude execution failed: exit status 3",
    }
    (failed, _) = frames(ended("error", result="overloaded"))
    assert failed["data"]["message"] == "Claude execution failed: overloaded"
    missing = "The agent could not be started: [Errno 2] No such file or directory: 'claude'"
    (failed, _) = frames(ended("error", result=missing))
    assert failed["data"]["code"] == "CLAUDE_NOT_FOUND"
    (failed, _) = frames(ended("error", result="The agent could not be started: [Errno 11]"))
    assert failed["data"]["code"] == "EXECUTION_FAILED"
    (timeout, _) = frames(ended("timeout", duration_ms=9_500, result=time_limit_text(90)))
    assert timeout["data"]["details"]["timeout"] == "1m30s"
    (timeout, _) = frames(ended("timeout", result="what it said"))
    assert timeout["data"]["details"] == {"project_id": "p", "timeout": "4s"}
    assert timeout["data"]["message"] == "execution timed out after 4s"


def test_a_time_limit_is_found_in_its_sentence() -> None:
    assert [time_limit_of(time_limit_text(limit_s)) for limit_s in (0.5, 300.0)] == [0.5, 300.0]
    others = (None, "", "Ended", "Ended after its time limit of x s.", time_limit_text(1) + " ")
    assert [time_limit_of(text) for text in others] == [None] * len(others)


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(300_004, "5m0s"), (1_508, "1.5s"), (90_000, "1m30s"), (7_200_000, "2h0m0s"), (40, "0s")],
)
def test_times_look_as_in_go(duration_ms: int, text: str) -> None:
    assert go_duration(duration_ms) == text


def test_a_queue_of_version_1_stays_executing_until_it_is_empty() -> None:
    second = stored("prompt", {"execution_id": "f", "prompt": "y", "options": {}})
    begun = stored("execution_started", {"execution_id": "f", "session_id": None})
    assert told(
        PROMPT, EXECUTING, second, STARTED, ended("success"), begun, ended("success", "f")
    ) == [
        "project_state EXECUTING",
        "project_state IDLE",
    ]
    assert told(PROMPT, EXECUTING, second, STARTED, ended("error", exit_code=1)) == [
        "project_state EXECUTING",
        "error EXECUTION_FAILED",
    ]


def test_what_is_cancelled_in_a_queue_is_invisible() -> None:
    second = stored("prompt", {"execution_id": "f", "prompt": "y", "options": {}})
    assert told(PROMPT, EXECUTING, second, STARTED, ended("cancelled", "f")) == [
        "project_state EXECUTING"
    ]


def test_a_stream_begins_with_what_runs_and_waits() -> None:
    busy = {
        **PROJECT,
        "status": "executing",
        "execution_id": "e",
        "queue": [{"execution_id": "f", "prompt": "y", "client_id": "c"}],
    }
    assert told(EXECUTING, ended("success"), project=busy) == []
    assert told(ended("success"), ended("success", "f"), project=busy) == ["project_state IDLE"]


def test_a_project_that_cannot_work_is_shown_and_then_again_idle() -> None:
    broken = passing("status", {"status": "error"})
    assert told(broken, IDLE) == ["project_state ERROR", "project_state IDLE"]


def test_a_line_is_passed_on_as_it_is() -> None:
    line = b'{"type":"assistant","n":1.0,"big":9007199254740993,"z":0,"a":"\\u00e9"}'
    update = stored("claude", line)
    (frame,) = VERSION_0.stream(PROJECT).messages([update])
    assert frame == (
        b'{"type":"agent_message","project_id":"p","data":%b}' % line,
        True,
        False,
    )
    assert told(stored("claude", b'{"no":"type"}'), stored("claude", b'{"type":7}')) == []


def test_a_new_session_is_told_behind_the_line_that_names_it() -> None:
    lines = [stored("claude", {"type": "system", "session_id": name}) for name in ("s", "s", "t")]
    assert told(*lines) == [
        "agent_message system",
        "project_update",
        "agent_message system",
        "agent_message system",
        "project_update",
    ]
    update = frames(lines[0])[1]
    assert update["data"] == {
        "project_id": "p",
        "state": "IDLE",
        "path": "/home/u/app",
        "timestamp": STAMP,
    }
    known = {**PROJECT, "session_id": "s"}
    assert told(lines[0], project=known) == ["agent_message system"]
    (*_, state) = frames(lines[0], STARTED)
    assert state["data"]["session_id"] == "s" and state["data"]["last_active"] == STAMP


@pytest.mark.parametrize(
    ("line", "is_news"),
    [
        (b'{"type":"a","session_id":"s"}', False),
        (b'{"type": "a", "session_id": "s"}', False),
        (b'{"session_id":"s","type":"a"}', False),
        (b'{"type":"a","session_id":"t"}', True),
        (b'{"type":"a","session_id":"\\u0073"}', False),
        (b'{"type":"a","session_id":null}', False),
        (b'{"type":"a","session_id":7}', False),
        (b'{"type":"a","deep":{"session_id":"t"}}', False),
        (b'{"type":"a","deep":{"session_id":"t"},"session_id":"s"}', False),
        (b'{"type":"a","deep":{"session_id":"s"},"session_id":"t"}', True),
        (b'{"type":"a","text":"\\"session_id\\":\\"t\\""}', False),
        (b'{"type":"a"}', False),
    ],
)
def test_only_the_lines_own_session_is_news(line: bytes, is_news: bool) -> None:
    known = {**PROJECT, "session_id": "s"}
    wanted = ["agent_message a", *["project_update"] * is_news]
    assert told(stored("claude", line), project=known) == wanted


def test_a_reset_forgets_the_session() -> None:
    reset = stored("session_reset", {"old_session_id": "s", "reason": "requested"})
    state, told_reset = frames(reset, project={**PROJECT, "session_id": "s"})
    assert "session_id" not in state["data"]
    assert told_reset["data"] == {
        "project_id": "p",
        "reason": "session_reset",
        "timestamp": STAMP,
    }


def test_a_session_that_was_given_up_does_not_come_back() -> None:
    """What runs keeps it, and goes on naming it."""
    known = {**PROJECT, "session_id": "s"}
    reset = stored("session_reset", {"old_session_id": "s", "reason": "requested"})
    line, other = (stored("claude", {"type": "a", "session_id": name}) for name in "st")
    states = ["project_state EXECUTING", "project_state EXECUTING", "session_reset"]
    assert told(STARTED, reset, line, ended("success"), other, project=known) == [
        *states,
        "agent_message a",
        "project_state IDLE",
        "agent_message a",
        "project_update",
    ]
    shown = frames(STARTED, reset, line, ended("success"), project=known)
    assert "session_id" not in shown[-1]["data"]


def test_a_session_that_clear_has_begun_is_told_once() -> None:
    """The CLI may name it before the reset of the old one is told."""
    known = {**PROJECT, "session_id": "s"}
    cleared = stored("session_reset", {"old_session_id": "s", "reason": "cleared"})
    line = stored("claude", {"type": "a", "session_id": "t"})
    for order in ((STARTED, line, cleared, line), (STARTED, cleared, line, line)):
        assert told(*order, project=known).count("project_update") == 1


def test_a_reset_ends_the_state_of_a_failure() -> None:
    reset = stored("session_reset", {"old_session_id": None, "reason": "requested"})
    assert told(PROMPT, STARTED, ended("error", exit_code=1), reset)[-3:] == [
        "project_state ERROR",
        "project_state IDLE",
        "session_reset",
    ]


def test_partial_output_is_the_bare_event_and_may_be_dropped() -> None:
    event = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}
    delta = passing("claude_delta", {"type": "stream_event", "event": event}, is_kept=False)
    ((frame, is_kept, is_state),) = VERSION_0.stream(PROJECT).messages([delta])
    assert json.loads(frame)["data"] == event
    assert (is_kept, is_state) == (False, False)
    odd = passing("claude_delta", {"type": "stream_event", "event": "text"}, is_kept=False)
    assert told(odd) == []


def test_what_is_a_state_is_kept_for_who_still_reads_the_log() -> None:
    ((_, is_kept, is_state),) = VERSION_0.stream(PROJECT).messages([EXECUTING])
    assert (is_kept, is_state) == (True, True)


def test_other_updates_make_no_frame() -> None:
    silent = [
        stored("execution_queued", {"execution_id": "e", "position": 1}),
        stored("permission_request", {"permission_id": "q"}),
        stored("permission_resolved", {"permission_id": "q"}),
        stored("claude_text", {"text": "x"}),
        passing("gap", {"first_seq": 1, "last_seq": 2}),
        passing("files_changed", {"paths": []}, is_kept=False),
        passing("project_changed", {}),
    ]
    assert told(*silent) == []
    telling = {
        UpdateType.PROMPT,
        UpdateType.EXECUTION_STARTED,
        UpdateType.CLAUDE,
        UpdateType.CLAUDE_DELTA,
        UpdateType.SESSION_RESET,
        UpdateType.EXECUTION_FINISHED,
        UpdateType.STATUS,
        UpdateType.PROJECT_DELETED,
    }
    assert {codec.update_type_of(text) for text, _, _ in silent} == set(UpdateType) - telling


def test_a_deletion_is_the_last_word() -> None:
    (gone,) = frames(passing("project_deleted", {"by": "u"}))
    assert gone["data"] == {"project_id": "p", "reason": "project_deleted", "timestamp": STAMP}


ODD_LINES = [
    b'{"type":"a","n":1e400,"session_id":"new"}',
    b'{"n":-1e400,"type":"a"}',
    b'{"type":"a","n":1.0,"z":0,"a":"\\ud800"}',
    b'{"type":"a","session_id":"new","deep":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
]


@pytest.mark.parametrize("line", ODD_LINES, ids=["large", "negative", "surrogate", "deep"])
def test_a_line_that_our_json_does_not_take_is_passed_on(line: bytes) -> None:
    first = VERSION_0.stream(PROJECT).messages([stored("claude", line)])[0]
    assert first[0] == b'{"type":"agent_message","project_id":"p","data":%b}' % line
    request = decode("get_messages", {"project_id": "p"})
    facts = {"total": 1, "offset": 0, "limit": 1, "more": False}
    updates = [stored("claude", line)]
    (frame,) = VERSION_0.replier().history(request, updates, facts)  # type: ignore[arg-type]
    assert b'"message":{"type":"a","content":%b}' % line in frame


def test_an_odd_event_makes_no_frame() -> None:
    line = b'{"type":"stream_event","event":{"type":"x","n":1e400}}'
    assert told(passing("claude_delta", line, is_kept=False)) == []


# -- history -------------------------------------------------------------------------------------


def test_history_has_prompts_and_lines() -> None:
    request = decode("get_messages", {"project_id": "p", "since": "2026-01-01T00:00:00Z"})
    blocks = {"execution_id": "f", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}
    line = {"type": "assistant", "n": 1}
    updates = [PROMPT, stored("prompt", blocks), stored("claude", line)]
    facts = {"total": 9, "offset": 2, "limit": 3, "more": True}
    (frame,) = VERSION_0.replier().history(request, updates, facts)  # type: ignore[arg-type]
    answer = json.loads(frame)
    assert (answer["type"], answer["project_id"]) == ("get_messages", "p")

    def shown(direction: str, kind: str, content: Any) -> dict[str, Any]:
        message = {"type": kind, "content": content}
        return {"timestamp": STAMP, "direction": direction, "message": message}

    assert answer["data"] == {
        "project_id": "p",
        "messages": [
            shown("client", "user", {"text": "x"}),
            shown("client", "user", {"text": "a"}),
            shown("claude", "assistant", line),
        ],
        "metadata": {
            "total": 9,
            "offset": 2,
            "limit": 3,
            "has_more": True,
            "since": "2026-01-01T00:00:00Z",
        },
    }
