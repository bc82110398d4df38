"""An answer that the CLI would read as another one is refused, or sent in words that it cannot
misread."""

import json
from typing import Any

import pytest

from actors import messages
from actors.executor.questions import Questions, allow_line, deny_line
from actors.project.permissions import DENIED
from protocol import codec
from protocol.claude import ControlRequest
from protocol.updates import PermissionRequest
from tests.project_setup import ProjectSetup, frozen, setup
from tests.test_project_agent import answer, answers_given

__all__ = ["frozen", "setup"]


def ask(setup: ProjectSetup, tool_input: dict[str, Any]) -> None:
    request = PermissionRequest(
        permission_id="q",
        execution_id=setup.execute(),
        tool="Bash",
        input=tool_input,
        description=None,
        suggestions=[],
        blocked_path=None,
    )
    setup.tell(messages.PermissionAsked(request=request, outlives_turn=False))


def test_an_empty_input_in_place_of_a_full_one_is_refused(setup: ProjectSetup) -> None:
    """The CLI takes it for "no change" and runs the original (2.1.197, 2.1.331)."""
    ask(setup, {"command": "rm -rf /"})
    setup.ask(answer(updated_input={}))
    refused = setup.answers()[-1]
    assert refused["code"] == "invalid_message"
    assert refused["details"] == {"field": "payload.updated_input"}
    assert answers_given(setup) == [], "the question still waits"
    setup.ask(answer(updated_input={"command": "true"}))
    (given,) = answers_given(setup)
    assert given.allow and given.updated_input == {"command": "true"}


@pytest.mark.parametrize(
    ("tool_input", "more"),
    [
        ({}, {"updated_input": {}}),
        ({"command": "x"}, {}),
        ({"command": "x"}, {"updated_input": {"command": ""}}),
        ({"command": "x"}, {"updated_input": {}, "decision": "deny"}),
    ],
)
def test_any_other_answer_is_taken(
    setup: ProjectSetup, tool_input: dict[str, Any], more: dict[str, Any]
) -> None:
    ask(setup, tool_input)
    setup.ask(answer(**more))
    assert setup.answers()[-1] == {"permission_id": "q"}


@pytest.mark.parametrize("message", [None, "", " \n"])
def test_a_denial_always_says_something(setup: ProjectSetup, message: str | None) -> None:
    """The CLI hands an empty text to the model as it is."""
    ask(setup, {"command": "x"})
    setup.ask(answer(decision="deny", message=message))
    (given,) = answers_given(setup)
    assert given.message == DENIED


def test_the_cli_gets_the_whole_input_and_no_empty_list() -> None:
    """2.1.197 fails the tool if `updatedInput` is missing."""
    body = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    question = Questions().ask(ControlRequest("r", "can_use_tool", body), "e", background=False)
    assert question is not None
    allowed, changed = allow_line(question, None, []), allow_line(question, {"command": "y"}, [])
    assert b'"response":{"behavior":"allow","updatedInput":{"command":"x"}}' in allowed
    assert b'"response":{"behavior":"allow","updatedInput":{"command":"y"}}' in changed
    assert b'"response":{"behavior":"deny","message":"no"}' in deny_line(question, "no")


def test_an_input_that_is_no_text_is_refused() -> None:
    body = {"project_id": "p", "permission_id": "q", "decision": "allow"}
    text = json.dumps({"type": "permission_answer", "payload": body})
    broken = text.replace('"allow"', '"allow", "updated_input": {"a": ["\\ud800"]}')
    with pytest.raises(codec.Undecodable) as refused:
        codec.decode(broken)
    assert refused.value.error.details == {"field": "payload.updated_input"}
