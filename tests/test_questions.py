"""What the agent asks, as people see it, and what they type as an answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudehub.client.answer import Answer
from claudehub.show.answers import Dialogue, NotUnderstood
from claudehub.show.questions import Form, Question, question_of
from tests.shown import request
from tests.test_safe_text import ANY_TEXT, is_safe
from tests.test_tool_lines import JSON, KNOWN_TOOLS

COLOURS = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [
        {"label": "Red", "description": "warm"},
        {"label": "Blue", "description": "cold"},
        {"label": "No colour", "description": ""},
    ],
}
SIZES = {
    "question": "Which sizes?",
    "header": "Sizes",
    "multiSelect": True,
    "options": [{"label": "S"}, {"label": "M"}, {"label": "L"}],
}
SUGGESTIONS = [
    {
        "type": "addRules",
        "rules": [{"toolName": "Bash", "ruleContent": "touch made.txt"}],
        "behavior": "allow",
        "destination": "localSettings",
    }
]


def body(question: Question) -> list[str]:
    return [str(line) for line in question.body]


def choices(*questions: dict[str, Any]) -> Question:
    return question_of(request("AskUserQuestion", {"questions": list(questions)}))


def command(**fields: Any) -> Question:
    return question_of(request("Bash", {"command": "touch made.txt"}, **fields))


def test_a_command_is_asked_as_a_command() -> None:
    question = question_of(
        request(
            "Bash",
            {"command": "touch made.txt", "description": "a command"},
            description="a command",
            blocked_path="/srv/project/made.txt",
            suggestions=SUGGESTIONS,
            agent_id="ad05",
        )
    )
    assert (question.form, question.heading) == (Form.COMMAND, "Run this command?")
    assert body(question) == [
        "$ touch made.txt",
        "a command",
        "path: /srv/project/made.txt",
        "asked by the subagent ad05",
    ]
    assert question.remember == ("Bash commands `touch made.txt`",)


def test_a_command_shows_all_its_lines_and_its_options() -> None:
    given = {"command": "a \\\n  b", "run_in_background": True, "timeout": 5}
    assert body(question_of(request("Bash", given))) == [
        *("$ a \\", "    b", "run_in_background: true", "timeout: 5"),
    ]


def test_nothing_of_a_command_is_invisible() -> None:
    question = question_of(request("Bash", {"command": "ls \x1b[8m; rm -rf ~\x1b[0m"}))
    assert body(question) == ["$ ls \\x1b[8m; rm -rf ~\\x1b[0m"]


def test_an_edit_is_asked_as_a_diff() -> None:
    edit = {"file_path": "a.py", "old_string": "x\ny", "new_string": "x\nz", "replace_all": False}
    question = question_of(request("Edit", edit))
    assert (question.form, question.heading) == (Form.EDIT, "Make this edit?")
    assert body(question) == ["a.py", " x", "-y", "+z"]
    write = question_of(request("Write", {"file_path": "b", "content": "1\n2\n", "mode": "x"}))
    assert (write.heading, body(write)) == ("Write this file?", ["b", "+1", "+2", 'mode: "x"'])


def test_a_plan_is_asked_as_text() -> None:
    question = question_of(request("ExitPlanMode", {"plan": "# Plan\n1. go", "planFilePath": "p"}))
    assert (question.form, question.heading) == (Form.PLAN, "Go on with this plan?")
    assert body(question) == ["# Plan", "1. go", 'planFilePath: "p"']
    assert body(question_of(request("ExitPlanMode", {}))) == ["(it shows no plan)"]


def test_questions_are_asked_with_numbered_choices() -> None:
    question = choices(COLOURS, SIZES)
    assert (question.form, question.heading) == (Form.CHOICES, "The agent asks 2 questions:")
    assert [str(line) for line in question.asked[0].lines] == [
        *("Which colour?", "1. Red: warm", "2. Blue: cold", "3. No colour"),
    ]


def test_anything_else_is_shown_as_it_came() -> None:
    question = question_of(request("mcp__db__run", {"sql": "drop\ntable", "rows": [1, 2]}))
    assert (question.form, question.heading) == (Form.TOOL, "Allow mcp__db__run?")
    assert body(question) == ['sql: "drop\\ntable"', "rows: [1, 2]"]
    broken = question_of(request("AskUserQuestion", {"questions": [{"options": 5}]}))
    assert (broken.form, body(broken)) == (Form.TOOL, ['questions: [{"options": 5}]'])


def test_an_input_that_the_hub_left_out_is_named() -> None:
    question = question_of(request("Write", {}, truncated=True))
    assert "the input is too long for this view" in body(question)[-1]


@given(
    st.sampled_from(KNOWN_TOOLS) | ANY_TEXT,
    st.dictionaries(ANY_TEXT | st.sampled_from(("command", "plan", "questions")), JSON),
    ANY_TEXT,
)
def test_any_question_is_safe_to_show(tool: str, given: dict[str, Any], reason: str) -> None:
    question = question_of(request(tool, given, reason=reason, suggestions=[given]))
    lines = [*question.body, *(line for asked in question.asked for line in asked.lines)]
    texts = [question.heading, *question.remember, *(line.text for line in lines)]
    assert all(is_safe(text) and "\n" not in text for text in texts)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("y", Answer("allow")),
        (" YES ", Answer("allow")),
        ("r", Answer("allow", remember=True)),
        ("n", Answer("deny")),
        ("no", Answer("deny")),
        ("n because it is late", Answer("deny", "because it is late")),
        ("no, use pnpm", Answer("deny", "use pnpm")),
        ("N: never", Answer("deny", "never")),
    ],
)
def test_a_permission_is_answered_with_a_letter_and_a_reason(typed: str, expected: Answer) -> None:
    assert Dialogue(command(suggestions=SUGGESTIONS)).take(typed) == expected


@pytest.mark.parametrize("typed", ["", "x", "not now", "yn", "1", "yes please"])
def test_what_is_no_answer_is_said_in_words(typed: str) -> None:
    dialogue = Dialogue(command(suggestions=SUGGESTIONS))
    with pytest.raises(NotUnderstood, match="type y, r or n; behind n you may say why"):
        dialogue.take(typed)
    assert dialogue.take("y") == Answer("allow")


def test_nothing_is_remembered_where_nothing_is_suggested() -> None:
    dialogue = Dialogue(command())
    assert dialogue.invitation == "[y]es, [n]o (you may say why)"
    with pytest.raises(NotUnderstood, match="nothing to remember"):
        dialogue.take("r")
    assert "[r]emember" in Dialogue(command(suggestions=SUGGESTIONS)).invitation


def test_questions_are_answered_one_after_the_other() -> None:
    dialogue = Dialogue(choices(COLOURS, SIZES))
    assert dialogue.lines[0].text == "Which colour?"
    assert dialogue.take("2") is None
    assert dialogue.lines[0].text == "Which sizes?"
    assert dialogue.take("3, 1") == Answer(
        "allow", answers={"Which colour?": "Blue", "Which sizes?": "S, L"}
    )


@pytest.mark.parametrize(
    ("asked", "typed", "expected"),
    [
        (COLOURS, "2", "Blue"),
        (COLOURS, "blue", "Blue"),
        (COLOURS, "no colour", "No colour"),
        (COLOURS, "none of them", "none of them"),
        (COLOURS, "no preference, really", "no preference, really"),
        (COLOURS, '"3"', "3"),
        (SIZES, "1,3", "S, L"),
        (SIZES, "3 1 3", "S, L"),
        (SIZES, "1, XXL", "S, XXL"),
        (SIZES, "all, but for 2", "all, but for 2"),
        ({"question": "How many?", "options": []}, "7", "7"),
    ],
)
def test_a_choice_is_a_number_a_label_or_free_text(
    asked: dict[str, Any], typed: str, expected: str
) -> None:
    answer = Dialogue(choices(asked)).take(typed)
    assert answer == Answer("allow", answers={asked["question"]: expected})


@pytest.mark.parametrize(
    ("asked", "typed", "words"),
    [
        (COLOURS, "4", "the choices are 1 to 3"),
        (COLOURS, "0", "the choices are 1 to 3"),
        (COLOURS, "9" * 9, "the choices are 1 to 3"),
        (COLOURS, "1,2", "only one choice is possible here"),
        (COLOURS, "  ", "type 1 to 3, or an answer of your own"),
        (SIZES, ",", "type 1 to 3, or an answer of your own"),
    ],
)
def test_a_wrong_choice_is_said_in_words(asked: dict[str, Any], typed: str, words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        Dialogue(choices(asked)).take(typed)


def test_a_question_may_be_refused_with_a_reason() -> None:
    dialogue = Dialogue(choices(COLOURS, SIZES))
    dialogue.take("1")
    assert dialogue.take("n ask me later") == Answer("deny", "ask me later")
