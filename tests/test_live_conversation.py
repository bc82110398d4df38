"""What a conversation shows of the updates of a project."""

import pytest

from claudehub.client.updates import Update
from claudehub.tui.conversation import Conversation
from claudehub.tui.entries import (
    EndEntry,
    Entry,
    NoteEntry,
    PromptEntry,
    TextEntry,
    ToolEntry,
    ToolState,
)
from claudehub.tui.partial import Partial
from tests.live_views import Log


def shown(updates: list[Update]) -> list[Entry]:
    conversation = Conversation()
    for update in updates:
        conversation.apply(update)
    return conversation.entries


def tool_of(log: Log) -> ToolEntry:
    (tool,) = (entry for entry in shown(log.updates) if isinstance(entry, ToolEntry))
    return tool


def notes(log: Log) -> list[str]:
    return [entry.text for entry in shown(log.updates) if isinstance(entry, NoteEntry)]


def test_a_prompt_its_answer_and_its_end_are_three_entries() -> None:
    log = Log()
    log.prompt("Fix it")
    log.started()
    log.said("Done.")
    log.finished(result="Done.")
    prompt, text, end = shown(log.updates)
    assert isinstance(prompt, PromptEntry) and (prompt.text, prompt.by) == ("Fix it", "anna")
    assert isinstance(text, TextEntry) and text.text == "Done."
    assert isinstance(end, EndEntry) and end.words == "done in 12 s, $0.0412"
    assert end.result == ""  # it has been said


def test_a_result_that_no_line_has_said_is_shown_at_the_end() -> None:
    log = Log()
    log.prompt("/nosuch")
    log.started()
    log.finished(result="/nosuch is no command")
    end = shown(log.updates)[-1]
    assert isinstance(end, EndEntry) and end.result == "/nosuch is no command"


def test_a_prompt_that_waits_stands_at_the_end_until_its_turn() -> None:
    log = Log()
    log.prompt("one")
    log.started()
    log.prompt("two", "e2")
    log.queued("e2", 1)
    log.said("about one")
    conversation = Conversation()
    for update in log.updates:
        conversation.apply(update)
    assert [p.text for p in conversation.waiting.values()] == ["two"]
    assert "two" not in [e.text for e in conversation.entries if isinstance(e, PromptEntry)]
    for update in (log.finished(), log.started("e2")):
        conversation.apply(update)
    last = conversation.entries[-1]
    assert isinstance(last, PromptEntry) and (last.text, last.place) == ("two", None)
    assert not conversation.waiting
    orders = [entry.order for entry in conversation.entries]
    assert orders == sorted(orders)


def test_a_prompt_that_is_cancelled_while_it_waits_is_shown_with_its_end() -> None:
    log = Log()
    log.prompt("two", "e2")
    log.queued("e2", 1)
    log.finished("cancelled", execution_id="e2")
    prompt, end = shown(log.updates)
    assert isinstance(prompt, PromptEntry) and isinstance(end, EndEntry)
    assert end.outcome == "cancelled"


@pytest.mark.parametrize(("is_error", "state"), [(False, ToolState.DONE), (True, ToolState.FAILED)])
def test_a_tool_call_runs_until_its_result(is_error: bool, state: ToolState) -> None:
    log = Log()
    call = log.calls("Bash", command="make")
    assert tool_of(log).state is ToolState.RUNNING
    log.seconds = 3
    log.returns(call, "all of it", is_error)
    tool = tool_of(log)
    assert (tool.state, tool.result) == (state, "all of it")
    assert (tool.timestamp[17:19], tool.ended[17:19]) == ("00", "03")


def test_calls_that_are_open_at_the_end_of_the_execution_are_unfinished() -> None:
    log = Log()
    log.prompt("go")
    log.started()
    log.calls("Bash", command="make")
    log.finished("killed")
    assert tool_of(log).state is ToolState.UNFINISHED


def test_a_call_shows_that_it_is_asked_for_and_who_has_allowed_it() -> None:
    log = Log()
    call = log.calls("Bash", command="make")
    request = log.asks("Bash", call, command="make")
    assert tool_of(log).state is ToolState.ASKING
    log.resolved(request.data["permission_id"], "allow", "phone")
    assert tool_of(log).state is ToolState.RUNNING
    assert tool_of(log).answered == "allowed by phone"


