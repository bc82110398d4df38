"""The FileWatcher of a project: it runs while somebody has joined."""

from actors import messages
from actors.runtime.clock import Timers
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.watch.project_files import FileWatcher

WATCHER_RETRY_S = 30.0


class Watching:
    """For the Project's thread only."""

    def __init__(
        self, *, project: Ref, project_id: str, folder: str, timers: Timers, problems: Problems
    ) -> None:
        self._project = project
        self._folder = folder
        self._timers = timers
        self._problems = problems
        self._part = f"files of {project_id}"  # its name among the problems
        self._watcher: Ref | None = None
        self._is_due = False

    def start(self) -> None:
        """Start the watcher, if it does not run."""
        if self._watcher is not None or self._is_due:
            return
        try:
            self._watcher = FileWatcher.start(
                project=self._project,
                folder=self._folder,
                timers=self._timers,
                problems=self._problems,
                part=self._part,
            )
        except OSError as error:  # no thread can be started
            self._start_later(str(error))

    def _start_later(self, reason: str) -> None:
        """Start the watcher again later, also after a bug: it costs nothing."""
        self._problems.note(self._part, f"changes are not noticed: {reason}")
        self._watcher, self._is_due = None, True
        self._timers.after(WATCHER_RETRY_S, self._project, messages._WatcherDue())

    def on_due(self, *, is_wanted: bool) -> None:
        self._is_due = False
        self._problems.note(self._part, None)
        if is_wanted:
            self.start()

    def on_died(self, message: messages.ActorDied) -> bool:
        """Return True if it was the watcher that died; it is started again later."""
        is_ours = self._watcher is not None and (message.child.actor_urn == self._watcher.actor_urn)
        if is_ours:
            self._start_later(message.reason)
        return is_ours

    def stop(self) -> None:
        """Stop the watcher, if it runs."""
        if self._watcher is not None:
            self._watcher.stop(block=False)
            self._watcher = None

    def forget_problem(self) -> None:
        self._problems.note(self._part, None)
