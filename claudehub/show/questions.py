"""What an agent asks, as a person sees it: a command, an edit, questions with choices, a plan."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import simplejson

from claudehub.client.updates import PermissionRequest
from claudehub.show.diffs import EDITING_TOOLS, edit_diff, edited_path, other_fields
from claudehub.show.lines import Kind, Line, lines_of
from claudehub.show.remembering import remembered
from claudehub.show.safe_text import one_line, plain, string, visible

_COMMAND_FIELDS = ("command", "description")


class Form(StrEnum):
    """What is asked for."""

    COMMAND = "command"
    EDIT = "edit"
    CHOICES = "choices"
    PLAN = "plan"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Option:
    """A choice. `label` is what goes back to the agent, untouched."""

    label: str
    description: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with choices. `text` is its name in the answer, untouched."""

    text: str
    header: str
    multiple: bool
    options: tuple[Option, ...]

    @property
    def lines(self) -> list[Line]:
        """Return the question and its choices, numbered from 1, as safe text."""
        found = [Line(Kind.HEADING, line) for line in plain(self.text).split("\n")]
        for number, option in enumerate(self.options, 1):
            behind = f": {one_line(option.description)}" if option.description else ""
            found.append(Line(Kind.CHOICE, f"{number}. {one_line(option.label)}{behind}"))
        return found


@dataclass(frozen=True, slots=True)
class Question:
    """A permission request, ready to be shown.

    `heading` asks it in one line, `body` is what it is about, all of it, and `asked` are the
    questions of `Form.CHOICES`. `remember` are phrases for what would hold for the rest of the
    session; it is empty where nothing can be remembered. All texts but those of `asked` are safe.
    """

    permission_id: str
    project_id: str
    form: Form
    heading: str
    body: tuple[Line, ...]
    asked: tuple[Asked, ...]
    remember: tuple[str, ...]


def question_of(request: PermissionRequest) -> Question:
    """Return what the request asks."""
    form, heading, body, asked = _form(request)
    if request.data.get("truncated"):
        note = "the input is too long for this view; `claudehub tail` shows it"
        body = [*body, Line(Kind.NOTE, note)]
    return Question(
        request.permission_id,
        request.project_id,
        form,
        heading,
        (*body, *_notes(request)),
        asked,
        tuple(remembered(request.suggestions)),
    )


def answering_command(question: Question) -> str:
    """Return what to type in another terminal, in words."""
    command = one_line(f"claudehub answer {question.project_id} {question.permission_id}")
    if question.form is not Form.CHOICES:
        return f"`{command} allow` (or deny) answers"
    choices = []
    for asked in question.asked:
        label = asked.options[0].label if asked.options else "…"
        choices.append(f"--choose {shlex.quote(f'{asked.text}={label}')}")
    return one_line(f"`{command} {' '.join(choices)}` answers")


def _form(request: PermissionRequest) -> tuple[Form, str, list[Line], tuple[Asked, ...]]:
    tool, given = request.tool, request.input
    if tool == "Bash" and isinstance(given.get("command"), str):
        return Form.COMMAND, "Run this command?", _command(given), ()
    if tool in EDITING_TOOLS and (diff := edit_diff(tool, given)) is not None:
        rest = other_fields(tool, given)
        heading = "Write this file?" if tool == "Write" else "Make this edit?"
        body = [Line(Kind.FILE, edited_path(given)), *diff, *_json(rest)]
        return Form.EDIT, heading, body, ()
    if tool == "AskUserQuestion" and (asked := _asked(given)):
        heading = (
            "The agent asks:" if len(asked) == 1 else f"The agent asks {len(asked)} questions:"
        )
        return Form.CHOICES, heading, [], asked
    if tool == "ExitPlanMode":
        rest = {name: value for name, value in given.items() if name != "plan"}
        plan = lines_of(Kind.TEXT, visible(string(given.get("plan") or "(it shows no plan)")))
        return Form.PLAN, "Go on with this plan?", [*plan, *_json(rest)], ()
    return Form.TOOL, f"Allow {visible(one_line(tool))}?", _json(given), ()


def _command(given: Mapping[str, Any]) -> list[Line]:
    """Return the command after a dollar sign, its other lines indented, and its other options."""
    first, *others = visible(given["command"]).split("\n")
    rest = {name: value for name, value in given.items() if name not in _COMMAND_FIELDS}
    return [
        Line(Kind.COMMAND, f"$ {first}"),
        *(Line(Kind.COMMAND, f"  {line}") for line in others),
        *_json(rest),
    ]


def _json(fields: Mapping[str, Any]) -> list[Line]:
    """Return a line a field: `name: value`, the value as JSON. A long list or object takes
    several."""
    found: list[Line] = []
    for name, value in fields.items():
        text = simplejson.dumps(value, ensure_ascii=False)
        if isinstance(value, dict | list) and len(text) > 80:
            text = simplejson.dumps(value, ensure_ascii=False, indent=2)
        found += lines_of(Kind.TEXT, visible(f"{name}: {text}"))
    return found


def _notes(request: PermissionRequest) -> list[Line]:
    """Return what else the CLI says about it: why it asks, and who."""
    facts = [
        ("", request.description),
        ("because: ", request.reason),
        ("path: ", request.blocked_path),
        ("asked by the subagent ", request.data.get("agent_id")),
    ]
    found: list[Line] = []
    for name, fact in facts:
        if fact:
            found += lines_of(Kind.NOTE, name + visible(string(fact)))
    return found


def _asked(given: Mapping[str, Any]) -> tuple[Asked, ...]:
    """Return the questions, or nothing where one of them has not the expected shape: what is not
    understood is shown as it came."""
    questions = given.get("questions")
    if not isinstance(questions, list):
        return ()
    try:
        return tuple(_one_asked(question) for question in questions)
    except (KeyError, TypeError, AttributeError):
        return ()


def _one_asked(question: Mapping[str, Any]) -> Asked:
    options = tuple(
        Option(string(option["label"]), string(option.get("description") or ""))
        for option in question.get("options") or ()
    )
    text, header = string(question["question"]), string(question.get("header") or "")
    return Asked(text, header, bool(question.get("multiSelect")), options)