def test_what_this_client_does_is_said_to_be_by_you() -> None:
    log = Log()
    log.prompt("go", user=None)
    log.asks("Bash", command="make")
    log.resolved("p1", "deny", "c1")
    conversation = Conversation({"c1"})
    for update in log.updates:
        conversation.apply(update)
    prompt, tool = conversation.entries
    assert isinstance(prompt, PromptEntry) and prompt.by == "you"
    assert isinstance(tool, ToolEntry) and tool.answered == "denied by you"


def test_a_question_that_nobody_has_answered_says_so() -> None:
    log = Log()
    log.asks("Bash", command="make")
    log.resolved("p0", "deny", "timeout")
    assert tool_of(log).answered == "nobody answered in time: denied"


def test_a_call_that_is_denied_stays_refused_when_its_result_comes() -> None:
    log = Log()
    call = log.calls("Bash", command="make")
    request = log.asks("Bash", call, command="make")
    log.resolved(request.data["permission_id"], "deny")
    log.returns(call, "not allowed", is_error=True)
    assert tool_of(log).state is ToolState.REFUSED


def test_a_request_without_an_id_belongs_to_the_same_call() -> None:
    log = Log()
    log.calls("Bash", command="ls")
    log.calls("Bash", command="make")
    log.asks("Bash", None, command="make")
    states = [entry.state for entry in shown(log.updates) if isinstance(entry, ToolEntry)]
    assert states == [ToolState.RUNNING, ToolState.ASKING]


def test_a_request_without_any_call_is_an_entry_of_its_own() -> None:
    log = Log()
    log.asks("Bash", None, command="make")
    assert tool_of(log).name == "Bash"


def test_a_result_whose_call_is_not_loaded_is_shown_all_the_same() -> None:
    log = Log()
    log.returns("t77", "all of it")
    assert (tool_of(log).name, tool_of(log).result) == ("", "all of it")


def test_only_the_newest_of_a_row_of_tries_is_shown() -> None:
    log = Log()
    for attempt in (1, 2, 3):
        line = {"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 10}
        log.add("claude", line | {"retry_delay_ms": 500, "error_status": 529, "error": ""})
    assert notes(log) == ["the API is overloaded (529), try 3 of 10, next in 0.5 s"]


def test_what_is_missing_and_what_begins_anew_is_said() -> None:
    log = Log()
    log.add("session_reset", {"old_session_id": "s", "reason": "requested"})
    log.add("gap", {"first_seq": 5, "last_seq": 9}, logged=False)
    log.add("claude", {"type": "system", "subtype": "compact_boundary"})
    log.add("claude_text", {"text": "not JSON"})
    log.started("e9", origin="background")
    assert notes(log) == [
        "the next prompt begins a new conversation",
        "updates 5 to 9 cannot be read: the log is damaged",
        "the agent has summed up what came before",
        "not JSON",
        "the agent goes on by itself: its work in the background has news",
    ]


def test_an_update_of_a_newer_hub_changes_nothing() -> None:
    log = Log()
    log.add("something_new", {"x": 1})
    log.add("claude", {"type": "assistant", "message": {"content": [{"type": "hologram"}]}})
    assert shown(log.updates) == []


def test_what_is_dropped_at_the_start_is_forgotten() -> None:
    log = Log()
    call = log.calls("Bash", command="make")
    log.said("text")
    conversation = Conversation()
    for update in log.updates:
        conversation.apply(update)
    conversation.drop_before(2)
    assert [type(entry) for entry in conversation.entries] == [TextEntry]
    conversation.apply(log.returns(call, "late"))
    assert isinstance(conversation.entries[-1], ToolEntry)  # its call is no longer there


def test_pieces_grow_in_place_until_the_whole_line_comes() -> None:
    log, partial = Log(), Partial()
    for update in (log.block_starts(), log.delta("Hel"), log.delta("lo")):
        partial.apply(update)
    assert partial.entry is not None and partial.entry.text == "Hello"
    assert partial.activity == "writing"
    partial.apply(log.said("Hello"))
    assert partial.entry is None


def test_pieces_without_their_beginning_are_not_shown() -> None:
    log, partial = Log(), Partial()
    partial.apply(log.delta("lo"))
    assert partial.entry is None
    for update in (log.block_starts(), log.delta("Hel")):
        partial.apply(update)
    partial.forget()  # the connection is lost
    partial.apply(log.delta("lo"))
    assert partial.entry is None
