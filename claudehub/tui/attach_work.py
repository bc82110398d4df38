"""What the view of a project asks of the hub, in the background."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from rich.style import Style

from claudehub.client.answer import Answer, is_too_late
from claudehub.client.async_iteration import Updates
from claudehub.client.errors import HubError, RequestRefused
from claudehub.client.updates import (
    ExecutionFinished,
    HistoryGone,
    PermissionRequest,
    Prompt,
    Update,
)
from claudehub.show.safe_text import one_line
from claudehub.tui import hub_time, styles
from claudehub.tui.connection import Connection
from claudehub.tui.feed import FIRST_UPDATES, Feed, PastPrompts
from claudehub.tui.project_state import Running
from claudehub.tui.prompt_box import PromptBox
from claudehub.tui.question_form import arguments_of
from claudehub.tui.question_panel import QuestionPanel
from claudehub.tui.searching import Searching

# What has come is shown at most so often: what comes in between is shown together.
FRAME_S = 1 / 15
# How often the hub is asked who is here: it does not say so by itself.
DESCRIBE_S = 10.0
CONFIRM_S = 4.0
# After these it is worth asking how the project is now.
_TELLING = (Prompt, ExecutionFinished, HistoryGone)


class Shown(Protocol):
    """What AttachWork uses of the screen."""

    feed: Feed
    connection: Connection
    searching: Searching
    box: PromptBox
    panel: QuestionPanel
    sending: list[str]

    def say(self, text: str, style: Style = ...) -> None: ...
    def show_frame(self) -> None: ...
    def action_latest(self) -> None: ...
    def run_worker(
        self, work: Coroutine[Any, Any, None], *, group: str = ..., exclusive: bool = ...
    ) -> object: ...


class AttachWork:
    """Each method starts a task of the screen and returns."""

    def __init__(self, screen: Shown) -> None:
        self._screen = screen
        self._feed = screen.feed
        self._project = screen.feed.project
        self._updates: Updates | None = None
        self._past_prompts: PastPrompts | None = None
        self._answered: set[str] = set()
        self._new_session_by_s = 0.0

    def begin(self) -> None:
        """Follow the project until `close`."""
        self._screen.run_worker(self._follow(), group="follow")

    def close(self) -> None:
        if self._updates is not None:
            self._updates.close()

    def describe(self) -> None:
        if self._screen.connection.is_up and not self._feed.is_deleted:
            self._run(self._described(), group="describe")

    def send(self, text: str) -> None:
        """Send a prompt; if the hub refuses it, it is put back."""
        self._run(self._send(text), group="send", exclusive=False)

    def answer(self, request: PermissionRequest, answer: Answer) -> None:
        self._run(self._answer(request, answer), group="answer", exclusive=False)

    def end(self, running: Running) -> None:
        """Interrupt this execution, or kill it if its end was asked for before.

        The request names the execution: while the hub is away it is kept, and another execution
        may run when it arrives.
        """
        kills = running.is_ending
        running.is_ending = True
        ask = self._project.kill if kills else self._project.interrupt
        asked = ask(running.execution_id)
        said = "killing the agent" if kills else "interrupting the agent; ctrl+c again kills it"
        self._screen.say(said, styles.WARNING)
        self._run(asked, group="end", exclusive=False)
        self._screen.show_frame()

    def new_session(self) -> None:
        """Begin a new conversation, if it is asked for twice."""
        if time.monotonic() > self._new_session_by_s:
            self._new_session_by_s = time.monotonic() + CONFIRM_S
            self._screen.say("ctrl+n again: the next prompt begins a new conversation")
        else:
            self._new_session_by_s = 0.0
            self._run(self._project.new_session(), group="session")

    def find(self, needle: str, step: int) -> None:
        self._run(self._screen.searching.find(needle, step), group="search")

    def load_prompts(self) -> None:
        self._run(self._earlier_prompts(), group="prompts")

    def load_older(self) -> None:
        self._run(self._older(), group="pages", exclusive=False)

    def load_newer(self) -> None:
        self._run(self._newer(), group="pages", exclusive=False)

    def load_latest(self) -> None:
        self._run(self._latest(), group="latest")

    # -- tasks

    def _run(self, work: Awaitable[object], *, group: str, exclusive: bool = True) -> None:
        self._screen.run_worker(self._guarded(work), group=group, exclusive=exclusive)

    async def _guarded(self, work: Awaitable[object]) -> None:
        """Do something, and show what the hub has against it."""
        try:
            await work
        except RequestRefused as error:
            self._screen.say(error.message, styles.BAD)
        except HubError as error:
            self._screen.say(str(error), styles.BAD)

    async def _follow(self) -> None:
        """Take what comes, and show it some times a second."""
        try:
            self._updates = await self._project.follow(last=FIRST_UPDATES)
            await self._feed.describe()
            with suppress(EOFError):
                while True:
                    self._take(await self._updates.batch())
                    self._screen.show_frame()
                    await asyncio.sleep(FRAME_S)
        except HubError as error:
            self._screen.say(str(error), styles.BAD)
        self._screen.show_frame()

    def _take(self, updates: list[Update]) -> None:
        state = self._feed.state
        self._feed.take(updates, hub_time.local_now())
        for permission_id, words in state.answered.items():
            if permission_id not in self._answered:
                self._screen.say(f"the question was {words}", styles.WARNING)
        state.answered = {}
        if any(isinstance(update, _TELLING) for update in updates):
            self.describe()
        if self._feed.is_deleted:
            self._screen.box.disabled = True

    async def _described(self) -> None:
        await self._feed.describe()
        self._screen.show_frame()

    async def _send(self, text: str) -> None:
        screen = self._screen
        screen.sending.append(text)
        screen.action_latest()
        try:
            await self._project.execute(text)
        except HubError:
            if not screen.box.text:
                screen.box.put(text)
            raise
        finally:
            screen.sending.remove(text)
            screen.show_frame()

    async def _answer(self, request: PermissionRequest, answer: Answer) -> None:
        self._answered.add(request.permission_id)
        try:
            await self._project.answer(request, answer.decision, **arguments_of(answer))
        except RequestRefused as error:
            self._answered.discard(request.permission_id)
            self._screen.panel.arm_later()
            if not is_too_late(error):
                raise
            by = error.details.get("by")
            who = f" by {one_line(str(by))}" if by else ""
            self._screen.say(f"too late: the question was answered{who}", styles.WARNING)
        else:
            self._screen.say(f"answered: {answer.decision}")

    async def _earlier_prompts(self) -> None:
        if self._past_prompts is None:
            self._past_prompts = PastPrompts(self._feed)
        found = await self._past_prompts.some()
        if found:
            self._feed.state.prompts[:0] = found
            self._screen.box.add_earlier(found)
        else:
            self._screen.say("no earlier prompt is near")

    async def _older(self) -> None:
        if not await self._feed.load_older() and self._feed.is_at_start:
            self._screen.say("this is the beginning of the log")
        self._screen.show_frame()

    async def _newer(self) -> None:
        await self._feed.load_newer()
        self._screen.show_frame()

    async def _latest(self) -> None:
        await self._feed.load_latest()
        self._screen.show_frame()
