"""Who watches all projects, what they were shown of each, and when a change is shown.

A project says once that it has changed, and no more until it is asked (Describe). So the whole
`project` object is made at most as often as it is shown, however often the project changes, and
never where nobody watches.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import partial

from actors import messages
from actors.access.prompt_keys import Standing
from actors.hub.project_list import Listed, ProjectLists, described
from actors.hub.registry import Entry, Registry
from actors.messages.replies import ReplyTo
from actors.ports import Caller, Watcher
from actors.project.trust import LOOK_KEPT_S
from actors.runtime.base import tell_if_alive
from actors.runtime.clock import Clock, Timers, timestamp
from actors.runtime.refs import Ref
from protocol import codec
from protocol.dialect import Broadcast, Dialect, broadcast
from protocol.shown_projects import is_news
from protocol.updates import (
    Data,
    ProjectChanged,
    ProjectDeleted,
    ProjectInfo,
    ProjectStatus,
    UpdateType,
)

# So many changes of one project are shown in each period.
CHANGES_MAX = 4
CHANGES_PERIOD_S = 1.0
# After a change, an untrusted folder is looked into again when the last look is too old to be
# shown: an agent writes files just before its turn ends.
FOLDER_LOOK_S = LOOK_KEPT_S + 0.5


@dataclass(slots=True, eq=False)
class _Watching:
    """A client that watches. `unknown` were being deleted when it began, so it never knew them."""

    watcher: Watcher
    caller: Caller
    unknown: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Shown:
    """What those who watch know of a project, None if that is uncertain, and when they were told.
    `is_asked`: the project was asked, and will answer. `is_due`: a timer is on its way."""

    info: ProjectInfo | None = None
    sent_at_s: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES_MAX))
    is_asked: bool = False
    is_due: bool = False

    def wait_s(self, now_s: float) -> float:
        """Return how long the next change must wait."""
        if len(self.sent_at_s) < CHANGES_MAX:
            return 0.0
        return max(0.0, self.sent_at_s[0] + CHANGES_PERIOD_S - now_s)


class Watchers:
    """For the Hub's thread only."""

    def __init__(
        self,
        *,
        hub: Ref,
        registry: Registry,
        lists: ProjectLists,
        standing: Standing,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._lists = lists
        self._standing = standing
        self._clock = clock
        self._timers = timers
        self._beginning: list[_Watching] = []  # their lists are not complete
        self._active: dict[str, _Watching] = {}  # by client
        self._shown: dict[str, _Shown] = {}

    # -- clients -----------------------------------------------------------------------------

    def watch(self, reply_to: ReplyTo, caller: Caller, watcher: Watcher) -> None:
        """Answer with the list, and offer what changes from then on."""
        watching = _Watching(watcher, caller)
        self._beginning.append(watching)
        done = partial(self._begin, reply_to, watching)
        self._lists.begin(caller.rights, done, is_watched=True)

    def stop(self, client_id: str) -> None:
        """Offer a client nothing more; do nothing if it does not watch."""
        self._beginning = [w for w in self._beginning if w.watcher.id != client_id]
        if (watching := self._active.pop(client_id, None)) is not None:
            watching.watcher.end()
        if not self._is_on:
            self._shown.clear()

    def look_at_keys(self) -> None:
        """Stop those whose key is no longer good, or has other rights. (The Client closes their
        connections.)"""
        now = self._clock.now()
        for watching in [*self._beginning, *self._active.values()]:
            if self._standing.rights(watching.caller, now) != watching.caller.rights:
                self.stop(watching.watcher.id)

    def _begin(self, reply_to: ReplyTo, watching: _Watching, listed: Listed) -> None:
        watcher = watching.watcher
        if watching not in self._beginning:  # stopped meanwhile
            reply_to.result(listed.payload)
            return
        self._beginning.remove(watching)
        self._note_shown(listed)
        if (before := self._active.pop(watcher.id, None)) is not None:
            before.watcher.end()
        watching.unknown = {p for p, entry in self._registry.items() if entry.is_deleting}
        watcher.begin(frozenset(info.project_id for info in listed.infos))
        self._active[watcher.id] = watching
        answer = messages.Watched(number=reply_to.number, payload=listed.payload, watcher=watcher)
        if not tell_if_alive(reply_to.client, answer):
            self.stop(watcher.id)

    def _note_shown(self, listed: Listed) -> None:
        """Note what a list shows. Where others watch, they may still wait for some of it, and their
        next change comes to all."""
        for info in listed.infos:
            shown = self._of(info.project_id)
            if info.project_id in listed.unanswered:
                shown.info = None
            elif not self._active:
                shown.info = info

    @property
    def _is_on(self) -> bool:
        return bool(self._active or self._beginning)

    # -- projects ----------------------------------------------------------------------------

    def changed(self, project_id: str) -> None:
        """Ask a project that has changed what it is now, as soon as that may be shown."""
        entry = self._registry.get(project_id)
        if entry is not None and self._is_on:
            self._ask(entry)

    def described(self, entry: Entry, *, was_asked: bool) -> None:
        """Show what a project has said. `was_asked`: by this class, not for a list."""
        shown = self._shown.get(entry.meta.project_id)
        if was_asked and shown is not None:
            shown.is_asked = False
        self._show(entry)

    def opened(self, entry: Entry) -> None:
        """Show a new project, or one that was opened again; have it tell its next change."""
        if self._is_on:
            self._of(entry.meta.project_id).is_asked = False
            self._show(entry)
            self._ask(entry)

    def set_aside(self, entry: Entry) -> None:
        """Show a project that cannot work."""
        self._show(entry)

    def deleted(self, entry: Entry, by: str | None) -> None:
        """Tell the end of a project."""
        project_id = entry.meta.project_id
        self._shown.pop(project_id, None)
        last = (UpdateType.PROJECT_DELETED, ProjectDeleted(by=by))
        for watching, batch in self._batches(project_id, *last, is_final=True):
            is_known = project_id not in watching.unknown
            watching.unknown.discard(project_id)
            watching.watcher.offer_last(project_id, batch, is_known=is_known)

    def on_due(self, project_id: str) -> None:
        """Look at a project again."""
        entry, shown = self._registry.get(project_id), self._shown.get(project_id)
        if entry is not None and shown is not None:
            shown.is_due = False
            if entry.ref is None:
                self._show(entry)
            else:
                self._ask(entry)

    def _ask(self, entry: Entry) -> None:
        if entry.is_deleting or entry.ref is None:
            return
        shown = self._of(entry.meta.project_id)
        if not shown.is_asked and not self._must_wait(entry.meta.project_id, shown):
            shown.is_asked = tell_if_alive(entry.ref, messages.Describe(is_watched=True))

    def _must_wait(self, project_id: str, shown: _Shown) -> bool:
        """Return True if the next change may not be shown yet; a timer comes when it may."""
        wait_s = shown.wait_s(self._clock.monotonic())
        if wait_s > 0 and not shown.is_due:
            shown.is_due = True
            self._look_after(wait_s, project_id)
        return wait_s > 0

    def _look_after(self, delay_s: float, project_id: str) -> None:
        self._timers.after(delay_s, self._hub, messages._ChangeDue(project_id=project_id))

    def _show(self, entry: Entry) -> None:
        """Show what a project is if that is news; later, if there was too much of it."""
        project_id, info = entry.meta.project_id, described(entry)
        # Without an actor and without an error it is only being stopped, or started again.
        is_between = entry.ref is None and entry.status is not ProjectStatus.ERROR
        if not self._active or info is None or is_between or entry.is_deleting:
            return
        shown = self._of(project_id)
        if not is_news(shown.info, info) or self._must_wait(project_id, shown):
            return
        shown.info = info
        change = (UpdateType.PROJECT_CHANGED, ProjectChanged(project=info))
        batches = self._batches(project_id, *change)
        if not batches:
            return
        shown.sent_at_s.append(self._clock.monotonic())
        for watching, batch in batches:
            watching.watcher.offer(project_id, batch)
        if not info.trusted:
            self._look_after(FOLDER_LOOK_S, project_id)

    def _of(self, project_id: str) -> _Shown:
        return self._shown.setdefault(project_id, _Shown())

    def _batches(
        self, project_id: str, update_type: UpdateType, data: Data, *, is_final: bool = False
    ) -> list[tuple[_Watching, Broadcast]]:
        """Return those who watch and may see a project, each with the update: it is encoded once
        for all, and framed once for each dialect."""
        seeing = [w for w in self._active.values() if w.caller.rights.sees(project_id)]
        if not seeing:
            return []
        (body,) = codec.update_bodies(project_id, [(update_type, data, None)])
        update = (codec.ephemeral_payload(timestamp(self._clock.now()), body), False, True)
        batches: dict[Dialect, Broadcast] = {}
        for dialect in {watching.watcher.dialect for watching in seeing}:
            batches[dialect] = broadcast(
                dialect.changes(), [update], last_seq=None, deflation=None, is_final=is_final
            )
        return [(watching, batches[watching.watcher.dialect]) for watching in seeing]
