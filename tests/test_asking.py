"""Questions on a terminal, while updates go on arriving; and Ctrl-C."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudehub.client.answer import Answer
from claudehub.client.updates import PermissionRequest
from claudehub.show.asking import Asking
from claudehub.show.line_editor import Entered, Left, LineEditor
from claudehub.show.screen import Screen
from tests.pty_terminal import Terminal
from tests.shown import deltas, finished, request, resolved, said, update
from tests.test_questions import COLOURS, SIZES, SUGGESTIONS

CTRL_C, CTRL_D = "\x03", "\x04"
PROMPT = "\r\n> "


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as found:
        yield found


def command(permission_id: str = "p1", text: str = "touch made.txt", **fields: Any) -> Any:
    return request("Bash", {"command": text}, permission_id, **fields)


def test_a_command_is_allowed(terminal: Terminal) -> None:
    terminal.send(command(suggestions=SUGGESTIONS))
    shown = terminal.until(PROMPT)
    assert "? Run this command?\r\n    $ touch made.txt\r\n" in shown
    assert "  r would allow: Bash commands `touch made.txt`\r\n" in shown
    assert "[y]es, yes and [r]emember, [n]o (you may say why)" in shown
    terminal.type("y\n")
    assert terminal.request() == {"asked": "answer", "permission_id": "p1", "decision": "allow"}
    terminal.send(resolved("c-1"))
    assert terminal.end() == 0
    assert terminal.is_as_before


def test_an_answer_can_be_remembered(terminal: Terminal) -> None:
    terminal.send(command(suggestions=SUGGESTIONS))
    terminal.until(PROMPT)
    terminal.type("r\r")
    assert terminal.request()["remember"] is True


def test_a_refusal_has_its_reason(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("n use pnpm\b\b\b\bnpm — größer\n")
    asked = terminal.request()
    assert (asked["decision"], asked["message"]) == ("deny", "use npm — größer")


def test_several_choices_and_a_free_text_answer_questions(terminal: Terminal) -> None:
    terminal.send(request("AskUserQuestion", {"questions": [COLOURS, SIZES]}))
    assert "    Which colour?\r\n    1. Red: warm\r\n    2. Blue: cold\r\n" in terminal.until(
        PROMPT
    )
    terminal.type("a deep green\n")
    assert "    Which sizes?\r\n" in terminal.until(PROMPT)
    terminal.type("1,3\n")
    assert terminal.request()["answers"] == {
        "Which colour?": "a deep green",
        "Which sizes?": "S, L",
    }


def test_what_is_no_answer_is_asked_again(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("maybe\n")
    terminal.until("type y or n; behind n you may say why")
    terminal.until("> ")
    terminal.type("y\n")
    assert terminal.request()["decision"] == "allow"


def test_updates_arrive_above_a_question_and_leave_what_is_typed(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("n be")
    terminal.until("> n be")
    terminal.send(said("meanwhile"))
    assert terminal.until("> n be").endswith("\r\x1b[Kmeanwhile\r\n> n be")
    terminal.type("cause\n")
    assert terminal.request()["message"] == "because"


def test_a_text_that_streams_comes_in_whole_lines_while_a_question_is_open(
    terminal: Terminal,
) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.send(*deltas("one\ntw", "o"), said("one\ntwo"))
    shown = terminal.until("two\r\n> ")
    assert "one\r\n" in shown and "\r\x1b[Ktwo\r\n" in shown


def test_a_question_that_another_has_answered_goes_away(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("n half an ans")
    terminal.send(resolved("phone"))
    terminal.until("· answered by phone: allow\r\n")
    terminal.send(said("it goes on"))
    terminal.until("it goes on")
    assert terminal.is_as_before
    assert terminal.end() == 0


@pytest.mark.parametrize(
    ("by", "words"),
    [("timeout", "nobody answered in time: denied"), ("withdrawn", "the agent no longer asks")],
)
def test_a_question_that_has_run_out_goes_away(terminal: Terminal, by: str, words: str) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.send(resolved(by, "deny"))
    terminal.until(f"· {words}\r\n")


def test_ctrl_d_leaves_a_question_to_others(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type(CTRL_D)
    terminal.until("left to others; `claudehub answer site p1 allow` (or deny) answers")
    terminal.send(resolved("phone", "deny"))
    terminal.until("$ touch made.txt: answered by phone: deny")
    assert terminal.end() == 0


def test_several_questions_are_asked_one_after_the_other(terminal: Terminal) -> None:
    terminal.send(command("p1", "one"), command("p2", "two"), command("p3", "three"))
    assert "$ one" in terminal.until(PROMPT)
    terminal.send(resolved("phone", permission_id="p2"))
    terminal.until("$ two: answered by phone: allow")
    terminal.type("y\n")
    assert "$ two\r\n" not in terminal.until("$ three")
    terminal.until(PROMPT)
    assert terminal.request()["permission_id"] == "p1"
    terminal.type("n\n")
    assert terminal.request()["permission_id"] == "p3"


def test_a_question_that_comes_again_is_not_asked_again(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("y\n")
    assert terminal.request()["decision"] == "allow"
    terminal.send(command(), said("again"))
    assert "Run this" not in terminal.until("again")


def test_what_was_typed_before_a_question_does_not_answer_it(terminal: Terminal) -> None:
    terminal.send(said("hello"))
    terminal.until("hello")
    terminal.type("y\n")
    terminal.until("y\r\n")  # the terminal has it, and has shown it
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("n\n")
    assert terminal.request()["decision"] == "deny"


def test_a_paste_of_several_lines_answers_one_question(terminal: Terminal) -> None:
    terminal.send(command("p1", "one"), command("p2", "two"))
    terminal.until(PROMPT)
    terminal.type("y\ny\ny\n")
    assert terminal.request()["permission_id"] == "p1"
    terminal.until("$ two")
    terminal.until(PROMPT)
    terminal.type("n\n")
    assert terminal.request() == {"asked": "answer", "permission_id": "p2", "decision": "deny"}


def test_an_answer_that_came_too_late_says_who_was_faster(terminal: Terminal) -> None:
    details = {"by": "phone", "decision": "deny"}
    terminal.tell(refuse=["already_answered", "answered already", details])
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("y\n")
    terminal.until("· phone was faster: deny")


def test_an_answer_that_is_refused_says_why(terminal: Terminal) -> None:
    terminal.tell(refuse=["forbidden", "this key may only read", {}])
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("y\n")
    terminal.until("the answer was not taken: this key may only read (forbidden)")


def test_a_long_body_is_folded_and_can_be_viewed(terminal: Terminal) -> None:
    text = "\n".join(f"line {number}" for number in range(500))
    terminal.send(request("Write", {"file_path": "a", "content": text}))
    shown = terminal.until(PROMPT)
    assert "… 442 lines are not shown …" in shown and "[v]iew all of it" in shown
    terminal.type("v\n")
    shown = terminal.until(PROMPT)
    assert "+line 250\r\n" in shown and "[v]iew" not in shown
    terminal.type("y\n")
    assert terminal.request()["decision"] == "allow"


def test_the_end_of_an_execution_takes_its_question_away(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.send(finished("killed"))
    terminal.until("killed after 1.5 s")
    assert terminal.end() == 0
    assert terminal.is_as_before


def test_ctrl_c_interrupts_then_kills_then_leaves(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type(CTRL_C)
    terminal.until("interrupting the execution; Ctrl-C again kills it")
    assert terminal.request() == {"asked": "interrupt"}
    terminal.type(CTRL_C)
    terminal.until("killing the execution")
    assert terminal.request() == {"asked": "kill"}
    terminal.type(CTRL_C)
    assert terminal.exit_code() == 130
    assert terminal.is_as_before


def test_ctrl_c_takes_a_waiting_prompt_out_of_the_queue(terminal: Terminal) -> None:
    terminal.tell(refuse=["nothing_running", "nothing runs", {}])
    terminal.send(said("ready"))
    terminal.until("ready")
    terminal.type(CTRL_C)
    assert [terminal.request()["asked"] for _ in range(2)] == ["interrupt", "kill"]


def test_a_note_appears_above_a_question(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.tell(say="the connection is lost")
    terminal.until("\r\x1b[K· the connection is lost\r\n> ")


def test_ctrl_z_gives_the_terminal_back_and_the_question_returns(terminal: Terminal) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    terminal.type("n wh")
    terminal.until("> n wh")
    terminal.stop()
    assert terminal.is_as_before
    terminal.go_on()
    terminal.until("> n wh")
    terminal.type("y\n")
    assert terminal.request()["message"] == "why"


# -- without a terminal ---------------------------------------------------------------------------


def asked_without_a_terminal(*updates: Any) -> str:
    written: list[str] = []

    def send(question: PermissionRequest, answer: Answer) -> None:
        raise AssertionError((question, answer))

    asking = Asking(Screen(written.append), None, send)
    for each in updates:
        asking.take(each)
    assert not asking.is_asking
    return "".join(written)


def test_without_a_terminal_the_command_that_answers_is_shown_once() -> None:
    assert asked_without_a_terminal(command(), command(), resolved("phone")) == (
        "? Run this command?\n    $ touch made.txt\n"
        "· `claudehub answer site p1 allow` (or deny) answers\n"
        "· $ touch made.txt: answered by phone: allow\n"
    )


def test_without_a_terminal_a_choice_is_a_command_too() -> None:
    shown = asked_without_a_terminal(request("AskUserQuestion", {"questions": [COLOURS]}))
    assert shown.endswith("`claudehub answer site p1 --choose 'Which colour?=Red'` answers\n")
    assert "    3. No colour\n" in shown


def test_the_questions_of_an_execution_that_has_ended_are_forgotten() -> None:
    late = resolved("phone")
    assert asked_without_a_terminal(command(), finished(), late).count("answered by") == 0
    other = update("status", {"status": "idle"})
    assert asked_without_a_terminal(other) == ""


# -- the line that is typed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"yes\n"], Entered("yes")),
        ([b"y", b"es", b"\r"], Entered("yes")),
        ([b"yess\x7f\n"], Entered("yes")),
        ([b"rm -rf\x15no\n"], Entered("no")),
        ([b"one two  \x17three\n"], Entered("one three")),
        ([b"\x04"], Left()),
        ([b"a\x04\n"], Entered("a")),
        ([b"a\x1b[D\x1b[1;5C\x1bOPb\n"], Entered("ab")),
        ([b"a\x1b", b"[", b"Db\n"], Entered("ab")),
        ([b"\x1by\n"], Entered("y")),
        ([b"g\xc3", b"\xb6\n"], Entered("gö")),
        ([b"\xff\n"], Entered("\ufffd")),
        ([b"\x1b[200~one\ntwo\n\x1b[201~", b"\n"], Entered("one two ")),
        ([b"\x00\x01\x0b\n"], Entered("")),
        ([b"one\ntwo\n"], Entered("one")),
    ],
)
def test_a_line_is_typed_and_mended(pieces: list[bytes], expected: Any) -> None:
    editor = LineEditor()
    *before, last = [editor.feed(piece) for piece in pieces]
    assert before == [None] * (len(pieces) - 1)
    assert last == expected


@given(st.lists(st.binary(max_size=8)))
def test_any_keys_leave_a_printable_line(pieces: list[bytes]) -> None:
    editor = LineEditor()
    for piece in pieces:
        editor.feed(piece)
        assert editor.text == "" or editor.text.isprintable()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_the_program_gives_the_terminal_back(
    terminal: Terminal, number: signal.Signals
) -> None:
    terminal.send(command())
    terminal.until(PROMPT)
    assert not terminal.is_as_before
    terminal.signal(number)
    assert terminal.exit_code() == 128 + number
    assert terminal.is_as_before
