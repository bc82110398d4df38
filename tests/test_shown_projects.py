"""No `project` object, and no list of them, is larger than a message may be."""

import json
from typing import Any

import pytest

from actors import messages
from actors.config.sources import load
from actors.server import wiring
from protocol import requests
from protocol.shown_projects import (
    NO_NEWS_FIELDS,
    QUESTION_FIELD_BYTES_MAX,
    QUESTIONS_BYTES_MAX,
    fitting,
    is_news,
    shown_question,
    shown_questions,
)
from protocol.updates import PermissionRequest, ProjectInfo, ProjectStatus, QueuedPrompt
from tests.executor_setup import Setup, no_processes
from tests.project_setup import ProjectSetup, frozen, setup

__all__ = ["frozen", "no_processes", "setup"]


def question(permission_id: str = "q", **facts: Any) -> PermissionRequest:
    given: dict[str, Any] = {
        "permission_id": permission_id,
        "execution_id": "e",
        "tool": "Bash",
        "input": {"command": "x"},
        "description": None,
        "suggestions": [],
        "blocked_path": None,
    }
    return PermissionRequest(**{**given, **facts})


def project(number: int = 0, **facts: Any) -> ProjectInfo:
    given: dict[str, Any] = {
        "project_id": f"p{number:03}",
        "name": "P",
        "path": "/p",
        "status": ProjectStatus.IDLE,
        "session_id": None,
        "execution_id": None,
        "queue": [],
        "pending_permissions": [],
        "subscribers": 0,
        "first_seq": 1,
        "last_seq": 0,
        "created_at": "2026",
        "last_active": "2026",
    }
    return ProjectInfo(**{**given, **facts})


def size_of(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def test_a_question_of_a_usual_size_is_shown_whole() -> None:
    asked = question(input={"command": "x" * 60_000})
    assert shown_question(asked) == asked.model_dump()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", {"command": "x" * QUESTION_FIELD_BYTES_MAX}),
        ("suggestions", [{"type": "x" * QUESTION_FIELD_BYTES_MAX}]),
        ("description", "x" * QUESTION_FIELD_BYTES_MAX),
    ],
)
def test_what_is_too_long_in_a_question_is_left_out(name: str, value: Any) -> None:
    asked = question(**{name: value})
    expected = {**asked.model_dump(), "truncated": True}
    del expected[name]
    assert shown_question(asked) == expected


def test_all_questions_of_a_project_have_a_bound_together() -> None:
    each = shown_question(question(input={"command": "x" * 60_000}))
    shown = shown_questions([each] * 64)
    whole = [q for q in shown if "input" in q]
    assert len(whole) == QUESTIONS_BYTES_MAX // size_of(each)
    assert len(shown) == 64 and all(q["truncated"] for q in shown[len(whole) :])


def test_the_project_object_names_a_large_question_and_the_log_has_it(
    setup: ProjectSetup,
) -> None:
    execution_id = setup.execute()
    large = question(execution_id=execution_id, input={"content": "x" * 100_000})
    setup.tell(messages.PermissionAsked(request=large, outlives_turn=False))
    setup.join()
    joined = next(m for m in setup.client.take() if isinstance(m, messages.Joined))
    (pending,) = joined.payload["project"]["pending_permissions"]
    assert pending["truncated"] and "input" not in pending and pending["permission_id"] == "q"
    assert setup.lines()[-1]["data"]["input"] == {"content": "x" * 100_000}


def test_a_list_that_fits_is_whole() -> None:
    infos = [project(number) for number in range(3)]
    assert fitting(infos, 10_000) == {"projects": [i.model_dump(mode="json") for i in infos]}


def test_a_list_that_is_too_long_names_questions_first() -> None:
    asked = [shown_question(question(input={"command": "x" * 1000}))]
    infos = [project(number, pending_permissions=asked) for number in range(10)]
    listed = fitting(infos, 8_000)
    assert len(listed["projects"]) == 10 and "truncated" not in listed
    assert all("input" not in p["pending_permissions"][0] for p in listed["projects"])
    assert size_of(listed["projects"]) <= 8_000


def test_a_list_that_is_still_too_long_has_no_prompts_and_then_ends_early() -> None:
    queue = [QueuedPrompt(execution_id="e", prompt="x" * 200, client_id="c")]
    infos = [project(number, queue=queue) for number in range(10)]
    assert [p["queue"][0]["prompt"] for p in fitting(infos, 4_000)["projects"]] == [""] * 10
    cut = fitting(infos, 1_000)
    assert cut["truncated"] and 0 < len(cut["projects"]) < 10
    assert size_of(cut["projects"]) <= 1_000


def test_max_update_bytes_holds_for_small_settings_too() -> None:
    small = load({"max_line_bytes": "1KiB", "max_message_bytes": "4KiB"})
    assert wiring._max_update_bytes(small) == 8 * 1024 * 1024
    assert wiring._max_update_bytes(load({})) == 3 * 16 * 1024**2 + 64 * 1024


def test_a_question_carries_what_the_cli_says_of_it() -> None:
    executor = Setup()
    executor.start()
    said = {"tool_use_id": "toolu_1", "agent_id": "a1", "display_name": "Run a command"}
    request = {
        "subtype": "can_use_tool",
        "tool_name": "Bash",
        "input": {"command": "x"},
        "decision_reason": "it writes",
        **said,
    }
    executor.say({"type": "control_request", "request_id": "r", "request": request})
    (asked,) = executor.told(messages.PermissionAsked)
    shown = asked.request.model_dump()
    assert {**said, "reason": "it writes"}.items() <= shown.items()


def test_a_list_of_several_projects_with_large_questions_is_small(setup: ProjectSetup) -> None:
    """Six projects once made a reply of 93 MB."""
    execution_id = setup.execute()
    large = question(execution_id=execution_id, input={"content": "x" * 16_000_000})
    setup.tell(messages.PermissionAsked(request=large, outlives_turn=False))
    assert size_of(setup.project._status.describe().model_dump(mode="json")) < 2_000
    setup.ask(requests.AgentNewSession(project_id="p"))
    assert size_of(setup.answers()[-1]) < 2_000


@pytest.mark.parametrize("name", ProjectInfo.model_fields)
def test_every_field_is_news_but_those_that_change_all_the_time(name: str) -> None:
    before = project()
    after = before.model_copy(update={name: ["other"]})
    assert is_news(before, after) is (name not in NO_NEWS_FIELDS)
    assert is_news(None, before) and not is_news(before, before.model_copy())
