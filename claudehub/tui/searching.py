"""Search what is loaded, and then the past."""

from collections.abc import Callable

from claudehub.tui.conversation_view import ConversationView
from claudehub.tui.entries import Order
from claudehub.tui.feed import Feed, PastSearch
from claudehub.tui.finding import next_hit
from claudehub.tui.hub_time import day


class Searching:
    """One search. `say` shows how it goes, and `refresh` shows another place of the log."""

    def __init__(
        self,
        feed: Feed,
        view: ConversationView,
        say: Callable[[str], None],
        refresh: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._view = view
        self._say = say
        self._refresh = refresh
        self._may_go_back = False
        self.is_searching_past = False

    async def find(self, needle: str, step: int) -> None:
        """Go to the next hit. At the end of what is loaded, ask; when asked again, search the
        past. Raises HubError."""
        start = self._view.selected if needle == self._view.needle else None
        self._view.needle = needle
        if self._is_found(needle, start, step):
            return
        if step > 0:
            self._say("no newer hit" if self._feed.transcript.is_live else "no newer hit loaded")
        elif self._feed.is_at_start or (self._feed.transcript.first_seq or 1) <= 1:
            self._say("no older hit")
        elif not self._may_go_back:
            self._may_go_back = True
            self._say("none loaded · enter: search the past")
        else:
            await self._search_past(needle)
        self._view.update_lines()

    def stop(self) -> None:
        """End a search through the past."""
        self.is_searching_past = False

    def _is_found(self, needle: str, start: Order | None, step: int) -> bool:
        entries = self._view.viewport.entries
        hit = next_hit(entries, needle, start, step)
        if hit is None:
            return False
        self._may_go_back = False
        self._view.unfold(hit)
        self._view.go_to(hit)
        entry = entries[self._view.viewport.index_of(hit)]
        self._say(f"found, {day(entry.timestamp)} · ↑ older · ↓ newer")
        return True

    async def _search_past(self, needle: str) -> None:
        search = PastSearch(self._feed, needle)
        self.is_searching_past = True
        found: int | None = None
        try:
            while found is None and self.is_searching_past:
                self._say(f"searched back to {day(search.reached)} · esc: stop")
                found = await search.step()
        except StopAsyncIteration:
            self._say(f"not in the {search.searched:,} updates before")
        finally:
            self.is_searching_past = False
        if found is not None:
            await self._feed.load_around(found)
            self._refresh()
            self._is_found(needle, (found + 1, 0), -1)
