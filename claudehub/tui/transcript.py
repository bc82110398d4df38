"""The part of a project's log that is loaded, and the conversation in it.

It is a window: it grows at the end with what comes live, and at either end with pages that are
asked for. When it is too large, the end that is farther from the reader is unloaded.
"""

from collections import deque
from collections.abc import Iterable, Set

from claudehub.client.updates import ClaudeDelta, FilesChanged, Gap, HistoryGone, Status, Update
from claudehub.tui.conversation import Conversation
from claudehub.tui.partial import Partial

# What is loaded at most; more than the first prompt of a long day, less than a year.
UPDATES_MAX = 5_000
CHARACTERS_MAX = 32 * 1024 * 1024
# How much stays when a limit is reached: unloading one at a time would cost a scroll each.
KEPT = 0.8
_NOT_SHOWN = (ClaudeDelta, FilesChanged, Status)
# What an update takes beside its longest texts.
_UPDATE_CHARACTERS = 1_000


class Transcript:
    """Updates from `first_seq` to `last_seq`. `is_live`: its end is the present, so live updates
    are appended; otherwise they are only counted in `newest_seq`. `is_followed`: the reader looks
    at the end."""

    def __init__(
        self,
        me: Set[str] = frozenset(),
        *,
        updates_max: int = UPDATES_MAX,
        characters_max: int = CHARACTERS_MAX,
    ) -> None:
        self._me = me
        self.conversation = Conversation(me)
        self.partial = Partial()
        self.is_live = True
        self.is_followed = True
        self.newest_seq = 0
        self.last_seq = 0
        self._updates: deque[tuple[Update, int]] = deque()
        self._characters = 0
        self._updates_max = updates_max
        self._characters_max = characters_max

    @property
    def first_seq(self) -> int | None:
        """Return the number of the first loaded update, or None if nothing is loaded."""
        return next((u.seq for u, _ in self._updates if u.seq is not None), None)

    def live(self, update: Update) -> None:
        """Take the next update of the live stream."""
        self.partial.apply(update)
        if isinstance(update, _NOT_SHOWN):
            return
        if isinstance(update, HistoryGone):  # the numbers may begin again
            self.newest_seq = 0
            self.restart([update])
            return
        if update.seq is not None:
            self.newest_seq = max(self.newest_seq, update.seq)
        if self.is_live and (update.seq is None or update.seq > self.last_seq):
            self._append(update)
            if self._is_too_large():
                self._make_room()

    def older(self, page: Iterable[Update]) -> None:
        """Take updates from before `first_seq`, oldest first. The newest may be unloaded."""
        for update in reversed(list(page)):
            self._hold(update, at_start=True)
        if self._is_too_large():
            self._unload_newest()
        self._build()

    def newer(self, page: Iterable[Update]) -> None:
        """Take updates from behind `last_seq`, oldest first. The oldest may be unloaded."""
        for update in page:
            if update.seq is None or update.seq > self.last_seq:
                self._append(update)
        self.is_live = self.last_seq >= self.newest_seq
        if self._is_too_large():
            self._unload_oldest()

    def restart(self, page: Iterable[Update]) -> None:
        """Load another place of the log: forget all, and take these updates."""
        self._updates.clear()
        self._characters = 0
        self.last_seq = 0
        for update in page:
            self._hold(update)
        self._build()
        self.is_live = self.last_seq >= self.newest_seq

    def _append(self, update: Update) -> None:
        self._hold(update)
        self.conversation.apply(update)

    def _hold(self, update: Update, at_start: bool = False) -> None:
        if update.seq is None and not isinstance(update, Gap | HistoryGone):
            return
        self.last_seq = max(self.last_seq, update.seq or 0)
        weight = _characters(update)
        self._characters += weight
        if at_start:
            self._updates.appendleft((update, weight))
        else:
            self._updates.append((update, weight))

    def _is_too_large(self) -> bool:
        return len(self._updates) > self._updates_max or self._characters > self._characters_max

    def _exceeds_what_stays(self) -> bool:
        return len(self._updates) > 1 and (
            len(self._updates) > KEPT * self._updates_max
            or self._characters > KEPT * self._characters_max
        )

    def _make_room(self) -> None:
        """Unload the oldest, or load no more while somebody reads there."""
        if self.is_followed:
            self._unload_oldest()
        else:
            self.is_live = False

    def _unload_oldest(self) -> None:
        while self._exceeds_what_stays():
            self._characters -= self._updates.popleft()[1]
        self.conversation.drop_before(self.first_seq or 0)

    def _unload_newest(self) -> None:
        while self._exceeds_what_stays():
            self._characters -= self._updates.pop()[1]
        self.last_seq = next((u.seq for u, _ in reversed(self._updates) if u.seq is not None), 0)
        self.is_live = False

    def _build(self) -> None:
        self.conversation = Conversation(self._me)
        for update, _ in self._updates:
            self.conversation.apply(update)


def _characters(update: Update) -> int:
    """Return roughly how much memory an update takes: the texts in it, a few levels deep."""
    return _UPDATE_CHARACTERS + _texts(update.data, 6)


def _texts(value: object, depth: int) -> int:
    if isinstance(value, str):
        return len(value)
    if depth == 0:
        return 0
    if isinstance(value, dict):
        return sum(_texts(inner, depth - 1) for inner in value.values())
    if isinstance(value, list):
        return sum(_texts(inner, depth - 1) for inner in value)
    return 0
