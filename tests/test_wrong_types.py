"""What a hub or a CLI sends in another type than expected: the transcript goes on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudehub.client.lines import ClaudeLine
from claudehub.client.reading import update_of
from claudehub.client.updates import Update
from claudehub.show.calls import ToolCalls
from claudehub.show.tools import summary_of
from tests.shown import line, said, shown, update
from tests.test_tool_lines import JSON

VALUES = [5, 1.5, "x", True, None, [], [1], {}, {"a": []}, float("nan"), float("inf"), 10**400]
RESULT = {"outcome": "success", "result": "fine", "stderr": "", "duration_ms": 1, "cost_usd": 0.1}
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("prompt", {"prompt": "p", "client_id": "c", "user": "u", "execution_id": "e"}),
    ("execution_queued", {"position": 1}),
    ("execution_started", {"session_id": "s", "origin": "prompt"}),
    ("claude_text", {"text": "t"}),
    ("claude_delta", {"event": {"type": "message_start", "message": {"id": "m"}}}),
    ("claude", {"type": "assistant", "message": {"content": []}, "parent_tool_use_id": "p"}),
    ("claude", {"type": "result", "result": "r", "is_error": False}),
    ("claude", {"type": "system", "subtype": "permission_denied", "tool_use_id": "t"}),
    (
        "claude",
        {
            "type": "system",
            "subtype": "api_retry",
            "attempt": 1,
            "max_retries": 2,
            "retry_delay_ms": 3,
            "error_status": 529,
        },
    ),
    ("permission_request", {"permission_id": "p", "tool": "Bash", "input": {"command": "ls"}}),
    ("permission_resolved", {"permission_id": "p", "decision": "allow", "by": "phone"}),
    ("session_reset", {"old_session_id": "s", "reason": "cleared"}),
    ("execution_finished", RESULT),
    ("files_changed", {"paths": ["a"]}),
    ("status", {"status": "error"}),
    ("gap", {"first_seq": 1, "last_seq": 2}),
    ("project_deleted", {"by": "u"}),
]
KINDS = st.sampled_from(sorted({kind for kind, _ in SHAPES}))


@pytest.mark.parametrize(("kind", "data"), SHAPES)
def test_each_field_of_each_update_may_be_of_any_type(kind: str, data: dict[str, Any]) -> None:
    for name in data:
        for value in VALUES:
            written = shown(update(kind, {**data, name: value}), said("goes on"), with_time=True)
            assert "goes on" in written
            assert "cannot be shown" not in written, (name, value)


@pytest.mark.parametrize("value", VALUES)
def test_each_part_of_a_message_may_be_of_any_type(value: Any) -> None:
    block = {"type": "tool_use", "id": "t", "name": "TodoWrite", "input": {"todos": value}}
    limit = {"status": "allowed_warning", "rateLimitType": value, "utilization": value}
    stream = [
        line(type="assistant", message=value),
        line(type="assistant", message={"id": value, "content": value}),
        line(type="assistant", message={"content": [block]}),
        line(type="assistant", message={"content": [{**block, "id": value, "name": value}]}),
        line(type="user", message={"content": [{"type": "tool_result", "tool_use_id": value}]}),
        line(type="rate_limit_event", rate_limit_info=limit),
        line(type=value, subtype=value),
        line(type="system", subtype=value),
    ]
    assert "cannot be shown" not in shown(*stream)


@given(kind=KINDS, data=JSON)
def test_no_json_makes_the_transcript_raise(kind: str, data: Any) -> None:
    assert isinstance(shown(update(kind, data), with_time=True), str)


@given(shape=st.sampled_from(SHAPES), value=JSON, choice=st.integers(0, 9))
def test_no_json_in_a_field_makes_the_transcript_raise(
    shape: tuple[str, dict[str, Any]], value: Any, choice: int
) -> None:
    kind, data = shape
    changed = update(kind, {**data, list(data)[choice % len(data)]: value})
    ToolCalls().take(changed)
    assert "cannot be shown" not in shown(changed, with_time=True)


@pytest.mark.parametrize("timestamp", [5, None, "", "yesterday", [], "0001-01-01T00:00:00Z"])
def test_a_timestamp_may_be_no_time(timestamp: Any) -> None:
    raw = {"project_id": "site", "update_type": "claude_text", "timestamp": timestamp}
    assert "hello" in shown(update_of({**raw, "data": {"text": "hello"}}, None), with_time=True)


def test_what_has_another_type_is_the_plain_class() -> None:
    assert type(update("prompt", {"prompt": 5, "client_id": "c"})) is Update
    assert type(line(type="result", result={"a": 1})) is ClaudeLine


def test_an_update_that_cannot_be_shown_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> str:
        raise TypeError(text)

    monkeypatch.setattr("claudehub.show.transcript.plain", fail)
    bad = update("prompt", {"prompt": "p", "client_id": "c"})
    assert shown(bad, said("goes on")) == ("· an update that cannot be shown (prompt)\ngoes on\n")


def test_a_deeply_nested_input_is_shown_in_words() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested" in summary_of("Other", {"a": deep}).detail
