"""All readers of one session: which projects are joined, and what is to be joined again."""

from collections.abc import Callable, Mapping
from typing import Any

from claudehub.client.calls import Call
from claudehub.client.errors import HubError, NoReply, RequestRefused
from claudehub.client.position import Position
from claudehub.client.reading import deleted, history_gone, update_of
from claudehub.client.streams import Stream, Subscription, WatchStream
from claudehub.client.updates import Update

# Each answer of `history_gone` moves a reader to where the log begins. A hub whose log goes on
# disappearing is given up.
GONE_IN_A_ROW_MAX = 10


class Subscriptions:
    """Keep what the hub sends to this connection equal to what the readers want.

    `send` sends a request if there is a connection, and `lose` gives the connection up, with the
    reason.
    """

    def __init__(self, send: Callable[[Call], None], lose: Callable[[str], None]) -> None:
        self._send = send
        self._lose = lose
        self._projects: dict[str, Subscription] = {}
        self._watchers: list[WatchStream] = []
        self._own: set[Call] = set()
        self._is_open = False
        self._is_watching = False
        self._is_over = False
        self._error: HubError | None = None

    def add(self, stream: Stream) -> None:
        """Begin to read a project. If the reader's position is no longer there, it gets a
        HistoryGone."""
        if self._is_over:
            stream.end(self._error)
            return
        project = self._projects.setdefault(stream.project_id, Subscription(stream.project_id))
        project.streams.append(stream)
        stream.on_room = lambda: self._settle(project)
        self._settle(project)

    def remove(self, stream: Stream) -> None:
        """End a reader; without any, the project is left."""
        stream.end()
        project = self._projects.get(stream.project_id)
        if project is not None and stream in project.streams:
            project.streams.remove(stream)
            self._settle(project)

    def watch(self, watcher: WatchStream) -> None:
        if self._is_over:
            watcher.end(self._error)
            return
        self._watchers.append(watcher)
        # A second one asks again: it needs the present state of all projects.
        self._watch([watcher])

    def unwatch(self, watcher: WatchStream) -> None:
        watcher.end()
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            if not self._watchers and self._is_watching:
                self._is_watching = False
                self._ask(Call("unwatch"), lambda call: None)

    def opened(self) -> None:
        """There is a connection: join everything again."""
        self._is_open = True
        if self._watchers:
            self._watch(self._watchers)
        for project in tuple(self._projects.values()):
            self._settle(project)

    def lost(self) -> None:
        self._is_open = self._is_watching = False
        self._own.clear()
        for project in self._projects.values():
            project.left()

    def forgets(self, call: Call) -> bool:
        """Return True for a request of this class: the next connection begins anew."""
        return call in self._own

    def end(self, error: HubError | None) -> None:
        self._is_open, self._is_over, self._error = False, True, error
        for project in tuple(self._projects.values()):
            project.end(error)
        for watcher in self._watchers:
            watcher.end(error)
        self._projects.clear()
        self._watchers.clear()

    def receive(self, raw: Mapping[str, Any], size_bytes: int) -> bool:
        """Give an update to its readers. Return False if the hub has left one out."""
        kind, project_id = raw["update_type"], raw["project_id"]
        if self._watchers and kind in ("project_changed", "project_deleted"):
            self._tell_watchers(update_of(raw, None))
        project = self._projects.get(project_id)
        if project is None or kind == "project_changed":
            return True
        if kind == "project_deleted":
            del self._projects[project_id]
            project.deleted(update_of(raw, project.position))
            return True
        is_whole = project.receive(raw, size_bytes)
        if project.is_to_be_settled:
            project.purge()
            self._settle(project)
        return is_whole

    def _tell_watchers(self, update: Update) -> None:
        for watcher in self._watchers:
            watcher.offer(update)
        if any(watcher.is_over for watcher in self._watchers):
            for abandoned in [watcher for watcher in self._watchers if watcher.is_over]:
                self.unwatch(abandoned)

    def _settle(self, project: Subscription) -> None:
        """Join or leave a project if its readers need it."""
        if not self._is_open or self._projects.get(project.project_id) is not project:
            return
        behind = project.furthest_behind()
        if behind is None:
            if project.position is not None or project.is_joining:
                project.left()
                self._ask(Call("project_leave", project_id=project.project_id), lambda call: None)
            if not project.streams:
                del self._projects[project.project_id]
        elif project.needs_join():
            self._join(project, behind.position)

    def _join(self, project: Subscription, position: Position) -> None:
        ephemeral = any(stream.ephemeral for stream in project.active())
        project.is_joining = True

        def joined(call: Call) -> None:
            if call.result is not None:
                project.joined(Position(call.result["log_id"], position.seq), ephemeral)
                self._settle(project)
            elif call.error is not None:
                project.is_joining = False
                self._not_joined(project, call.error)

        self._ask(
            Call(
                "project_join",
                project_id=project.project_id,
                after_seq=position.seq,
                log_id=position.log_id or None,
                ephemeral=ephemeral,
            ),
            joined,
        )

    def _not_joined(self, project: Subscription, error: HubError) -> None:
        if isinstance(error, NoReply):
            self._lose(str(error))
            return
        code = error.code if isinstance(error, RequestRefused) else None
        if code == "project_not_found":  # it was there when the reader began
            self._forget(project)
            project.deleted(deleted(project.project_id))
            return
        if not isinstance(error, RequestRefused) or code != "history_gone":
            self._forget(project)
            project.end(error)
            return
        log_id, last_seq = error.details["log_id"], error.details["last_seq"]
        first_seq = error.details["first_seq"]
        project.gone_in_a_row += 1
        for stream in project.active():
            place = stream.position
            is_here = place.log_id in ("", log_id) and first_seq - 1 <= place.seq <= last_seq
            if not is_here:
                stream.moved(history_gone(project.project_id, error.details))
        if project.gone_in_a_row > GONE_IN_A_ROW_MAX:
            self._forget(project)
            project.end(error)
        else:
            self._settle(project)

    def _forget(self, project: Subscription) -> None:
        if self._projects.get(project.project_id) is project:  # else another one has its place
            del self._projects[project.project_id]

    def _watch(self, new: list[WatchStream]) -> None:
        """Ask for the present state of all projects, for some of the watchers."""
        if not self._is_open:
            return
        self._is_watching = True
        begin = tuple(new)

        def watching(call: Call) -> None:
            if call.result is not None:
                for watcher in begin:
                    watcher.begin(call.result["projects"])
            elif isinstance(call.error, NoReply):
                self._lose(str(call.error))
            elif call.error is not None:
                for watcher in self._watchers:
                    watcher.end(call.error)
                self._watchers.clear()

        self._ask(Call("watch"), watching)

    def _ask(self, call: Call, then: Callable[[Call], None]) -> None:
        """Send a request that belongs to this connection alone."""

        def ended() -> None:
            if call in self._own:  # else the connection is another one
                self._own.discard(call)
                then(call)

        call.on_end = ended
        self._own.add(call)
        self._send(call)
