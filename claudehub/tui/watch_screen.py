"""The live view of all projects."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip

from claudehub.aio import Hub, Project
from claudehub.client.async_iteration import Updates
from claudehub.client.errors import HubError, RequestRefused
from claudehub.client.reading import waiting_requests
from claudehub.show.safe_text import one_line
from claudehub.tui import hub_time, styles
from claudehub.tui.board import Board, BoardRow, Group
from claudehub.tui.board_painting import NAME_COLUMNS, heading, project_line
from claudehub.tui.bottom_line import BottomLine
from claudehub.tui.connection import Connection
from claudehub.tui.help_screen import HelpScreen
from claudehub.tui.keys import IN_BOARD, WATCH_HELP
from claudehub.tui.layout import line_of
from claudehub.tui.lines_view import LinesView
from claudehub.tui.question_form import arguments_of
from claudehub.tui.question_panel import QuestionPanel
from claudehub.tui.status_painting import across, rule

FRAME_S = 1 / 10
NO_PROJECTS = "no projects; `claudehub projects create FOLDER` makes one"


class WatchScreen(Screen[None]):
    """Projects in groups, one of them selected; its question can be answered below."""

    DEFAULT_CSS = """
    WatchScreen { layout: vertical; background: ansi_default; }
    WatchScreen #header, WatchScreen #rule { height: 1; }
    WatchScreen #board { height: 1fr; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)"),
        Binding("down,j", "select(1)"),
        Binding("home", "select(-9999)"),
        Binding("end", "select(9999)"),
        Binding("pageup", "select(-10)"),
        Binding("pagedown", "select(10)"),
        Binding("enter", "attach"),
        Binding("a,tab", "answer"),
        Binding("f1,ctrl+g", "help", priority=True),
        Binding("ctrl+q,ctrl+c,ctrl+d", "leave", priority=True),
        Binding("q", "leave"),
    ]

    def __init__(
        self, hub: Hub, connection: Connection, open_project: Callable[[Project], None]
    ) -> None:
        super().__init__()
        self.board = Board()
        self.connection = connection
        self.panel = QuestionPanel(id="question")
        self._hub = hub
        self._open_project = open_project
        self._updates: Updates | None = None
        self._selected: str | None = None
        self._first = 0
        self._row_of_line: list[str | None] = []
        self._empty_words = "…"
        self._header, self._rule = LinesView(id="header"), LinesView(id="rule")
        self._lines, self._bottom = LinesView(id="board"), BottomLine()

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._lines
        yield self.panel
        yield self._rule
        yield self._bottom

    def on_mount(self) -> None:
        self.run_worker(self._watch())

    # -- what is shown

    def show_frame(self) -> None:
        if not self.is_attached or not self.size.width:
            return
        rows, width = self.board.rows, self.size.width
        if rows and self.board.get(self._selected) is None:
            self._selected = rows[0].project.project_id
        said, style = self.connection.short(hub_time.local_now())
        count = f"{len(rows)} project{'s' if len(rows) != 1 else ''}"
        left = line_of(
            ("── ", styles.DIM),
            ("claudehub", styles.BOLD),
            (f" {one_line(self._hub.url)} ", styles.DIM),
        )
        right = line_of((f" {count} · ", styles.DIM), (said, style), (" ──", styles.DIM))
        self._header.set_lines([across(left, right, width)])
        self._lines.set_lines(self._board_lines(rows, width))
        self.panel.fit()
        sentence = self.connection.sentence(hub_time.local_now())
        self._rule.set_lines([rule(sentence, "", styles.WARNING, width)])
        self._show_keys()

    def connection_changed(self, connection: Connection) -> None:
        self.connection = connection
        self.show_frame()

    def _show_keys(self) -> None:
        self._bottom.show_keys(self.panel.keys() if self.panel.has_focus_within else IN_BOARD)

    def _board_lines(self, rows: list[BoardRow], width: int) -> list[Strip]:
        """Return the part of the board that holds the selected project."""
        if not rows:
            return [line_of((f" {self._empty_words}", styles.DIM))]
        names = min(max(len(one_line(row.project.name)) for row in rows), NAME_COLUMNS)
        lines: list[Strip] = []
        self._row_of_line = []
        before: Group | None = None
        for row in rows:
            if row.group is not before:
                if before is not None:
                    self._add(lines, Strip([]), None)
                same = sum(other.group is row.group for other in rows)
                self._add(lines, heading(row.group, same), None)
                before = row.group
            is_selected = row.project.project_id == self._selected
            line = project_line(row, width, names, is_selected, hub_time.local_now())
            self._add(lines, line, row.project.project_id)
        return self._part(lines)

    def _add(self, lines: list[Strip], line: Strip, project_id: str | None) -> None:
        lines.append(line)
        self._row_of_line.append(project_id)

    def _part(self, lines: list[Strip]) -> list[Strip]:
        height = max(self._lines.size.height, 1)
        at = self._row_of_line.index(self._selected) if self._selected else 0
        self._first = max(min(self._first, at - 1), at - height + 1, 0)
        self._first = min(self._first, max(len(lines) - height, 0))
        self._row_of_line = self._row_of_line[self._first : self._first + height]
        return lines[self._first : self._first + height]

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_frame)

    def on_screen_resume(self) -> None:
        self.show_frame()

    def on_descendant_focus(self) -> None:
        self._show_keys()

    def on_descendant_blur(self) -> None:
        self._show_keys()

    # -- the hub

    async def _watch(self) -> None:
        """Take what changes, and show it some times a second."""
        self._updates = self._hub.watch()
        try:
            with suppress(EOFError):
                while True:
                    for update in await self._updates.batch():
                        self.board.apply(update)
                    self._empty_words = NO_PROJECTS
                    self._show_question(is_wanted=self.panel.current is not None)
                    self.show_frame()
                    await asyncio.sleep(FRAME_S)
        except HubError as error:
            self._empty_words = f"the hub does not show its projects: {one_line(str(error))}"
            self.show_frame()

    async def _answer(self, message: QuestionPanel.Answered) -> None:
        request, answer = message.request, message.answer
        try:
            project = await self._hub.project(request.project_id)
            await project.answer(request, answer.decision, **arguments_of(answer))
        except RequestRefused as error:
            self._bottom.say(error.message, styles.BAD)
        except HubError as error:
            self._bottom.say(str(error), styles.BAD)
        else:
            self._bottom.say(f"answered: {answer.decision}")

    # -- keys and messages

    def _show_question(self, is_wanted: bool) -> None:
        """Show the questions of the selected project below, or those that are left of them."""
        project = self.board.get(self._selected)
        requests = waiting_requests(project) if is_wanted and project is not None else []
        had_focus = self.panel.has_focus_within
        self.panel.set_requests(requests)
        if not requests and had_focus:
            self.set_focus(None)

    def on_question_panel_answered(self, message: QuestionPanel.Answered) -> None:
        self.run_worker(self._answer(message))

    def on_question_panel_left(self) -> None:
        self._show_question(is_wanted=False)
        self.show_frame()

    def on_click(self, event: events.Click) -> None:
        at = event.screen_y - self._lines.region.y
        if 0 <= at < len(self._row_of_line) and (found := self._row_of_line[at]):
            if found == self._selected:
                self.action_attach()
            self._selected = found
            self.show_frame()

    def action_select(self, step: int) -> None:
        ids = [row.project.project_id for row in self.board.rows]
        if ids:
            at = ids.index(self._selected) if self._selected in ids else 0
            self._selected = ids[max(0, min(at + step, len(ids) - 1))]
            self._show_question(is_wanted=False)
            self.show_frame()

    def action_answer(self) -> None:
        self._show_question(is_wanted=True)
        if self.panel.current is None:
            self._bottom.say("this project asks nothing")
        else:
            self.set_focus(self.panel)
            self.panel.arm()
        self.call_after_refresh(self.show_frame)

    def action_attach(self) -> None:
        if self._selected is not None:
            self.run_worker(self._open(self._selected))

    async def _open(self, project_id: str) -> None:
        self._open_project(await self._hub.project(project_id))

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen(WATCH_HELP))

    def action_leave(self) -> None:
        if self._updates is not None:
            self._updates.close()
        self.dismiss()
