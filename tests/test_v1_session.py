"""Clients of version 1 of the protocol: a recorded session, played to the program of the day.

tests/record_session.py has recorded it. What a later version takes away, or changes, fails here;
what it adds does not.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.session_play import Line, Play, session
from tests.session_shape import MAY_GROW, Names, differences

LINES = session()
GOT = [line["gets"] for line in LINES if "gets" in line]
# Version 1 of the protocol, as it was first released. This list does not grow with the protocol.
REQUESTS = [
    "authenticate",
    "project_create",
    "project_trust",
    "project_delete",
    "project_list",
    "watch",
    "unwatch",
    "project_join",
    "project_leave",
    "execute",
    "agent_interrupt",
    "agent_kill",
    "agent_new_session",
    "permission_answer",
    "get_messages",
    "health_check",
    "ping",
]
UPDATES = [
    "prompt",
    "execution_queued",
    "execution_started",
    "claude",
    "claude_delta",
    "claude_text",
    "permission_request",
    "permission_resolved",
    "session_reset",
    "execution_finished",
    "gap",
    "files_changed",
    "status",
    "project_changed",
    "project_deleted",
]
ERRORS = [
    "invalid_json",
    "invalid_message",
    "unknown_type",
    "unauthenticated",
    "forbidden",
    "project_not_found",
    "rate_limited",
    "storage_failed",
    "invalid_path",
    "path_not_allowed",
    "project_nesting",
    "project_exists",
    "too_many_projects",
    "history_gone",
    "queue_full",
    "invalid_options",
    "nothing_running",
    "permission_not_found",
    "already_answered",
]
OUTCOMES = ["success", "error", "timeout", "interrupted", "killed", "cancelled", "lost"]


@pytest.fixture
def play(scratch: Path) -> Iterator[Play]:
    playing = Play(scratch)
    yield playing
    playing.close()


def test_the_session_plays_as_it_was_recorded(play: Play) -> None:
    assert play.play(LINES) == []


def test_the_session_has_all_of_version_1_that_a_client_can_bring_about() -> None:
    sent = [line["sends"] for line in LINES if "sends" in line]
    assert {message["type"] for message in sent if isinstance(message, dict)} >= set(REQUESTS)
    updates = [message["payload"] for message in GOT if message["type"] == "update"]
    assert {update["update_type"] for update in updates} == set(UPDATES)
    errors = [message["payload"] for message in GOT if message["type"] == "error"]
    assert {error["code"] for error in errors} == set(ERRORS)
    ends = [u["data"] for u in updates if u["update_type"] == "execution_finished"]
    assert {end["outcome"] for end in ends} == set(OUTCOMES)
    answered = {line["sends"]["type"] for line in LINES if is_request(line) if has_result(line)}
    assert answered >= set(REQUESTS)


def is_request(line: Line) -> bool:
    return isinstance(line.get("sends"), dict)


def has_result(line: Line) -> bool:
    number = line["sends"]["id"]
    return any(m["type"] == "result" and m["id"] == number for m in GOT)


# -- what the comparison sees


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each field of a message, and of each member of its lists."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from parts(part, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def found_in(recorded: Line, changed: Line) -> list[str]:
    return list(differences(recorded, changed, Names({})))


def filled(value: Any) -> Any:
    """Return a recorded message with ids and times as a hub has them."""
    if isinstance(value, dict):
        return {key: filled(part) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part) for part in value]
    if value == "$time":
        return "2026-11-29T08:14:33.123456Z"
    return f"/{value[1:]}" if isinstance(value, str) and value.startswith("$") else value


KINDS = {
    (m["type"], str(sorted(m["payload"])), str(m["payload"].get("update_type"))): m for m in GOT
}


@pytest.mark.parametrize("recorded", KINDS.values(), ids=[f"{k[0]}-{k[2]}" for k in KINDS])
def test_each_field_that_is_gone_or_of_another_type_is_noticed(recorded: Line) -> None:
    sound = filled(recorded)
    assert found_in(recorded, sound) == []
    for *above, key in parts(sound):
        grows = any(name in MAY_GROW for name in above)
        gone = copy.deepcopy(sound)
        holder = at(gone, tuple(above))
        was = holder[key]
        del holder[key]
        is_null = was is None and isinstance(holder, dict)  # null is the same as absent
        assert bool(found_in(recorded, gone)) is not is_null, (above, key)
        changed = copy.deepcopy(sound)
        at(changed, tuple(above))[key] = ["x"] if isinstance(was, dict | str) else {"x": 1}
        assert found_in(recorded, changed) != [] or grows, (above, key)


@pytest.mark.parametrize("recorded", KINDS.values(), ids=[f"{k[0]}-{k[2]}" for k in KINDS])
def test_fields_that_are_added_anywhere_are_fine(recorded: Line) -> None:
    more = filled(recorded)
    for path in [(), *parts(filled(recorded))]:
        if isinstance(holder := at(more, path), dict):
            holder["added_later"] = {"a": [1]}
    assert found_in(recorded, more) == []


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ({"code": "queue_full"}, {"code": "full"}),
        ({"seq": 4}, {"seq": 5}),
        ({"outcome": "success"}, {"outcome": "done"}),
        ({"at": "$time"}, {"at": "2026-11-29 08:14"}),
        ({"a": "$log-1", "b": "$log-1"}, {"a": "x", "b": "y"}),
        ({"a": "$log-1", "b": "$log-2"}, {"a": "x", "b": "x"}),
        ({"path": "$roots/site"}, {"path": "/x/other"}),
        ({"more": True}, {"more": False}),
        ({"protocols": [1]}, {"protocols": [2]}),
        ({"messages": [1]}, {"messages": [1, 2]}),
    ],
)
def test_another_meaning_is_noticed(recorded: Line, found: Line) -> None:
    assert len(found_in(recorded, found)) == 1


def test_another_version_may_be_named_beside_the_first() -> None:
    assert found_in({"protocols": [1]}, {"protocols": [1, 2]}) == []
