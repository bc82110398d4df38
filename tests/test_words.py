"""What people read: errors of the API, limits, outcomes, gaps, what would be remembered."""

from datetime import datetime
from typing import Any

import pytest

from claudehub.client.lines import ApiRetry, RateLimit
from claudehub.client.reading import history_gone
from claudehub.client.updates import (
    ExecutionFinished,
    FilesChanged,
    HistoryGone,
    PermissionResolved,
    SessionReset,
)
from claudehub.show import words
from claudehub.show.remembering import remembered
from tests.shown import finished, line, resolved, update


def retry(status: int | None, error: str, attempt: int = 5, delay_ms: int = 8000) -> ApiRetry:
    found = line(
        type="system",
        subtype="api_retry",
        attempt=attempt,
        max_retries=10,
        retry_delay_ms=delay_ms,
        error_status=status,
        error=error,
    )
    assert isinstance(found, ApiRetry)
    return found


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (401, "authentication_failed", "the API refuses the key (401)"),
        (429, "rate_limit", "the API limits the rate of requests (429)"),
        (500, "server_error", "the API has an internal error (500)"),
        (529, "overloaded", "the API is overloaded (529)"),
        (418, "teapot", "the API answers with an error, teapot (418)"),
        (None, "unknown", "no connection to the API (unknown)"),
    ],
)
def test_an_error_of_the_api_is_in_words(status: int | None, error: str, expected: str) -> None:
    assert words.api_retry(retry(status, error)) == f"{expected}, try 5 of 10, next in 8 s"


def limit(**info: Any) -> RateLimit:
    found = line(type="rate_limit_event", rate_limit_info=info)
    assert isinstance(found, RateLimit)
    return found


def test_a_rate_limit_says_what_the_line_has() -> None:
    today = datetime.fromisoformat("2026-11-23T14:00:00Z")
    at = f"{today.astimezone():%H:%M}"
    assert (
        words.rate_limit(
            limit(
                status="allowed_warning",
                rateLimitType="five_hour",
                utilization=0.92,
                resetsAt=today.timestamp(),
            )
        )
        == f"92 % of the five-hour limit is used; it resets at {at}"
    )
    assert words.rate_limit(limit(status="rejected", rateLimitType="seven_day")) == (
        "the weekly limit is used up"
    )
    assert words.rate_limit(limit(status="allowed_warning", rateLimitType="new_kind")) == (
        "most of the usage limit is used"
    )


def test_a_reset_on_another_day_has_its_date() -> None:
    far = datetime.fromisoformat("2026-11-29T12:00:00Z")
    said = words.rate_limit(limit(status="rejected", resetsAt=far.timestamp()))
    assert said == f"the usage limit is used up; it resets at {far.astimezone():%H:%M on %Y-%m-%d}"
    assert words.rate_limit(limit(status="rejected", resetsAt=1e99)) == "the usage limit is used up"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("success", "done in 1.5 s, $0.2500"),
        ("error", "failed after 1.5 s, $0.2500"),
        ("timeout", "ended at its time limit, after 1.5 s, $0.2500"),
        ("interrupted", "interrupted after 1.5 s, $0.2500"),
        ("killed", "killed after 1.5 s, $0.2500"),
    ],
)
def test_an_outcome_is_in_words(outcome: str, expected: str) -> None:
    end = finished(outcome)
    assert isinstance(end, ExecutionFinished)
    assert words.outcome(end) == expected


def test_an_execution_that_never_ran_has_no_duration() -> None:
    for outcome, expected in [
        ("cancelled", "cancelled before it began"),
        ("lost", "lost: the hub ended without warning while it ran or waited"),
    ]:
        end = finished(outcome, cost_usd=None, duration_ms=0)
        assert isinstance(end, ExecutionFinished)
        assert words.outcome(end) == expected


@pytest.mark.parametrize(
    ("by", "decision", "expected"),
    [
        ("phone", "allow", "answered by phone: allow"),
        ("evil\x1b[2J", "deny", "answered by evil[2J: deny"),
        ("timeout", "deny", "nobody answered in time: denied"),
        ("withdrawn", "deny", "the agent no longer asks"),
        ("execution_finished", "deny", "the execution has ended before an answer"),
    ],
)
def test_an_answer_says_whose_it_is(by: str, decision: str, expected: str) -> None:
    answer = resolved(by, decision)
    assert isinstance(answer, PermissionResolved)
    assert words.resolved(answer) == expected


