"""The parts of the live views that need no screen."""

from collections.abc import Callable

import pytest

from claudehub.client.answer import Answer
from claudehub.client.updates import PermissionRequest
from claudehub.show.questions import question_of
from claudehub.tui.connection import Connection
from claudehub.tui.entries import Entry, NoteEntry, TextEntry
from claudehub.tui.finding import highlighted, next_hit
from claudehub.tui.hub_time import HubClock, elapsed
from claudehub.tui.keys import AT_PROMPT, ATTACH_HELP, WATCH_HELP, key_line
from claudehub.tui.layout import folded, markdown, right_aligned, wrapped
from claudehub.tui.markdown_blocks import is_plain, split_blocks
from claudehub.tui.painting import Look, Painter
from claudehub.tui.prompt_history import PromptHistory
from claudehub.tui.question_form import QuestionForm
from claudehub.tui.styles import PLAIN
from claudehub.tui.viewport import Viewport
from tests.live_views import Log
from tests.test_live_conversation import shown

# -- markdown


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("```\na\n\nb\n```\n\nc", ["```\na\n\nb\n```", "c"]),
        ("~~~~\n```\n\n~~~\n\n~~~~\nx\n\ny", ["~~~~\n```\n\n~~~\n\n~~~~\nx", "y"]),
        ("- a\n\n  more of a\n\nb", ["- a\n\n  more of a", "b"]),
        ("```\nnot\n\nclosed", ["```\nnot\n\nclosed"]),
        ("\n\n  \n", []),
    ],
)
def test_markdown_is_divided_where_a_block_ends(text: str, blocks: list[str]) -> None:
    assert split_blocks(text) == blocks


@pytest.mark.parametrize("marked", ["*a*", "`a`", "# a", "- a", "1. a", "    a", "<b>", "a\n---"])
def test_what_has_marks_is_not_plain(marked: str) -> None:
    assert is_plain("just words, and 3 of them.") and not is_plain(marked)


def test_markdown_hides_nothing_and_lets_no_control_character_through() -> None:
    text = "<script>x</script> [here](http://evil.example) \x1b[2J\x07 [red]no markup[/red]"
    (line,) = [strip.text for strip in markdown(text, 200)]
    assert "<script>x</script>" in line and "http://evil.example" in line
    assert "\x1b" not in line and "\x07" not in line and "[red]no markup[/red]" in line


def test_no_link_of_an_agent_becomes_a_link_of_the_terminal() -> None:
    for strip in markdown("[a](http://x.example) <http://y.example> ![i](http://z.example)", 200):
        assert all(segment.style is None or not segment.style.link for segment in strip)


def test_a_long_text_is_shown_as_it_stands() -> None:
    lines = markdown("**x** " * 5_000, 80)
    assert "**x**" in lines[0].text and all(line.cell_length <= 80 for line in lines)


def test_wide_characters_are_wrapped_by_their_width() -> None:
    lines = wrapped("漢字" * 30, 20)
    assert len(lines) == 6 and all(line.cell_length <= 20 for line in lines)


def test_what_is_folded_says_how_much() -> None:
    lines = folded(wrapped("\n".join("abcdefgh"), 10), 3, " (enter)")
    assert [line.text for line in lines] == ["a", "b", "c", "… 5 more lines (enter)"]


def test_the_right_part_of_a_line_is_never_cut() -> None:
    (left,), (right,) = wrapped("x" * 30, 30), wrapped("12 s", 10)
    line = right_aligned(left, right, 20)
    assert line.cell_length == 20 and line.text.endswith("xx 12 s")


