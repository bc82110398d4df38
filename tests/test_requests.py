"""Requests: what is valid, what is refused, and by which field. Pure."""

import json
from typing import Any

import pytest

from protocol import codec, requests
from protocol.codec import Undecodable


def decode(kind: str, **payload: Any) -> requests.Body:
    return codec.decode(json.dumps({"type": kind, "payload": payload})).body


def refused_field(kind: str, **payload: Any) -> str:
    with pytest.raises(Undecodable) as refusal:
        decode(kind, **payload)
    field: str = refusal.value.error.details["field"]
    return field


def test_a_request_has_its_type_and_id() -> None:
    request = codec.decode('{"type":"project_list","id":"7"}')
    assert (request.type, request.id, request.body) == ("project_list", "7", requests.ProjectList())


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-11-23T08:14:33Z", "2026-11-23T08:14:33.000000Z"),
        ("2026-11-23t08:14:33.5z", "2026-11-23T08:14:33.500000Z"),
        ("2026-11-23T09:14:33.123456789+01:00", "2026-11-23T08:14:33.123456Z"),
        ("2026-11-22 23:14:33-09:00", "2026-11-23T08:14:33.000000Z"),
    ],
)
def test_times_are_any_rfc_3339_form(given: str, stored: str) -> None:
    body = decode("project_join", project_id="p", since=given)
    assert isinstance(body, requests.ProjectJoin)
    assert body.since == stored


@pytest.mark.parametrize(
    "given",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T08:14:33",
        "2026-13-23T08:14:33Z",
        5,
        True,
        "0001-01-01T00:00:00+23:59",
        "2026-11-23T08:14:33Z\n",
    ],
)
def test_other_times_are_refused(given: object) -> None:
    assert refused_field("project_join", project_id="p", since=given) == "payload.since"


@pytest.mark.parametrize("seq", [-1, 1.0, "1", True])
def test_numbers_are_whole_and_not_negative(seq: object) -> None:
    assert refused_field("project_join", project_id="p", after_seq=seq) == "payload.after_seq"


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_has_a_limit(limit: int) -> None:
    assert refused_field("get_messages", project_id="p", limit=limit) == "payload.limit"


@pytest.mark.parametrize("bad", ["", "-a", "A", "a b", "a/b", "a" * 65, "é", "a\n"])
def test_project_ids_of_new_projects(bad: str) -> None:
    assert refused_field("project_create", path="/x", project_id=bad) == "payload.project_id"


@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [
        ("project_create", {"path": "/x", "name": "\ud800"}, "name"),
        ("project_create", {"path": "/x", "name": "x" * 1001}, "name"),
        ("project_create", {"path": "/\ud800"}, "path"),
        ("project_join", {"project_id": "\ud800"}, "project_id"),
        ("project_join", {"project_id": "p", "log_id": "\udfff"}, "log_id"),
        ("execute", {"project_id": "p", "prompt": "a\ud800"}, "prompt"),
        ("agent_kill", {"project_id": "p", "execution_id": "\ud800"}, "execution_id"),
    ],
)
def test_a_lone_surrogate_is_refused_wherever_it_stands(
    kind: str, payload: dict[str, Any], field: str
) -> None:
    assert refused_field(kind, **payload) == f"payload.{field}"


def test_the_field_continue_has_another_name_in_python() -> None:
    body = decode("project_create", path="/x", **{"continue": False})
    assert isinstance(body, requests.ProjectCreate)
    assert body.continue_ is False


def test_null_is_absent_in_options_too() -> None:
    body = decode("execute", project_id="p", prompt="x", options={"model": None, "max_turns": 2})
    assert isinstance(body, requests.Execute)
    assert body.options.model_dump(exclude_none=True) == {"max_turns": 2}
    assert decode("execute", project_id="p", prompt="x", options=None, key=None)


def test_a_prompt_is_a_text() -> None:
    assert refused_field("execute", project_id="p", prompt="") == "payload.prompt"
    assert refused_field("execute", project_id="p", prompt=None) == "payload.prompt"
    assert refused_field("execute", project_id="p", prompt=["x"]) == "payload.prompt"


def test_ping_takes_anything() -> None:
    for payload in ([1, {"a": None}], "x", 5, False, {"b": 1.5}):
        body = codec.decode(json.dumps({"type": "ping", "payload": payload})).body
        assert body == requests.Ping(payload)
