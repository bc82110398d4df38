"""The FileWatcher of a project, which lives while someone has joined."""

from actors.messages import Ref
from actors.runtime.clock import Timers
from actors.watch.project_files import FileWatcher


class Watching:
    """Starting twice and stopping twice are harmless."""

    def __init__(self, project: Ref, folder: str, timers: Timers) -> None:
        self._project = project
        self._folder = folder
        self._timers = timers
        self._child: Ref | None = None
        self._failed = False

    def start(self) -> None:
        """Not again once it has failed: the reason (no watches left, say) would be the same."""
        if self._child is None and not self._failed:
            self._child = FileWatcher.start(
                project=self._project, folder=self._folder, timers=self._timers
            )

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(block=False)
            self._child = None

    def is_child(self, ref: Ref) -> bool:
        return self._child is not None and ref.actor_urn == self._child.actor_urn

    def forget(self) -> None:
        """It has died."""
        self._child, self._failed = None, True