def test_every_entry_fits_the_width_at_every_width() -> None:
    log = Log()
    log.prompt("do " * 50)
    call = log.calls("Edit", parent="t9", file_path="a/b.py", old_string="x", new_string="y" * 90)
    log.returns(call, "went wrong " * 30, is_error=True)
    log.said("# Title\n\n- a **list** of `things`\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    log.finished("error", result="no " * 60, stderr="bad\n" * 9)
    painter = Painter()
    for entry in shown(log.updates):
        for width in (20, 40, 80, 200):
            for is_open in (False, True):
                strips = painter.paint(entry, Look(width, is_open))
                assert strips and max(strip.cell_length for strip in strips) <= width, entry


# -- the viewport


def viewport(heights: list[int], height: int) -> tuple[Viewport, list[Entry]]:
    entries: list[Entry] = [TextEntry(order=(n, 1), text="") for n in range(len(heights))]
    view = Viewport(lambda index: heights[int(view.entries[index].order[0])])
    view.entries, view.height = entries, height
    return view, entries


def test_a_view_follows_the_end_until_it_is_scrolled() -> None:
    view, entries = viewport([1, 3, 2, 1], 4)
    assert view.rows() == [(1, 2), (2, 0), (2, 1), (3, 0)]
    assert view.scroll(-2)
    assert view.rows() == [(1, 0), (1, 1), (1, 2), (2, 0)]
    view.entries = entries[:3]  # what comes and goes at the end moves nothing
    assert view.rows()[0] == (1, 0)


def test_a_view_that_reaches_the_end_follows_it_again() -> None:
    view, _ = viewport([1] * 10, 4)
    view.scroll(-3)
    assert view.anchor is not None
    view.scroll(3)
    assert view.anchor is None


def test_the_first_line_is_the_end_of_scrolling_up() -> None:
    view, _ = viewport([2, 2, 2], 3)
    assert not view.scroll(-100)
    assert view.rows()[0] == (0, 0)
    assert not view.scroll(-1)


def test_a_view_stays_where_it_is_when_earlier_entries_are_loaded_or_unloaded() -> None:
    view, entries = viewport([1] * 20, 3)
    view.entries = entries[5:]
    view.to_start()
    assert view.entries[view.rows()[0][0]].order == (5, 1)
    view.entries = entries
    assert view.entries[view.rows()[0][0]].order == (5, 1)
    view.entries = entries[8:]
    assert view.entries[view.rows()[0][0]].order == (8, 1)


def test_an_entry_that_is_asked_for_comes_into_view() -> None:
    view, _ = viewport([1] * 30, 6)
    view.show((10, 1))
    assert (10, 0) in view.rows()
    view.to_end()
    view.show((29, 1))
    assert view.anchor is None


def test_fewer_lines_than_the_screen_are_all_shown() -> None:
    view, _ = viewport([1, 1], 10)
    assert view.rows() == [(0, 0), (1, 0)]
    assert not view.scroll(-1) and view.anchor is None
    empty, _ = viewport([], 10)
    assert empty.rows() == [] and not empty.scroll(-1)


# -- search


def test_hits_are_found_in_both_directions_without_regard_to_case() -> None:
    entries: list[Entry] = [
        NoteEntry(order=(n, 1), text=text) for n, text in enumerate(["Foo", "bar", "a foo", "x"])
    ]
    assert next_hit(entries, "FOO", None, -1) == (2, 1)
    assert next_hit(entries, "foo", (2, 1), -1) == (0, 1)
    assert next_hit(entries, "foo", (0, 1), -1) is None
    assert next_hit(entries, "foo", (0, 1), 1) == (2, 1)


def test_a_hit_is_marked_also_behind_wide_characters() -> None:
    (strip,) = wrapped("漢字 foo and Foo", 40)
    marked = [s.text for s in highlighted(strip, "foo") if s.style and s.style.reverse]
    assert marked == ["foo", "Foo"]
    assert highlighted(strip, "foo").text == strip.text
    assert highlighted(strip, "nowhere") is strip


# -- the prompt's history


def test_earlier_prompts_come_back_and_so_does_the_draft() -> None:
    history = PromptHistory()
    history.take(["one", "two", "two"])
    assert history.earlier("draft") == "two"
    assert history.earlier("two") == "one"
    assert history.earlier("one") is None
    assert (history.later(), history.later(), history.later()) == ("two", "draft", None)


def test_prompts_that_arrive_do_not_move_somebody_who_looks_through_them() -> None:
    history = PromptHistory()
    history.take(["one", "two"])
    history.earlier("")
    history.take(["one", "two", "three"])
    assert history.earlier("two") == "one"
    assert PromptHistory().earlier("draft") is None


# -- questions


def form(make: Callable[[Log], object]) -> QuestionForm:
    log = Log()
    make(log)
    request = log.updates[-1]
    assert isinstance(request, PermissionRequest)
    return QuestionForm(question_of(request))


def colours(multiple: bool) -> dict[str, object]:
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": ""}]
    question = {"question": "Which colour?", "header": "", "options": options}
    return question | {"multiSelect": multiple}


def test_a_letter_answers_and_a_refusal_asks_why() -> None:
    asked = form(lambda log: log.asks("Bash", command="make"))
    assert [choice.key for choice in asked.choices] == ["y", "n"]  # there is nothing to remember
    assert asked.press("y") == Answer("allow")
    assert asked.press("r") is None and asked.press("z") is None
    assert asked.press("n") is None and asked.typing is not None
    assert asked.typed("not on a Friday ") == Answer("deny", message="not on a Friday")
    asked.press("n")
    assert asked.typed("") == Answer("deny")
    asked.press("n")
    asked.back()
    assert asked.typing is None and asked.typed("x") is None


def test_what_would_be_remembered_can_be_chosen() -> None:
    rule = {"toolName": "Bash", "ruleContent": "make:*"}
    allow = {"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "session"}
    asked = form(lambda log: log.asks("Bash", command="make", suggests=[allow]))
    assert asked.choices[1].behind == "Bash commands `make:*`"
    assert asked.press("r") == Answer("allow", remember=True)


def test_enter_takes_the_line_of_the_cursor() -> None:
    asked = form(lambda log: log.asks("ExitPlanMode", plan="1. do it"))
    assert asked.press("enter") == Answer("allow")
    asked.move(5)
    assert asked.cursor == 1 and asked.press("enter") is None and asked.typing is not None


def test_one_of_several_choices_is_an_answer() -> None:
    asked = form(lambda log: log.asks("AskUserQuestion", questions=[colours(False)]))
    assert asked.press("2") is None and asked.cursor == 1
    assert asked.press("enter") == Answer("allow", answers={"Which colour?": "Blue"})


def test_several_choices_are_marked_and_then_sent() -> None:
    asked = form(lambda log: log.asks("AskUserQuestion", questions=[colours(True)]))
    for key in ("2", "1"):
        assert asked.press(key) is None
    assert asked.press("enter") == Answer("allow", answers={"Which colour?": "Red, Blue"})


def test_of_several_choices_nothing_is_sent_that_nobody_has_marked() -> None:
    asked = form(lambda log: log.asks("AskUserQuestion", questions=[colours(True)]))
    assert asked.press("enter") is None and asked.warning == "mark at least one with space"
    asked.move(1)
    assert asked.warning == ""
    for key in ("space", "2"):  # marked, and not marked again
        asked.press(key)
    assert asked.press("enter") is None and asked.warning
    asked.press("space")
    assert asked.warning == ""
    assert asked.press("enter") == Answer("allow", answers={"Which colour?": "Blue"})


def test_another_answer_goes_beside_the_marks() -> None:
    asked = form(lambda log: log.asks("AskUserQuestion", questions=[colours(True)]))
    asked.press("1")
    asked.press("o")
    assert asked.typed("green") == Answer("allow", answers={"Which colour?": "Red, green"})
    asked.press("o")
    assert asked.typed("  ") is None  # nothing was said


def test_several_questions_are_asked_one_after_the_other() -> None:
    second = {"question": "How many?", "options": [{"label": "One"}]}
    asked = form(lambda log: log.asks("AskUserQuestion", questions=[colours(False), second]))
    assert asked.heading.endswith("1 of 2")
    assert asked.press("1") is None and asked.heading.endswith("1 of 2")
    assert asked.press("enter") is None
    assert asked.heading.endswith("2 of 2") and asked.body[0].text == "How many?"
    answers = {"Which colour?": "Red", "How many?": "One"}
    assert asked.press("enter") == Answer("allow", answers=answers)


# -- the connection and the time


def test_the_connection_says_since_when_it_is_lost_and_when_the_next_try_is() -> None:
    lost = Connection("waiting", "the hub ended it (1006)", since_s=100.0, retry_in_s=7.6)
    assert lost.short(175.0)[0] == "◌ reconnecting for 1 min 15 s"
    assert lost.sentence(175.0) == (
        "no connection for 1 min 15 s, next try in 7 s: the hub ended it (1006)"
    )
    assert "trying now" in Connection("waiting", "", 0.0, None).sentence(1.0)
    closed = Connection("closed", "the key was revoked")
    assert closed.sentence(1.0) == "the connection is closed: the key was revoked"
    assert Connection().sentence(1.0) == ""


def test_the_time_of_the_hub_is_that_of_what_came_with_the_least_delay() -> None:
    clock = HubClock()
    assert clock.now(500.0) == 500.0
    clock.saw("1970-01-01T00:01:40Z", 130.0)
    clock.saw("1970-01-01T00:01:50Z", 135.0)
    clock.saw("no time", 135.0)
    assert clock.now(200.0) == 175.0


def test_a_duration_that_goes_on_has_whole_seconds() -> None:
    assert [elapsed(s) for s in (-3, 0.9, 9.9, 61)] == ["0 s", "0 s", "9 s", "1 min 1 s"]


def test_keys_that_do_not_fit_are_left_out_whole() -> None:
    line = key_line(AT_PROMPT, 30)
    assert line.cell_length <= 30 and line.text.startswith(" enter send ")
    assert all(keys for _, keys in (*ATTACH_HELP, *WATCH_HELP)) and PLAIN is not None
