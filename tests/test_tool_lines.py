"""Tool calls in a line, edits as diffs, and the states that calls go through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudehub.show.calls import State, ToolCalls
from claudehub.show.diffs import EDITING_TOOLS, counts, edit_diff
from claudehub.show.tools import summary_of
from tests.shown import finished, line, outcome_of, request, resolved, use
from tests.test_safe_text import ANY_TEXT, is_safe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
KNOWN_TOOLS = (
    *EDITING_TOOLS,
    *("Bash", "Read", "Glob", "Grep", "WebFetch", "WebSearch", "Task", "TodoWrite"),
    *("AskUserQuestion", "ExitPlanMode", "mcp__db__query", "Skill", "Else"),
)
FIELDS = (
    *("command", "file_path", "old_string", "new_string", "content", "edits", "todos", "pattern"),
    *("offset", "limit", "questions", "subagent_type", "edit_mode", "new_source"),
)


@pytest.mark.parametrize(
    ("tool", "tool_input", "expected"),
    [
        ("Bash", {"command": "npm test", "description": "Run it"}, "$ npm test"),
        ("Bash", {"command": "cat <<E\na\nb\nE"}, "$ cat <<E … +3 lines"),
        ("Bash", {}, "$"),
        (
            "Edit",
            {"file_path": "a.py", "old_string": "x\ny", "new_string": "x\nz\nw"},
            "+2 \N{MINUS SIGN}1",
        ),
        ("Write", {"file_path": "a.py", "content": "one\ntwo\n"}, "Write a.py +2"),
        (
            "MultiEdit",
            {
                "file_path": "a.py",
                "edits": [
                    {"old_string": "a", "new_string": "b"},
                    {"old_string": "c", "new_string": ""},
                ],
            },
            "MultiEdit a.py +1 \N{MINUS SIGN}2",
        ),
        (
            "NotebookEdit",
            {"notebook_path": "n.ipynb", "cell_id": "c", "new_source": "x"},
            "NotebookEdit n.ipynb +1",
        ),
        ("Read", {"file_path": "/a/b.py"}, "Read /a/b.py"),
        ("Read", {"file_path": "b.py", "offset": 10, "limit": 5}, "Read b.py, lines 10 to 14"),
        ("Glob", {"pattern": "**/*.py", "path": "src"}, 'Glob "**/*.py" in src'),
        ("Grep", {"pattern": "TODO", "glob": "*.js"}, 'Grep "TODO" in *.js'),
        ("WebFetch", {"url": "https://a.example/x", "prompt": "?"}, "WebFetch https://a.example/x"),
        (
            "Task",
            {"description": "look around", "subagent_type": "Explore"},
            "Task look around (Explore)",
        ),
        (
            "TodoWrite",
            {
                "todos": [
                    {"content": "a", "status": "completed"},
                    {"content": "b", "status": "in_progress", "activeForm": "doing b"},
                ]
            },
            "TodoWrite 1 of 2 done: doing b",
        ),
        ("AskUserQuestion", {"questions": [{"question": "Which?"}]}, "AskUserQuestion Which?"),
        ("mcp__db__run_query", {"sql": "select 1", "n": 3}, 'db: run_query sql="select 1" n=3'),
        ("Unheard", {"a": {"b": [1]}}, 'Unheard a={"b": [1]}'),
    ],
)
def test_a_tool_call_is_one_line(tool: str, tool_input: dict[str, Any], expected: str) -> None:
    shown = str(summary_of(tool, tool_input))
    assert shown.endswith(expected)
    assert tool == "Edit" or shown == expected


@given(st.sampled_from(KNOWN_TOOLS), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_any_input_gives_one_safe_line(tool: str, tool_input: dict[str, Any]) -> None:
    shown = str(summary_of(tool, tool_input))
    assert is_safe(shown) and "\n" not in shown
    for each in edit_diff(tool, tool_input) or ():
        assert is_safe(each.text) and "\n" not in each.text


def test_an_edit_is_a_diff_with_a_little_context() -> None:
    old = "\n".join(f"line {number}" for number in range(20))
    new = old.replace("line 10\n", "line ten\nand more\n")
    diff = edit_diff("Edit", {"file_path": "a", "old_string": old, "new_string": new})
    assert diff is not None
    assert [str(each) for each in diff] == [
        *(" line 7", " line 8", " line 9"),
        *("-line 10", "+line ten", "+and more"),
        *(" line 11", " line 12", " line 13"),
    ]
    assert counts(diff) == (2, 1)


def test_distant_changes_have_a_mark_between_them() -> None:
    old = "\n".join(map(str, range(30)))
    new = old.replace("0\n1\n", "zero\n1\n", 1).replace("29", "end")
    diff = edit_diff("Edit", {"file_path": "a", "old_string": old, "new_string": new})
    assert [str(each) for each in diff or ()] == [
        *("-0", "+zero", " 1", " 2", " 3", "⋯", " 26", " 27", " 28", "-29", "+end"),
    ]


def test_a_huge_edit_is_shown_whole_and_at_once() -> None:
    old = "\n".join(f"{number % 7} {number}" for number in range(5_000))
    new = "\n".join(f"{number % 5} {number}" for number in range(5_000))
    diff = edit_diff("Edit", {"file_path": "a", "old_string": old, "new_string": new}) or []
    assert counts(diff) == (4_995, 4_995)  # the first five lines are equal


def test_an_edit_in_every_place_says_so() -> None:
    edit = {"file_path": "a", "old_string": "x", "new_string": "y", "replace_all": True}
    assert [str(each) for each in edit_diff("Edit", edit) or ()][-1] == (
        "(in every place where it stands)"
    )


def test_carriage_returns_in_an_edit_are_visible() -> None:
    edit = {"file_path": "a", "old_string": "x\r\ny", "new_string": "x\ny"}
    assert [str(each) for each in edit_diff("Edit", edit) or ()] == ["-x\\x0d", "+x", " y"]


def states(*updates: Any) -> list[tuple[str, bool]]:
    calls = ToolCalls()
    return [(call.words, call.ended) for each in updates for call in calls.take(each)]


def test_a_call_runs_and_is_done() -> None:
    assert states(use("Bash", {"command": "x"}, second=1), outcome_of("ok", second=3.5)) == [
        ("running", False),
        ("done, 2.5 s", True),
    ]


def test_the_time_of_a_call_does_not_count_the_wait_for_an_answer() -> None:
    question = request("Bash", {"command": "x"}, tool_use_id="t")
    assert states(
        use("Bash", {"command": "x"}, second=1),
        question,
        resolved("phone", second=40),
        outcome_of("no such file", is_error=True, second=41),
    ) == [
        ("running", False),
        ("waits for an answer", False),
        ("running", False),
        ("failed, 1 s", True),
    ]


def test_a_denied_call_is_denied_whoever_denied_it() -> None:
    asked = request("Bash", {"command": "x"}, tool_use_id="t")
    by_person = [asked, resolved("phone", "deny")]
    by_rule = [line(type="system", subtype="permission_denied", tool_use_id="t")]
    kind = {"id": "t", "non_execution_kind": "user-rejected"}
    for before, facts in ((by_person, []), (by_rule, []), ([], [kind])):
        ended = outcome_of("not now", is_error=True, tool_result_meta=facts)
        assert states(use("Bash", {"command": "x"}), *before, ended)[-1] == ("denied", True)


def test_the_end_of_an_execution_stops_its_calls() -> None:
    calls = ToolCalls()
    calls.take(use("Bash", {"command": "x"}, "a"))
    calls.take(line(execution="other", type="assistant", message={"content": []}))
    assert [(call.tool_use_id, call.words) for call in calls.take(finished("killed"))] == [
        ("a", "stopped")
    ]
    assert calls.open == []


def test_a_result_of_a_call_that_began_earlier_ends_at_once() -> None:
    calls = ToolCalls()
    (call,) = calls.take(outcome_of([{"type": "text", "text": "late"}], "unseen"))
    assert (call.state, str(call.summary), call.result) == (
        State.DONE,
        "a tool call that began earlier",
        "late",
    )


def test_several_calls_in_one_line_are_all_seen() -> None:
    blocks = [
        {"type": "tool_use", "id": name, "name": "Read", "input": {"file_path": name}}
        for name in "ab"
    ]
    calls = ToolCalls()
    calls.take(line(type="assistant", message={"id": "m", "content": blocks}))
    assert [str(call.summary) for call in calls.open] == ["Read a", "Read b"]
