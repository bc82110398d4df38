"""Pictures (SVG) of the live views at 80 columns and 24 lines.

After a change that is meant, make new ones, and look at them:
`bin/test -n 0 tests/test_live_pictures.py --snapshot-update`.
"""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from textual._ansi_theme import ALABASTER, MONOKAI
from textual.pilot import Pilot

from claudehub.client.session import State
from claudehub.tui import hub_time, question_panel
from claudehub.tui.app import ClaudehubApp
from claudehub.tui.attach_screen import AttachScreen
from tests.live_views import FakeHub, FakeProject, Log, info

NOW_S = 1_795_421_723.0  # fifty seconds behind the first update of a log
Prepare = Callable[[Pilot[None]], Awaitable[None]]


class PaintedApp(ClaudehubApp):
    """An application whose pictures have the colours of a given terminal."""

    colours: TerminalTheme = MONOKAI

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        width, height = self.size
        console = Console(
            width=width,
            height=height,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            record=True,
            legacy_windows=False,
            safe_box=False,
        )
        whole = self.screen._compositor.render_update(
            full=True, screen_stack=self._background_screens, simplify=simplify
        )
        console.print(whole)
        return console.export_svg(title="claudehub", theme=self.colours)


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same time, zone and colours on each machine."""
    monkeypatch.setattr(hub_time, "local_now", lambda: NOW_S)
    monkeypatch.setattr(question_panel, "ARMING_S", 0.01)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def talk() -> Log:
    """A conversation with text, calls, a failure and a diff."""
    log = Log()
    log.prompt("Fix the failing test in tests/test_site.py")
    log.started()
    log.seconds = 1
    log.said("I'll run it first.")
    call = log.calls("Bash", command="pytest -q tests/test_site.py")
    log.seconds = 4.1
    log.returns(call, "E   assert 404 == 200\n1 failed, 11 passed", is_error=True)
    call = log.calls("Read", file_path="src/site.py")
    log.seconds = 4.2
    log.returns(call, "def routes(): ...")
    log.said("The route is registered **without** its trailing slash. I'll change `routes()`.")
    log.seconds = 7
    before = 'def routes():\n    add("/about", about)\n'
    after = 'def routes():\n    add("/about/", about)\n    redirect("/about", "/about/")\n'
    call = log.calls("Edit", file_path="src/site.py", old_string=before, new_string=after)
    log.seconds = 7.3
    log.returns(call, "The file has been updated.")
    call = log.calls("Bash", command="pytest -q")
    log.seconds = 10
    log.returns(call, "12 passed")
    log.seconds = 12.4
    log.said("All 12 tests pass now.")
    log.finished()
    return log


def asking() -> Log:
    log = talk()
    log.prompt("Now release it", "e2", user="phone")
    log.started("e2")
    command = "git tag v1.4.2 && git push --tags"
    rule = {"toolName": "Bash", "ruleContent": "git push:*"}
    allow = {"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "session"}
    log.asks("Bash", log.calls("Bash", command=command), command=command, suggests=[allow])
    return log


def attached(log: Log, colours: TerminalTheme = MONOKAI, **facts: Any) -> PaintedApp:
    app = PaintedApp(FakeHub(), FakeProject(log, **facts))
    app.colours = colours
    return app


def when(is_right: Callable[[PaintedApp], Any], *keys: str) -> Prepare:
    """Wait until the application is so, and press keys."""

    async def prepare(pilot: Pilot[None]) -> None:
        app: Any = pilot.app
        deadline = time.monotonic() + 20
        while not is_right(app):
            assert time.monotonic() < deadline
            await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()

    return prepare


def is_shown(app: PaintedApp) -> bool:
    return isinstance(app.screen, AttachScreen) and app.screen.feed.transcript.newest_seq > 0


def is_asked(app: PaintedApp) -> bool:
    return is_shown(app) and app.screen.panel.is_armed  # type: ignore[attr-defined]


@pytest.mark.parametrize("colours", [MONOKAI, ALABASTER], ids=["dark", "light"])
def test_a_conversation(snap_compare: Any, colours: TerminalTheme) -> None:
    assert snap_compare(attached(talk(), colours), run_before=when(is_shown))


def test_a_conversation_without_colours(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(attached(talk()), run_before=when(is_shown))


@pytest.mark.parametrize("colours", [MONOKAI, ALABASTER], ids=["dark", "light"])
def test_a_command_that_is_asked_for(snap_compare: Any, colours: TerminalTheme) -> None:
    assert snap_compare(attached(asking(), colours, subscribers=2), run_before=when(is_asked))


def test_a_long_command_that_is_denied(snap_compare: Any) -> None:
    log = talk()
    log.prompt("Write the table", "e2")
    log.started("e2")
    command = "\n".join(["cat > table.txt <<END", *(f"row {n}" for n in range(39)), "END"])
    rule = {"toolName": "Bash", "ruleContent": command}
    allow = {"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "session"}
    log.asks("Bash", log.calls("Bash", command=command), command=command, suggests=[allow])
    assert snap_compare(attached(log), run_before=when(is_asked, "n", *"too long"))


def test_an_edit_that_is_asked_for(snap_compare: Any) -> None:
    log = talk()
    log.prompt("And the docs", "e2")
    log.started("e2")
    edit = {
        "file_path": "docs/routes.md",
        "old_string": "# Routes\n\nA route has no trailing slash.\n",
        "new_string": "# Routes\n\nA route ends in a slash; the other form redirects to it.\n",
    }
    log.asks("Edit", log.calls("Edit", **edit), **edit)
    assert snap_compare(attached(log), run_before=when(is_asked))


def test_a_question_with_choices(snap_compare: Any) -> None:
    log = talk()
    log.prompt("Make it pretty", "e2")
    log.started("e2")
    options = [
        {"label": "Red", "description": "warm, and hard to read on a projector"},
        {"label": "Blue", "description": "calm"},
        {"label": "Green"},
    ]
    question = {"question": "Which colours do you want for the header?", "options": options}
    questions = [question | {"header": "Colours", "multiSelect": True}]
    log.asks(
        "AskUserQuestion", log.calls("AskUserQuestion", questions=questions), questions=questions
    )
    assert snap_compare(attached(log), run_before=when(is_asked, "1", "down"))


def test_an_answer_that_is_being_written_beside_the_panel(snap_compare: Any) -> None:
    log = talk()
    log.seconds = 20
    log.prompt("Write a changelog", "e2")
    log.started("e2")
    log.prompt("and then the docs", "e3", user="phone")
    log.queued("e3", 1)
    log.add("files_changed", {"paths": ["src/site.py", "CHANGELOG.md"]}, logged=False)
    log.block_starts()
    log.delta("# Changes\n\nRoutes end in a slash:\n\n```python\nadd('/about/', about)  # new\n")
    app = attached(log, subscribers=3)
    assert snap_compare(app, terminal_size=(120, 28), run_before=when(is_shown))


def test_a_connection_that_is_lost(snap_compare: Any) -> None:
    def loses(app: PaintedApp) -> bool:
        hub: Any = app.hub
        if is_shown(app):
            hub.becomes(State.WAITING, "the hub is gone (1006)", 7.5)
        return is_shown(app)

    async def never(text: str) -> None:
        await asyncio.Event().wait()

    log = talk()
    log.prompt("Go on", "e2")
    log.started("e2")
    app = attached(log)
    app.project.execute = never  # type: ignore[union-attr, method-assign]
    assert snap_compare(app, run_before=when(loses, *"and then the docs", "enter"))


def test_an_entry_that_is_unfolded(snap_compare: Any) -> None:
    keys = ("tab", "up", "up", "enter")
    assert snap_compare(attached(talk()), run_before=when(is_shown, *keys))


def test_a_search(snap_compare: Any) -> None:
    keys = ("ctrl+f", *"about", "enter")
    assert snap_compare(attached(talk()), run_before=when(is_shown, *keys))


def test_the_help(snap_compare: Any) -> None:
    assert snap_compare(attached(talk()), run_before=when(is_shown, "f1"))


def board() -> PaintedApp:
    asked = Log("site").asks("Bash", command="git push --tags").data
    edit = {"file_path": "shop/cart.py", "old_string": "a\nb\n", "new_string": "c\n"}
    edited = Log("shop").asks("Edit", **edit).data
    queue = [{"execution_id": "y", "prompt": "and then", "client_id": "c"}]
    return PaintedApp(
        FakeHub(
            info("docs", status="executing", execution_id="x", subscribers=2, queue=queue),
            info("site", status="executing", pending_permissions=[dict(asked)]),
            info("shop", status="executing", pending_permissions=[dict(edited)], subscribers=0),
            info("old", last_active="2025-01-02T00:00:00Z", subscribers=0),
            info("thesis", subscribers=0),
            info("broken", status="error", subscribers=0),
        )
    )


def is_board(app: PaintedApp) -> Any:
    return getattr(app.screen, "board", None) and app.screen.board.rows


def test_all_projects(snap_compare: Any) -> None:
    assert snap_compare(board(), run_before=when(is_board))


def test_a_question_on_the_board(snap_compare: Any) -> None:
    assert snap_compare(board(), run_before=when(is_board, "a"))
