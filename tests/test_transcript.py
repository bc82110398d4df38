"""The transcript: what people see of a stream of updates, on a terminal and in a pipe."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudehub.client.reading import history_gone
from claudehub.show.safe_text import width
from claudehub.show.screen import Screen, Style, screen_of
from tests.shown import (
    delta,
    deltas,
    finished,
    line,
    outcome_of,
    request,
    resolved,
    said,
    shown,
    update,
    use,
)
from tests.test_questions import COLOURS
from tests.test_safe_text import ANY_TEXT, is_safe
from tests.test_tool_lines import JSON, KNOWN_TOOLS

PROMPT = {"execution_id": "e", "prompt": "Fix the test", "client_id": "c", "user": None}
ERASE = "\r\x1b[K"


def after_escapes(written: str) -> str:
    """Return what stays on a terminal: the lines, without those that were rewritten."""
    lines = written.replace("\x1b[K", "").split("\n")
    return "\n".join(text.rpartition("\r")[2] for text in lines)


def started(execution: str = "e", origin: str = "prompt") -> Any:
    data = {"execution_id": execution, "session_id": None, "origin": origin}
    return update("execution_started", data, execution=execution)


def test_a_prompt_its_tool_calls_and_its_end_are_a_line_each() -> None:
    stream = [
        update("prompt", PROMPT),
        started(),
        use("Bash", {"command": "npm test"}, "a", second=1),
        outcome_of("3 passed", "a", second=3.5),
        said("All good."),
        finished(result="All good."),
    ]
    assert shown(*stream) == (
        "> Fix the test\n✓ $ npm test (2.5 s)\nAll good.\ndone in 1.5 s, $0.2500\n"
    )


def test_a_failed_tool_shows_the_first_lines_of_its_result() -> None:
    text = "\n".join(f"line {number}" for number in range(40))
    assert shown(use("Bash", {"command": "make"}), outcome_of(text, is_error=True, second=1)) == (
        "✗ $ make (failed, 1 s)\n    line 0\n    line 1\n    line 2\n"
        "    … 35 lines are not shown …\n    line 38\n    line 39\n"
    )


def test_a_long_line_of_a_result_is_folded_too() -> None:
    (_, result) = shown(use("Bash", {}), outcome_of("x" * 9_000, is_error=True)).splitlines()
    assert "8600 characters are not shown" in result and len(result) < 500


def test_a_refused_tool_says_what_it_was_told() -> None:
    refusal = outcome_of("not now", is_error=True)
    asked = request("Bash", {"command": "touch x"}, tool_use_id="t")
    text = shown(use("Bash", {"command": "touch x"}), asked, resolved("phone", "deny"), refusal)
    assert text == (
        "? $ touch x (waits for an answer)\n  `claudehub answer site p1 allow` (or deny) answers\n"
        "· answered by phone: deny\n⊘ $ touch x (denied)\n    not now\n"
    )


def test_a_question_and_its_answer_are_both_shown() -> None:
    given = {"questions": [COLOURS]}
    told = 'Your questions have been answered: "Which colour?"="Blue".'
    assert shown(
        use("AskUserQuestion", given),
        request("AskUserQuestion", given, tool_use_id="t"),
        resolved("phone", second=8),
        outcome_of(told, second=8),
    ) == (
        "? AskUserQuestion Which colour? (waits for an answer)\n    Which colour?\n"
        "    1. Red: warm\n    2. Blue: cold\n    3. No colour\n"
        "  `claudehub answer site p1 --choose 'Which colour?=Red'` answers\n"
        f"· answered by phone: allow\n✓ AskUserQuestion Which colour? (0 s)\n    {told}\n"
    )


def test_a_plan_is_shown_where_it_waits() -> None:
    text = shown(
        use("ExitPlanMode", {"plan": "# Plan\n1. go"}),
        request("ExitPlanMode", {"plan": "# Plan\n1. go"}, tool_use_id="t"),
        outcome_of("approved", second=3),
    )
    assert text == (
        "? ExitPlanMode (waits for an answer)\n    # Plan\n    1. go\n"
        "  `claudehub answer site p1 allow` (or deny) answers\n✓ ExitPlanMode (3 s)\n"
    )


def test_questions_can_be_left_to_somebody_else() -> None:
    asked = request("Bash", {"command": "x"})
    assert shown(asked, resolved("phone"), with_questions=False) == ""


def test_a_subagents_work_is_indented() -> None:
    assert (
        shown(
            use("Task", {"description": "look"}, "a"),
            use("Read", {"file_path": "b"}, "b", parent="a"),
            outcome_of("…", "b", second=1, parent_tool_use_id="a"),
            said("found\nit", parent_tool_use_id="a"),
            outcome_of("done", "a", second=2),
        )
        == "  ✓ Read b (1 s)\n  found\n  it\n✓ Task look (2 s)\n"
    )


# -- text as it streams ---------------------------------------------------------------------------


def test_a_text_that_has_streamed_is_not_repeated() -> None:
    assert shown(*deltas("par", "tial\x07"), said("partial\x07"), said("whole", "n")) == (
        "partial\nwhole\n"
    )


def test_a_piece_is_written_as_it_comes() -> None:
    assert shown(*deltas("par", "ti")) == "parti\n"


def test_what_was_lost_at_the_end_of_a_stream_is_written_by_the_whole_line() -> None:
    assert shown(*deltas("par"), said("partial")) == "partial\n"


def test_a_stream_with_a_hole_is_shown_anew() -> None:
    assert shown(*deltas("pa", "al"), said("partial")) == "paal\npartial\n"


def test_a_stream_that_begins_in_the_middle_waits_for_the_whole_line() -> None:
    piece = delta({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "tial"}})
    assert shown(piece, said("partial")) == "partial\n"


def test_a_stream_whose_message_has_no_id_is_known_by_its_text() -> None:
    assert shown(*deltas("par", "tial", message_id=""), said("partial")) == "partial\n"


def test_several_texts_of_one_message_are_each_shown_once() -> None:
    block = delta({"type": "content_block_start", "index": 1})
    piece = delta({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "two"}})
    assert shown(*deltas("one"), said("one"), block, piece, said("two")) == "one\ntwo\n"


def test_a_subagents_stream_is_not_mixed_into_the_agents() -> None:
    sub = deltas("sub", message_id="s", parent_tool_use_id="t")
    assert (
        shown(
            *deltas("ma"),
            *sub,
            said("sub", "s", parent_tool_use_id="t"),
            said("main"),
        )
        == "ma\n  sub\nin\n"
    )


def test_a_running_call_does_not_break_a_text_that_streams() -> None:
    written = shown(use("Task", {"description": "x"}), *deltas("a", "b", "c"), columns=80)
    assert "abc\n" in after_escapes(written)


# -- trouble --------------------------------------------------------------------------------------


def retry(attempt: int, status: int | None = 401) -> Any:
    fields = {"attempt": attempt, "max_retries": 10, "retry_delay_ms": 8000}
    return line(
        type="system", subtype="api_retry", error_status=status, error="overloaded", **fields
    )


def test_tries_of_the_api_are_lines_in_a_pipe() -> None:
    assert shown(retry(1), retry(2), said("done")) == (
        "· the API refuses the key (401), try 1 of 10, next in 8 s\n"
        "· the API refuses the key (401), try 2 of 10, next in 8 s\ndone\n"
    )


def test_tries_of_the_api_are_one_line_on_a_terminal() -> None:
    written = shown(retry(1), retry(2), said("done"), columns=80)
    assert "the API refuses the key (401), try 1 of 10, next in 8 s" in written
    assert after_escapes(written) == "· the API refuses the key (401), tried again twice\ndone\n"


def test_an_error_of_the_api_is_said_once() -> None:
    text = "API Error: 401 invalid key"
    result = line(type="result", is_error=True, result=text)
    assert shown(said(text), result, finished("error", result=text)) == (
        "API Error: 401 invalid key\nfailed after 1.5 s, $0.2500\n"
    )


def test_a_failure_shows_its_result_and_the_end_of_its_errors() -> None:
    errors = "".join(f"e{number}\n" for number in range(12))
    text = shown(finished("killed", result="ended by \x1b[5mphone", stderr=errors))
    assert text == (
        "ended by [5mphone\n    e0\n    e1\n    e2\n    e3\n    e4\n    e5\n"
        "    … 3 lines are not shown …\n    e9\n    e10\n    e11\nkilled after 1.5 s, $0.2500\n"
    )


def test_a_limit_is_said_when_it_comes_near_and_once() -> None:
    def limit(status: str, used: float) -> Any:
        info = {"status": status, "rateLimitType": "five_hour", "utilization": used}
        return line(type="rate_limit_event", rate_limit_info=info)

    near = limit("allowed_warning", 0.92)
    assert shown(limit("allowed", 0.1), near, near, limit("rejected", 1)) == (
        "· 92 % of the five-hour limit is used\n· the five-hour limit is used up\n"
    )


def test_a_result_that_no_line_has_said_is_shown() -> None:
    assert shown(line(type="result", is_error=False, result="Context: 10 %")) == "Context: 10 %\n"
    assert shown(said("hello"), line(type="result", is_error=False, result="hello")) == "hello\n"


def test_what_a_hub_tells_is_in_words() -> None:
    second = {**PROMPT, "execution_id": "f", "prompt": "And then?\nMore", "user": "ann"}
    assert shown(
        update("prompt", PROMPT),
        update("prompt", second, execution="f"),
        update("execution_queued", {"execution_id": "f", "position": 2}, execution="f"),
        started("e"),
        started("f"),
        started("g", "background"),
        update("claude_text", {"text": "raw\x1b[1m", "truncated": True}),
        update("session_reset", {"old_session_id": "s", "reason": "requested"}),
        update("files_changed", {"paths": ["a", "b"], "truncated": False}),
        update("gap", {"first_seq": 1, "last_seq": 2}),
        update("status", {"status": "error"}),
        update("status", {"status": "idle"}),
        update("unheard_of", {"a": 1}),
        history_gone("site", {"log_id": "l", "first_seq": 7, "last_seq": 9}),
        update("project_deleted", {"by": "ann"}),
    ) == (
        "> Fix the test\n> And then?\n  More  (ann)\n· waits, at place 2 of the queue\n"
        "· begins: And then?\n"
        "· the agent goes on by itself: background work has ended\nraw[1m […]\n"
        "· the next prompt begins a new conversation\n· changed: a, b\n"
        "· updates 1 to 2 cannot be read: the log is damaged\n"
        "· the project is in error: it takes no prompts\n"
        "· what came before update 7 is gone from the hub's log\n· the project is deleted, by ann\n"
    )


def test_what_the_cli_tells_is_in_words() -> None:
    def system(subtype: str, **fields: Any) -> Any:
        return line(type="system", subtype=subtype, **fields)

    assert shown(
        system("init", cwd="/srv"),
        system("status", status="compacting"),
        system("compact_boundary"),
        system("permission_denied", tool_name="Bash", message="by a rule"),
        system("task_notification", summary="Background command\nended"),
        system("model_fallback", model="other"),
        line(type="user", message={"content": "a summary of what was before"}),
    ) == (
        "· the conversation is made shorter\n"
        "· from here on the agent knows what came before as a summary\n"
        "· Bash is refused without a question: by a rule\n"
        "· background: Background command ended\n· another model is used: other\n"
    )


def test_each_entry_has_its_time_where_it_is_wanted() -> None:
    text = shown(update("prompt", PROMPT), *deltas("hel", "lo"), said("hello"), with_time=True)
    (prompt, answer) = text.splitlines()
    time = prompt[:19]
    assert len(time.split(":")) == 3
    assert (prompt, answer) == (f"{time}  > Fix the test", f"{time}  hello")


# -- the terminal ---------------------------------------------------------------------------------


def test_a_running_call_is_shown_until_it_has_ended() -> None:
    written = shown(
        use("Bash", {"command": "a"}, "a", second=1),
        use("Bash", {"command": "b"}, "b", second=1),
        outcome_of("", "b", second=2),
        outcome_of("", "a", second=3),
        columns=40,
    )
    assert written == (
        f"  $ a (running){ERASE}  $ b (running and 1 more){ERASE}✓ $ b (1 s)\n"
        f"  $ a (running){ERASE}✓ $ a (2 s)\n"
    )


def test_a_state_never_takes_more_than_one_row() -> None:
    written = shown(use("Bash", {"command": "日本" * 50}), columns=20)
    assert width(written.replace("\x1b[K", "").split("\r")[0]) <= 19


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    def lines(stream: io.StringIO, **environ: str) -> str:
        screen = screen_of(stream, environ)
        screen.state("running")
        screen.line((Style.RED, "a"), "b")
        screen.state("running")
        screen.state()
        return stream.getvalue()

    assert lines(Terminal(), TERM="xterm") == f"running{ERASE}\x1b[31ma\x1b[0mb\nrunning{ERASE}"
    assert lines(Terminal(), TERM="xterm", NO_COLOR="1") == f"running{ERASE}ab\nrunning{ERASE}"
    assert lines(Terminal(), TERM="dumb") == "ab\n"
    assert lines(io.StringIO(), TERM="xterm") == "ab\n"


def test_a_poor_encoding_is_no_reason_to_end() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    screen_of(stream, {}).line("✓ größer")
    assert raw.getvalue() == b"? gr??er\n"


def test_a_text_waits_for_its_line_while_there_is_a_prompt() -> None:
    written: list[str] = []
    screen = Screen(written.append, columns=lambda: 80)
    screen.text("begun")
    screen.prompt("? ")
    screen.text("one\ntw")
    screen.state("running")
    assert "".join(written) == f"begun\n? {ERASE}one\n? "
    screen.text("o")
    screen.prompt()
    screen.text("!\n")
    assert "".join(written) == f"begun\n? {ERASE}one\n? {ERASE}two!\n"


@given(
    st.lists(
        st.one_of(
            st.builds(
                use, st.sampled_from(KNOWN_TOOLS) | ANY_TEXT, st.dictionaries(ANY_TEXT, JSON)
            ),
            st.builds(outcome_of, JSON, is_error=st.booleans()),
            st.builds(said, ANY_TEXT),
            st.builds(lambda text: deltas(text)[-1], ANY_TEXT),
            st.builds(request, ANY_TEXT, st.dictionaries(ANY_TEXT, JSON), ANY_TEXT),
            st.builds(lambda f: line(**{"type": "system", **f}), st.dictionaries(ANY_TEXT, JSON)),
            st.builds(resolved, ANY_TEXT),
            st.builds(lambda t: finished("error", result=t, stderr=t), ANY_TEXT),
            st.builds(lambda t: update("prompt", {**PROMPT, "prompt": t, "user": t}), ANY_TEXT),
            st.builds(lambda t: update("files_changed", {"paths": [t]}), ANY_TEXT),
            st.builds(lambda k, d: update(k, {"data": d}), ANY_TEXT, JSON),
        ),
        max_size=6,
    )
)
def test_nothing_that_anybody_sends_reaches_a_pipe_as_a_control_character(
    updates: list[Any],
) -> None:
    assert is_safe(shown(*updates))
