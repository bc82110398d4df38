"""Bring a project's updates into a transcript: what comes live, and pages on demand."""

from collections.abc import AsyncIterator, Iterable, Set

from claudehub.aio import Project
from claudehub.client.updates import Prompt, Update
from claudehub.tui.finding import in_update
from claudehub.tui.hub_time import HubClock
from claudehub.tui.project_state import ProjectState
from claudehub.tui.transcript import Transcript

# What is loaded at the beginning, and with each page.
FIRST_UPDATES = 300
PAGE_UPDATES = 500
# How often a search through the past says how far it is.
SEARCHED_AT_ONCE = 500
# How far back earlier prompts are looked for with one key, and how many are taken.
PROMPTS_SEARCHED = 5_000
PROMPTS_AT_ONCE = 20


class Feed:
    """What is known of one project. `me` are the names under which the hub knows this client.
    `is_at_start`: there is nothing before what is loaded."""

    def __init__(self, project: Project, me: Set[str] = frozenset()) -> None:
        self.project = project
        self.transcript = Transcript(me)
        self.state = ProjectState(project.id)
        self.clock = HubClock()
        self.is_at_start = False
        self.is_deleted = False
        self._is_loading = False

    async def describe(self) -> None:
        """Ask the hub how the project is now, and who is there. Raises HubError."""
        self.state.seed(await self.project.info())

    def take(self, updates: Iterable[Update], local_s: float) -> None:
        """Take what has come live."""
        seeded_seq = self.state.info.last_seq if self.state.info is not None else 0
        for update in updates:
            self.transcript.live(update)
            self.state.apply(update)
            self.is_deleted = self.is_deleted or update.type == "project_deleted"
            if update.seq is not None and update.seq > seeded_seq:
                self.clock.saw(update.timestamp, local_s)

    async def load_older(self) -> bool:
        """Load a page before what is loaded; return True if there was one. Raises HubError."""
        first = self.transcript.first_seq
        self.is_at_start = self.is_at_start or (first is not None and first <= 1)
        if first is None or self._is_loading or self.is_at_start:
            return False
        page = await self._page(before=first)
        self.is_at_start = len(page) < PAGE_UPDATES
        if page:
            self.transcript.older(page)
        return bool(page)

    async def load_newer(self) -> bool:
        """Load a page behind what is loaded; return True if there was one. Raises HubError."""
        transcript = self.transcript
        if transcript.is_live or self._is_loading:
            return False
        page = await self._taken(self.project.history(after=transcript.last_seq))
        transcript.newer(page)
        self.is_at_start = False
        return bool(page)

    async def load_latest(self) -> None:
        """Go back to the present. Raises HubError."""
        if self.transcript.is_live:
            return
        self.transcript.restart(await self._page(before=None))
        self.is_at_start = False
        while not self.transcript.is_live and await self.load_newer():
            pass

    async def load_around(self, seq: int) -> None:
        """Load the place of the log with that number. Raises HubError."""
        self.transcript.restart(await self._page(before=seq + 1))
        self.is_at_start = False
        await self.load_newer()

    async def _page(self, before: int | None) -> list[Update]:
        """Return a page that ends before that number, oldest first."""
        stored = self.project.history(before=before, newest_first=True)
        return (await self._taken(stored))[::-1]

    async def _taken(self, stored: AsyncIterator[Update]) -> list[Update]:
        """Return the next page of updates."""
        page: list[Update] = []
        self._is_loading = True
        try:
            async for update in stored:
                page.append(update)
                if len(page) >= PAGE_UPDATES:
                    break
        finally:
            self._is_loading = False
        return page


class PastPrompts:
    """The prompts before what was loaded first, newest first. They are read as they are wanted."""

    def __init__(self, feed: Feed) -> None:
        self._updates = feed.project.history(before=feed.transcript.first_seq, newest_first=True)

    async def some(self) -> list[str]:
        """Return a few earlier prompts, oldest first, or nothing if none is near. Raises
        HubError."""
        found: list[str] = []
        for _ in range(PROMPTS_SEARCHED):
            update = await anext(self._updates, None)
            if isinstance(update, Prompt):
                found.append(update.text)
            if update is None or len(found) >= PROMPTS_AT_ONCE:
                break
        return found[::-1]


class PastSearch:
    """A search from what is loaded back to the beginning of the log."""

    def __init__(self, feed: Feed, needle: str) -> None:
        self._feed = feed
        self._needle = needle
        self.searched = 0
        self.reached = ""
        self._updates = feed.project.history(before=feed.transcript.first_seq, newest_first=True)

    async def step(self) -> int | None:
        """Search some more; return the number of the update that was found, or None. Raises
        StopAsyncIteration at the beginning of the log, and HubError."""
        for _ in range(SEARCHED_AT_ONCE):
            update = await anext(self._updates)
            self.searched += 1
            self.reached = update.timestamp or self.reached
            if update.seq is not None and in_update(update, self._needle):
                return update.seq
        return None