def test_changed_files_are_counted_behind_the_first() -> None:
    paths = [f"f{number}" for number in range(10)]
    changed = update("files_changed", {"paths": [*paths[:9], "\x1b]0;x\x07"], "truncated": False})
    assert isinstance(changed, FilesChanged)
    assert words.files_changed(changed) == "changed: f0, f1, f2, f3, f4, f5, f6, f7 and 2 more"
    many = update("files_changed", {"paths": ["a\nb"], "truncated": True})
    assert isinstance(many, FilesChanged)
    assert words.files_changed(many) == "changed: a b and many more"


def test_a_reset_and_a_hole_are_in_words() -> None:
    for reason, expected in [
        ("requested", "the next prompt begins a new conversation"),
        ("forgotten", "the CLI no longer has the old conversation; a new one has begun"),
        ("newer", "a new conversation (newer)"),
    ]:
        reset = update("session_reset", {"old_session_id": None, "reason": reason})
        assert isinstance(reset, SessionReset)
        assert words.session_reset(reset) == expected
    details = {"log_id": "l", "first_seq": 120, "last_seq": 300}
    gone = history_gone("site", details)
    assert isinstance(gone, HistoryGone)
    assert words.history_gone(gone) == "what came before update 120 is gone from the hub's log"


def test_a_duration_is_for_people() -> None:
    lengths = {0.04: "0 s", 9.94: "9.9 s", 59.4: "59 s", 125: "2 min 5 s", 3780: "1 h 3 min"}
    assert {seconds: words.duration(seconds) for seconds in lengths} == lengths
    assert [words.duration(seconds) for seconds in (9.96, 59.6, 3599.7)] == [
        *("10 s", "1 min 0 s", "1 h 0 min"),
    ]


def test_a_lost_connection_says_that_the_hub_goes_on() -> None:
    assert words.connection_lost("it was\x1b cut") == (
        "the connection is lost (it was cut); what runs goes on, and I try again"
    )
    assert words.connected_again(12) == "connected again after 12 s"


def test_what_would_be_remembered_is_in_words() -> None:
    rules = [
        {"toolName": "Bash", "ruleContent": "npm test:*"},
        {"toolName": "Read", "ruleContent": "//etc/**"},
        {"toolName": "WebFetch", "ruleContent": "domain:a.example"},
        {"toolName": "Glob"},
        {"toolName": "mcp__db__query", "ruleContent": "x"},
    ]
    assert remembered(
        [
            {"type": "addRules", "rules": rules, "behavior": "allow", "destination": "session"},
            {"type": "addDirectories", "directories": ["/srv/project"], "destination": "session"},
            {"type": "setMode", "mode": "acceptEdits", "destination": "session"},
            {"type": "addRules", "rules": rules[:1], "behavior": "deny"},
            {"type": "removeRules", "rules": rules[3:4]},
        ]
    ) == [
        "Bash commands `npm test:*`",
        "reading `//etc/**`",
        "fetching `domain:a.example`",
        "every use of Glob",
        "mcp__db__query with `x`",
        "work in the folder /srv/project",
        "all edits of files in the project (mode acceptEdits)",
        "never Bash commands `npm test:*`",
        "no longer: every use of Glob",
    ]


def test_a_suggestion_that_is_not_known_is_not_hidden() -> None:
    unknown: list[dict[str, Any]] = [
        {"type": "addPowers", "powers": ["fly"]},
        {"type": "setMode", "mode": "unheardOf"},
        {"type": "addRules", "rules": 5, "behavior": "allow"},
        {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "a\x1b[8m\nb"}]},
    ]
    assert remembered(unknown) == [
        '{"type": "addPowers", "powers": ["fly"]}',
        '{"type": "setMode", "mode": "unheardOf"}',
        '{"type": "addRules", "rules": 5, "behavior": "allow"}',
        '{"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "a\\u001b[8m\\nb"}]}',
    ]
