"""The live views as screens: keys, focus, and what is asked of the hub."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from claudehub.client.errors import RequestRefused
from claudehub.client.reading import changed, deleted
from claudehub.client.session import State
from claudehub.tui import attach_work, feed, question_panel
from claudehub.tui.app import ClaudehubApp
from claudehub.tui.attach_screen import AttachScreen
from claudehub.tui.styles import PROMPT_SIGN
from claudehub.tui.watch_screen import WatchScreen
from tests.live_views import FakeHub, FakeProject, Log, info

TIMEOUT_S = 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach_work, "FRAME_S", 0.0)
    monkeypatch.setattr(question_panel, "ARMING_S", 0.01)


class Session:
    """A running application and what is on its screen."""

    def __init__(self, app: ClaudehubApp, pilot: Pilot[None], project: FakeProject) -> None:
        self.app, self.pilot, self.project = app, pilot, project

    @property
    def attached(self) -> AttachScreen:
        assert isinstance(self.app.screen, AttachScreen)
        return self.app.screen

    def text(self) -> str:
        update = self.app.screen._compositor.render_strips()
        if len(update) != self.app.size.height:
            return ""  # another size, which is not laid out yet
        return "\n".join(strip.text for strip in update)

    async def until(self, is_right: Callable[[], Any]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not is_right():
            assert time.monotonic() < deadline, f"it never came; the screen:\n{self.text()}"
            await self.pilot.pause()

    async def until_shown(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text() for text in texts))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    def feed(self, *updates: Any) -> None:
        assert self.project.updates is not None
        self.project.updates.feed(*updates)

    async def until_asked(self, *asked: Any) -> None:
        await self.until(lambda: asked in self.project.asked)


def attach(log: Log, work: Callable[[Session], Awaitable[None]], **facts: Any) -> None:
    """Show a project, and do `work` when it is there."""

    async def run() -> None:
        project = FakeProject(log, **facts)
        app = ClaudehubApp(FakeHub(), project)
        async with app.run_test(size=(80, 24)) as pilot:
            session = Session(app, pilot, project)
            await session.until(lambda: project.updates is not None)
            await session.until(lambda: session.attached.feed.state.info is not None)
            await work(session)

    asyncio.run(run())


def watch(
    projects: list[dict[str, Any]], work: Callable[[Session, FakeHub], Awaitable[None]]
) -> None:
    async def run() -> None:
        project = FakeProject(Log())
        hub = FakeHub(*projects, opened=project)
        app = ClaudehubApp(hub)
        async with app.run_test(size=(80, 24)) as pilot:
            await work(Session(app, pilot, project), hub)

    asyncio.run(run())


def talk() -> Log:
    log = Log()
    log.prompt("first prompt")
    log.started()
    log.said("The **answer**.")
    log.finished()
    return log


def asking() -> Log:
    log = talk()
    log.prompt("second", "e2")
    log.started("e2")
    log.asks("Bash", log.calls("Bash", command="make install"), command="make install")
    return log


# -- prompts


def test_enter_sends_and_a_line_can_be_added() -> None:
    async def work(s: Session) -> None:
        await s.press("a", "ctrl+j", "b", "backslash", "enter", "c", "enter")
        await s.until_asked("execute", "a\nb\nc")
        assert s.attached.box.text == ""

    attach(talk(), work)


def test_earlier_prompts_come_back_whoever_sent_them() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("first prompt")
        await s.press("x", "up")
        assert s.attached.box.text == "first prompt"
        await s.press("down")
        assert s.attached.box.text == "x"

    attach(talk(), work)


def test_prompts_from_before_what_is_loaded_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attach_work, "FIRST_UPDATES", 5)
    log = Log()
    log.prompt("long ago")
    for number in range(30):
        log.said(f"line {number}.")
    log.prompt("just now")

    async def work(s: Session) -> None:
        await s.until_shown("just now")
        await s.press("x", "up")
        assert s.attached.box.text == "just now"
        await s.press("up")
        await s.until(lambda: s.attached.box.text == "long ago")
        await s.press("up")
        await s.until_shown("no earlier prompt is near")
        await s.press("down", "down")
        assert s.attached.box.text == "x"

    attach(log, work)


def test_a_prompt_that_is_refused_comes_back_with_the_reason() -> None:
    async def work(s: Session) -> None:
        async def refuse(text: str) -> None:
            raise RequestRefused("queue_full", "the queue is full", {})

        s.project.execute = refuse  # type: ignore[method-assign]
        await s.press("h", "i", "enter")
        await s.until_shown("the queue is full")
        assert s.attached.box.text == "hi"

    attach(talk(), work)


def test_a_prompt_that_cannot_be_sent_now_is_shown_until_it_is() -> None:
    async def work(s: Session) -> None:
        back = asyncio.Event()

        async def wait(text: str) -> None:
            await back.wait()

        s.project.execute = wait  # type: ignore[method-assign]
        hub: Any = s.app.hub
        hub.becomes(State.WAITING, "gone", 5.0)
        await s.until_shown("reconnecting for", "next try in 5 s: gone")
        await s.press("h", "i", "enter")
        await s.until_shown("will be sent when the hub is back: hi")
        hub.becomes(State.CONNECTED, "connected")
        back.set()
        await s.until(lambda: "will be sent" not in s.text())
        await s.until_shown("● connected")

    attach(talk(), work)


def test_ctrl_c_interrupts_and_the_next_one_kills() -> None:
    async def work(s: Session) -> None:
        await s.press("ctrl+c")
        await s.until_shown("nothing is known to run")
        s.feed(s.project.log.prompt("go", "e2"), s.project.log.started("e2"))
        await s.until_shown("○ executing")
        await s.press("ctrl+c")
        await s.until_asked("interrupt", "e2")
        await s.until_shown("○ ending")
        await s.press("ctrl+c")
        await s.until_asked("kill", "e2")

    attach(talk(), work)


def test_an_execution_whose_id_is_not_known_is_not_interrupted() -> None:
    async def work(s: Session) -> None:
        s.feed(s.project.log.started(""))
        await s.until_shown("○ executing")
        await s.press("ctrl+c")
        await s.until_shown("nothing is known to run")
        assert s.project.asked == []

    attach(talk(), work)


def test_a_new_conversation_is_asked_for_twice() -> None:
    async def work(s: Session) -> None:
        await s.press("ctrl+n")
        await s.until_shown("ctrl+n again")
        assert s.project.asked == []
        await s.press("ctrl+n")
        await s.until_asked("new_session")

    attach(talk(), work)


# -- questions


def test_a_question_is_answered_by_its_letter() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("? Run this command?", "enter, or the letter")
        await s.press("y")
        await s.until_asked("answer", "p7", "allow", {})
        s.feed(s.project.log.resolved("p7", by="anna"))
        await s.until(lambda: "? Run this command?" not in s.text())
        assert s.app.focused is s.attached.box
        assert "answered by anna" not in s.attached.query_one("BottomLine").render_line(0).text

    attach(asking(), work)


def test_who_denies_may_say_why() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("enter, or the letter")
        await s.press("n")
        await s.until_shown("Why?")
        await s.press("n", "o", "t", " ", "n", "o", "w", "enter")
        await s.until_asked("answer", "p7", "deny", {"message": "not now"})

    attach(asking(), work)


def test_a_question_that_comes_up_does_not_take_what_is_being_typed() -> None:
    async def work(s: Session) -> None:
        await s.press("m", "y")
        log = s.project.log
        s.feed(log.started("e2"), log.asks("Bash", command="rm -rf x"))
        await s.until_shown("? Run this command?", "tab: answer")
        await s.press("y")
        assert s.attached.box.text == "myy" and s.project.asked == []
        await s.press("tab", "y")
        await s.until(lambda: s.project.asked)

    attach(talk(), work)


def test_keys_that_are_pressed_as_a_question_comes_up_do_not_answer_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(question_panel, "ARMING_S", 3600.0)

    async def work(s: Session) -> None:
        await s.until_shown("? Run this command?", "…")
        await s.press("y", "enter")
        assert s.project.asked == []
        await s.press("escape", "tab", "y")  # who goes there means it
        await s.until(lambda: s.project.asked)

    attach(asking(), work)


def two_questions(multiple: bool = False) -> Log:
    log = talk()
    log.prompt("second", "e2")
    log.started("e2")
    options = [{"label": "Red"}, {"label": "Blue"}]
    asked = [
        {"question": f"Which {what}?", "options": options, "multiSelect": multiple}
        for what in ("ink", "paper")
    ]
    log.asks("AskUserQuestion", questions=asked)
    return log


@pytest.mark.parametrize("answer", [("2", "enter"), ("o", "x", "enter")])
def test_keys_behind_an_answer_do_not_answer_the_next_question(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[str, ...]
) -> None:
    async def work(s: Session) -> None:
        await s.until_shown("1 of 2", "enter: send")
        monkeypatch.setattr(question_panel, "ARMING_S", 3600.0)
        await s.press(*answer, "enter", "2", "enter")
        await s.until_shown("2 of 2", "Which paper?", "…")
        assert s.project.asked == []
        s.attached.panel.arm()
        await s.press("enter")
        first = "Blue" if answer[0] == "2" else "x"
        answers = {"Which ink?": first, "Which paper?": "Red"}
        await s.until_asked("answer", "p6", "allow", {"answers": answers})

    attach(two_questions(), work)


def test_enter_without_a_mark_says_that_one_is_needed() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("1 of 2", "space: mark")
        await s.press("enter")
        await s.until_shown("1 of 2", "mark at least one with space")
        await s.press("down", "space", "enter")
        await s.until_shown("2 of 2", "space: mark")
        assert s.project.asked == []

    attach(two_questions(multiple=True), work)


def test_an_answer_of_somebody_else_is_told() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("? Run this command?")
        s.feed(s.project.log.resolved("p7", "deny", "phone"))
        await s.until_shown("the question was answered by phone: deny")
        assert "? Run this command?" not in s.text()

    attach(asking(), work)


def test_an_answer_that_comes_too_late_says_so() -> None:
    async def work(s: Session) -> None:
        async def late(*_: Any, **__: Any) -> None:
            raise RequestRefused("already_answered", "answered already", {"by": "phone"})

        s.project.answer = late  # type: ignore[method-assign]
        await s.until_shown("enter, or the letter")
        await s.press("y")
        await s.until_shown("too late: the question was answered by phone")

    attach(asking(), work)


def test_one_of_several_questions_is_shown_and_the_others_can_be() -> None:
    async def work(s: Session) -> None:
        s.feed(s.project.log.asks("Bash", command="make clean"))
        await s.until_shown("1 of 2", "make install")
        await s.press("right")
        await s.until_shown("2 of 2", "$ make clean")

    attach(asking(), work)


def long_command() -> Log:
    """A command of 41 lines that can be remembered."""
    log = talk()
    log.prompt("second", "e2")
    log.started("e2")
    command = "\n".join(["cat > made.txt <<END", *(f"line {n}" for n in range(39)), "END"])
    rule = {"toolName": "Bash", "ruleContent": command}
    allow = {"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "session"}
    log.asks("Bash", command=command, suggests=[allow])
    return log


def test_the_choices_of_a_long_command_and_the_reason_stay_on_the_screen() -> None:
    frame = (
        "y  Allow",
        "r  Allow, and",
        "n  Deny",
        "waits for you",
        "Write a prompt",
        "● connected",
    )

    async def work(s: Session) -> None:
        await s.until_shown("$ cat > made.txt", *frame, " esc later")
        assert "line 38" not in s.text()
        await s.press("down", "down")
        await s.until_shown(f"{PROMPT_SIGN}n  Deny", *frame)
        await s.press(*["shift+down"] * 80)
        await s.until_shown(r"line 38\nEND`", "lines 43 to 47", *frame[:3])
        await s.press("n")
        await s.until_shown("Why?", " esc back", *frame)
        await s.press(*"because", "enter")
        await s.until_asked("answer", "p6", "deny", {"message": "because"})

    attach(long_command(), work)


def test_a_question_makes_room_for_a_prompt_of_many_lines() -> None:
    async def work(s: Session) -> None:
        await s.until_shown("n  Deny")
        await s.press("tab", "tab", *["x", "ctrl+j"] * 9, "e", "n", "d", "tab", "n")
        await s.until_shown("y  Allow", "n  Deny", "Why?", "● connected", "end", " esc back")

    attach(long_command(), work)


def test_choices_for_which_the_screen_is_too_small_follow_the_cursor() -> None:
    log = talk()
    log.started("e2")
    options = [{"label": f"Choice {n:02}", "description": "long " * 60} for n in range(40)]
    log.asks("AskUserQuestion", questions=[{"question": "Which?", "options": options}])

    async def work(s: Session) -> None:
        await s.until_shown(
            "Which?", f"{PROMPT_SIGN}1  Choice 00", "of 42 (↑ ↓)", "Write a prompt", " esc later"
        )
        await s.press(*["down"] * 41)
        await s.until_shown(f"{PROMPT_SIGN}n  Refuse", "Write a prompt")
        await s.press(*["up"] * 41)
        await s.until_shown(f"{PROMPT_SIGN}1  Choice 00")

    attach(log, work)


def test_a_long_question_can_be_scrolled() -> None:
    async def work(s: Session) -> None:
        lines = "\n".join(f"line {n}" for n in range(50))
        s.feed(s.project.log.asks("Write", file_path="a.txt", content=lines))
        await s.until_shown("? Write this file?", "lines 1 to", "of 51")
        for _ in range(3):
            await s.press("shift+down")
        await s.until_shown("lines 4 to")

    attach(talk(), work)


# -- the conversation


def test_a_call_is_unfolded_by_enter() -> None:
    async def work(s: Session) -> None:
        log = s.project.log
        call = log.calls("Read", file_path="a.py")
        s.feed(log.updates[-1], log.returns(call, "the whole file"))
        await s.until_shown("✓ Read a.py")
        assert "the whole file" not in s.text()
        await s.press("tab", "enter")
        await s.until_shown("the whole file", "✓▌")
        await s.press("enter")
        await s.until(lambda: "the whole file" not in s.text())
        await s.press("ctrl+o")
        await s.until_shown("the whole file")
        await s.press("y")
        assert "the whole file" in s.app.clipboard
        await s.press("escape")
        assert s.app.focused is s.attached.box

    attach(talk(), work)


def test_scrolling_up_loads_the_past_and_ctrl_end_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PAGE_UPDATES", "FIRST_UPDATES"):
        monkeypatch.setattr(feed, name, 50)
    monkeypatch.setattr(attach_work, "FIRST_UPDATES", 50)
    log = Log()
    for number in range(1, 201):
        log.said(f"line {number}.")

    async def work(s: Session) -> None:
        await s.until_shown("line 200.")
        async with asyncio.timeout(TIMEOUT_S):
            while "line 1." not in s.text():
                await s.press("pageup")
        await s.press("pageup")
        await s.until_shown("this is the beginning of the log")
        s.feed(log.said("something new"))
        await s.until_shown("scrolled back")
        assert "something new" not in s.text()
        await s.press("ctrl+end")
        await s.until_shown("something new")

    attach(log, work, last_seq=200)


def test_a_search_finds_what_is_loaded_and_then_the_past() -> None:
    log = Log()
    for number in range(1, 1001):
        log.said(f"line {number}.")

    async def work(s: Session) -> None:
        await s.until_shown("line 1000.")
        await s.press("ctrl+f", *"line 9", "enter")
        await s.until_shown("found, 2026-11-23", "line 999.")
        await s.press("ctrl+f", *["backspace"] * 6, *"line 42.", "enter")
        await s.until_shown("none loaded")
        await s.press("enter")
        await s.until_shown("found, ", "line 42.")
        await s.press("escape", "ctrl+end")
        await s.until_shown("line 1000.")

    attach(log, work, last_seq=1000)


def test_the_wheel_scrolls_and_a_click_unfolds() -> None:
    log = Log()
    for number in range(100):
        log.said(f"line {number}.")
    log.returns(log.calls("Read", file_path="a.py"), "the whole file")

    async def work(s: Session) -> None:
        await s.until_shown("✓ Read a.py")
        await s.pilot.click("#conversation", offset=(5, s.attached.view.size.height - 1))
        await s.until_shown("the whole file")
        s.attached.view.scroll_lines(-10)
        await s.until_shown("scrolled back")

    attach(log, work)


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (200, 60)])
def test_every_size_of_a_terminal_is_possible(size: tuple[int, int]) -> None:
    async def work(s: Session) -> None:
        await s.pilot.resize_terminal(*size)
        await s.press("tab", "up", "enter", "pageup", "escape", "f1")
        await s.press("escape", "ctrl+t", "ctrl+f", "escape", "a")
        await s.pilot.resize_terminal(80, 24)
        await s.until_shown("? Run this command?", "connected")

    attach(asking(), work)


def test_the_panel_shows_queue_files_and_cost() -> None:
    async def work(s: Session) -> None:
        log = s.project.log
        s.feed(
            log.prompt("go", "e2"),
            log.started("e2"),
            log.prompt("then this", "e3"),
            log.queued("e3", 1),
            log.add("files_changed", {"paths": ["src/a.py"], "truncated": False}, logged=False),
        )
        await s.press("ctrl+t")
        await s.until_shown("Queue", "1 then this (anna)", "08:14 src/a.py", "$0.0412")
        await s.until_shown("you and 2 others")
        await s.press("ctrl+t")
        await s.until(lambda: "Queue" not in s.text())

    attach(talk(), work, subscribers=3)


def test_help_lists_the_keys() -> None:
    async def work(s: Session) -> None:
        await s.press("f1")
        await s.until_shown("earlier prompts, whoever sent them", "leave; the agent goes on")
        await s.press("escape")
        await s.until_shown("Write a prompt")

    attach(talk(), work)


def test_a_project_that_is_deleted_takes_no_more_prompts() -> None:
    async def work(s: Session) -> None:
        s.feed(deleted("site"))
        await s.until_shown("the project has been deleted")
        assert s.attached.box.disabled

    attach(talk(), work)


def test_a_connection_that_is_closed_says_why() -> None:
    async def work(s: Session) -> None:
        hub: Any = s.app.hub
        hub.becomes(State.CLOSED, "the key was revoked")
        await s.until_shown("✗ closed", "the connection is closed: the key was revoked")

    attach(talk(), work)


# -- all projects


def waiting(project_id: str, command: str) -> dict[str, Any]:
    asked = Log(project_id).asks("Bash", command=command).data
    return info(project_id, status="executing", pending_permissions=[dict(asked)])


def test_what_waits_comes_first_then_what_executes_and_the_idle_by_their_last_use() -> None:
    projects = [
        info("a-idle", last_active="2026-11-01T00:00:00Z"),
        info("b-idle", last_active="2026-11-02T00:00:00Z"),
        info("c-runs", status="executing"),
        waiting("d-asks", "make"),
    ]

    async def work(s: Session, hub: FakeHub) -> None:
        await s.until_shown("Waits for you 1", "$ make", "Executing 1", "Idle 2")
        text = s.text()
        order = [text.index(name) for name in ("d-asks", "c-runs", "b-idle", "a-idle")]
        assert order == sorted(order)
        hub.updates.feed(changed(info("d-asks")), deleted("a-idle"))
        await s.until_shown("Idle 2")
        await s.until(lambda: "a-idle" not in s.text())

    watch(projects, work)


def test_a_question_can_be_answered_from_the_board() -> None:
    async def work(s: Session, hub: FakeHub) -> None:
        await s.until_shown("$ make")
        await s.press("a")
        await s.until_shown("? Run this command?", "enter, or the letter")
        await s.press("y")
        await s.until_asked("answer", "p0", "allow", {})
        hub.updates.feed(changed(info("d-asks")))
        await s.until(lambda: "? Run this command?" not in s.text())
        await s.press("a")
        await s.until_shown("this project asks nothing")

    watch([waiting("d-asks", "make")], work)


def test_enter_attaches_and_leaving_comes_back() -> None:
    async def work(s: Session, hub: FakeHub) -> None:
        await s.until_shown("site")
        await s.press("enter")
        await s.until_shown("Write a prompt")
        await s.press("ctrl+q")
        await s.until(lambda: isinstance(s.app.screen, WatchScreen))
        await s.press("f1")
        await s.until_shown("choose a project")

    watch([info("site")], work)


def test_more_projects_than_lines_can_be_reached() -> None:
    async def work(s: Session, hub: FakeHub) -> None:
        await s.until_shown("p00")
        await s.press("end")
        await s.until_shown("▌· p59")
        await s.press("home")
        await s.until_shown("▌· p00")

    projects = [info(f"p{n:02}", last_active=f"2026-11-23T08:{59 - n:02}:00Z") for n in range(60)]
    watch(projects, work)


def test_a_hub_without_projects_says_how_to_make_one() -> None:
    async def work(s: Session, hub: FakeHub) -> None:
        hub.updates.feed(deleted("nothing"))
        await s.until_shown("no projects; `claudehub projects create FOLDER` makes one")

    watch([], work)
