"""A CLI may name another session than it was to resume, in the same conversation: a fork."""

import json

import pytest

from actors import messages
from protocol.claude import SessionChoice
from tests.executor_setup import INIT, RESULT, FakeProcess, Setup, no_processes, setup
from tests.test_executor_actor import RULE, remember

__all__ = ["no_processes", "setup"]

OLD = SessionChoice(resume="s")


def init(session_id: str) -> bytes:
    return json.dumps({"type": "system", "subtype": "init", "session_id": session_id}).encode()


def result(session_id: str) -> bytes:
    return RESULT.replace(b'"session_id":"s"', f'"session_id":"{session_id}"'.encode())


def test_a_fork_is_no_clear(setup: Setup) -> None:
    setup.start(OLD)
    setup.read(init("fork"), result("fork"))
    assert setup.told(messages.SessionCleared) == []
    setup.start(SessionChoice(resume="fork"), "f")
    assert len(FakeProcess.started) == 1, "the process is in the session of the next prompt"


def test_a_fork_keeps_what_was_allowed_for_the_session(setup: Setup) -> None:
    setup.start()
    setup.read(INIT)
    remember(setup, RULE)
    setup.read(RESULT)
    setup.gone()
    setup.start(OLD, "f")
    setup.prepare()
    setup.read(init("fork"), result("fork"))
    setup.start(SessionChoice(resume="fork"), "g")
    assert len(FakeProcess.started) == 2
    setup.gone()
    assert len(FakeProcess.started) == 3
    (rules,) = setup.process.controls("apply_flag_settings")
    assert rules["settings"]["permissions"]["allow"]


def test_a_clear_behind_a_fork_is_one(setup: Setup) -> None:
    setup.start(OLD)
    setup.read(init("fork"), init("cleared"))
    (cleared,) = setup.told(messages.SessionCleared)
    assert cleared == messages.SessionCleared(execution_id="e", old_session_id="fork")


@pytest.mark.parametrize("says_so", [True, False])
def test_a_clear_that_comes_first_is_one(setup: Setup, says_so: bool) -> None:
    """2.1.331 says so; in 2.1.197 only the prompt tells."""
    setup.start(OLD, content="go" if says_so else "/clear")
    if says_so:
        setup.read(b'{"type":"conversation_reset","session_id":"s"}')
    setup.read(init("cleared"))
    (cleared,) = setup.told(messages.SessionCleared)
    assert cleared.old_session_id == "s"


@pytest.mark.parametrize("content", ["/clearly not", "say /clear", ""])
def test_other_prompts_do_not_clear(setup: Setup, content: str) -> None:
    setup.start(OLD, content=content)
    setup.read(init("fork"))
    assert setup.told(messages.SessionCleared) == []


def test_the_same_session_is_neither(setup: Setup) -> None:
    setup.start(OLD)
    setup.read(INIT, RESULT)
    assert setup.told(messages.SessionCleared) == []
