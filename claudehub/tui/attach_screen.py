"""The live view of one project."""

from collections.abc import Set
from typing import ClassVar

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget

from claudehub.aio import Project
from claudehub.show.safe_text import plain
from claudehub.tui import hub_time, styles
from claudehub.tui.attach_work import DESCRIBE_S, AttachWork
from claudehub.tui.bottom_line import BottomLine
from claudehub.tui.connection import Connection
from claudehub.tui.conversation_view import ConversationView
from claudehub.tui.details_panel import DetailsPanel
from claudehub.tui.entries import LAST, Entry, NoteEntry, text_of
from claudehub.tui.feed import Feed
from claudehub.tui.help_screen import HelpScreen
from claudehub.tui.keys import (
    AT_PROMPT,
    ATTACH_HELP,
    IN_CONVERSATION,
    IN_SEARCH,
    Key,
)
from claudehub.tui.layout import line_of
from claudehub.tui.lines_view import LinesView
from claudehub.tui.prompt_box import PromptBox
from claudehub.tui.question_panel import QuestionPanel
from claudehub.tui.search_bar import SearchBar
from claudehub.tui.searching import Searching
from claudehub.tui.status_painting import activity, header, queue_words, rule

TICK_S = 1.0


class AttachScreen(Screen[None]):
    """A conversation, the questions in it, and a prompt."""

    DEFAULT_CSS = """
    AttachScreen { layout: vertical; background: ansi_default; }
    AttachScreen #header, AttachScreen #rule { height: 1; }
    AttachScreen #middle { height: 1fr; }
    AttachScreen #input { height: auto; max-height: 8; }
    AttachScreen #mark { width: 2; height: 1; }
    AttachScreen PromptBox { width: 1fr; }
    """
    AUTO_FOCUS = "PromptBox"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "turn(1)", priority=True),
        Binding("shift+tab", "turn(-1)", priority=True),
        Binding("ctrl+c", "interrupt", priority=True),
        Binding("ctrl+n", "new_session", priority=True),
        Binding("ctrl+o", "toggle_all", priority=True),
        Binding("ctrl+f", "search", priority=True),
        Binding("ctrl+t", "details", priority=True),
        Binding("f1,ctrl+g", "help", priority=True),
        Binding("ctrl+q", "leave", priority=True),
        Binding("pageup", "page(-1)", priority=True),
        Binding("pagedown", "page(1)", priority=True),
        Binding("ctrl+home", "oldest", priority=True),
        Binding("ctrl+end", "latest", priority=True),
        Binding("escape", "to_prompt"),
    ]

    def __init__(self, project: Project, connection: Connection, url: str, me: Set[str]) -> None:
        super().__init__()
        self.feed = Feed(project, me)
        self.connection = connection
        self.view = ConversationView(id="conversation")
        self.box = PromptBox(id="prompt")
        self.panel = QuestionPanel(id="question")
        self.search = SearchBar(id="search")
        self.searching = Searching(self.feed, self.view, self.search.say, self.show_frame)
        self.work = AttachWork(self)
        self.sending: list[str] = []
        self._header, self._rule = LinesView(id="header"), LinesView(id="rule")
        self._details, self._bottom = DetailsPanel(url), BottomLine()

    def compose(self) -> ComposeResult:
        mark = LinesView(id="mark")
        mark.set_lines([line_of((styles.PROMPT_SIGN, styles.PROMPT))])
        yield self._header
        with Horizontal(id="middle"):
            yield self.view
            yield self._details
        yield self.panel
        yield self.search
        yield self._rule
        with Horizontal(id="input"):
            yield mark
            yield self.box
        yield self._bottom

    def on_mount(self) -> None:
        self.box.placeholder = "Write a prompt"
        self.set_interval(TICK_S, self.show_frame)
        self.set_interval(DESCRIBE_S, self.work.describe)
        self.work.begin()
        self.show_frame()

    # -- what is shown

    def show_frame(self) -> None:
        """Show what is known now. Only lines that have changed are written."""
        if not self.is_attached or not self.size.width:
            return
        now_s = hub_time.local_now()
        state, width = self.feed.state, self.size.width
        hub_now_s = self.feed.clock.now(now_s)
        self.feed.transcript.is_followed = self.view.viewport.anchor is None
        self.view.show(self._entries(), hub_now_s)
        self._show_questions()
        self._header.set_lines([header(state, self.connection, width, now_s)])
        doing = self.feed.transcript.partial.activity
        words, style = activity(state, self.connection, doing, hub_now_s, now_s)
        self._rule.set_lines([rule(words, self._right_words(), style, width)])
        self._details.show(state, self.connection, now_s)
        self.box.remember(state.prompts)
        self._show_keys()

    def connection_changed(self, connection: Connection) -> None:
        """Show another state of the connection."""
        came_back = connection.is_up and not self.connection.is_up
        self.connection = connection
        if not connection.is_up:
            self.feed.transcript.partial.forget()
        if came_back:
            self.work.describe()
        self.show_frame()

    def say(self, text: str, style: Style = styles.DIM) -> None:
        """Show a sentence at the bottom, for some seconds."""
        self._bottom.say(text, style)

    def _entries(self) -> list[Entry]:
        transcript = self.feed.transcript
        found: list[Entry] = list(transcript.conversation.entries)
        if not transcript.is_live:
            return found
        if transcript.partial.entry is not None:
            found.append(transcript.partial.entry)
        found += transcript.conversation.waiting.values()
        when = "is being sent" if self.connection.is_up else "will be sent when the hub is back"
        for number, text in enumerate(self.sending, 1):
            found.append(NoteEntry(order=(LAST[0], number), text=f"{when}: {text}"))
        return found

    def _show_questions(self) -> None:
        before = self.panel.current
        self.panel.set_requests(list(self.feed.state.questions.values()))
        after = self.panel.current
        if after is None:
            if self.focused is None or (before is not None and not self.focused.display):
                self.set_focus(self.box)
        elif (before is None or before.permission_id != after.permission_id) and (
            self.focused is self.box and not self.box.text
        ):
            self.set_focus(self.panel)

    def _right_words(self) -> str:
        if not self.connection.is_up:
            return ""
        transcript = self.feed.transcript
        behind = transcript.newest_seq - transcript.last_seq
        if not transcript.is_live and behind > 0:
            return f"{behind:,} updates below · ctrl+end"
        if self.view.viewport.anchor is not None:
            return "scrolled back · ctrl+end: latest"
        return queue_words(self.feed.state)

    def _show_keys(self) -> None:
        self._bottom.show_keys(self._keys_of_focus())

    def _keys_of_focus(self) -> list[Key]:
        focused = self.focused
        if focused is self.view:
            return IN_CONVERSATION
        if self.panel.has_focus_within:
            return self.panel.keys()
        return IN_SEARCH if self.search.has_focus_within else AT_PROMPT

    def on_descendant_focus(self) -> None:
        self._show_keys()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_frame)

    # -- messages of the widgets

    def on_prompt_box_sent(self, message: PromptBox.Sent) -> None:
        self.work.send(message.text)

    def on_text_area_changed(self) -> None:
        self.call_after_refresh(self.panel.fit)

    def on_prompt_box_left(self) -> None:
        self.action_leave()

    def on_prompt_box_earlier_wanted(self) -> None:
        self.work.load_prompts()

    def on_question_panel_answered(self, message: QuestionPanel.Answered) -> None:
        self.work.answer(message.request, message.answer)

    def on_question_panel_left(self) -> None:
        self.set_focus(self.box)

    def on_search_bar_wanted(self, message: SearchBar.Wanted) -> None:
        self.work.find(message.needle, message.step)

    def on_search_bar_closed(self) -> None:
        self.searching.stop()
        self.set_focus(self.view)

    def on_conversation_view_start_reached(self) -> None:
        self.work.load_older()

    def on_conversation_view_end_reached(self) -> None:
        self.work.load_newer()

    def on_conversation_view_wanted(self, message: ConversationView.Wanted) -> None:
        match message.action:
            case "latest":
                self.action_latest()
            case "copy" if self.view.entry is not None:
                self.app.copy_to_clipboard(plain(text_of(self.view.entry)))
                self.say("copied, if the terminal allows it (OSC 52)")
            case "search":
                self.action_search()
            case "next" | "previous" as which if self.view.needle:
                self.work.find(self.view.needle, 1 if which == "previous" else -1)

    # -- actions

    def action_turn(self, step: int) -> None:
        """Move the focus: prompt, question, conversation."""
        order: list[Widget] = [self.box, self.view]
        if self.panel.current is not None:
            order.insert(1, self.panel)
        places = [n for n, widget in enumerate(order) if widget.has_focus_within]
        target = order[((places[0] if places else 0) + step) % len(order)]
        self.set_focus(target)
        if target is self.panel:
            self.panel.arm()

    def action_to_prompt(self) -> None:
        self.view.needle = ""
        self.view.update_lines()
        self.set_focus(self.box)

    def action_interrupt(self) -> None:
        running = self.feed.state.running
        if self.box.selected_text:
            self.app.copy_to_clipboard(self.box.selected_text)
        elif running is not None and running.execution_id:
            self.work.end(running)
        elif self.box.text:
            self.box.put("")
        else:
            self.say("nothing is known to run; ctrl+q leaves")

    def action_new_session(self) -> None:
        self.work.new_session()

    def action_toggle_all(self) -> None:
        self.view.toggle_all()

    def action_search(self) -> None:
        self.search.open()

    def action_details(self) -> None:
        self._details.toggle_panel()
        self.show_frame()
        self.call_after_refresh(self.show_frame)

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen(ATTACH_HELP))

    def action_leave(self) -> None:
        self.work.close()
        self.dismiss()

    def action_page(self, step: int) -> None:
        self.view.scroll_lines(step * max(self.view.size.height - 2, 1))
        self.show_frame()

    def action_oldest(self) -> None:
        self.view.action_start()

    def action_latest(self) -> None:
        self.view.viewport.to_end()
        self.work.load_latest()
        self.show_frame()
