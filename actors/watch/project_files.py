"""Watch a project's folder while a client has joined, and tell the Project what changed.

watchdog's thread only notes paths, within a bound. The actor reports them a moment later, without
those that git ignores.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import assert_never

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from actors import messages
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Timers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from actors.watch.observing import begun, end, runs
from storage.ignore_rules import IgnoreRules

logger = get_logger("claudehub.files")

MORE_WATCHES = "sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"

REPORT_DELAY_S = 0.5
# Without inotify: a report comes within 2 s of a change.
POLL_S = 1.0
_NO_MORE_WATCHES = frozenset((errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM))
# When it is looked whether the folder is still watched. After a failure the time doubles.
RETRY_S = 10.0
RETRY_MAX_S = 300.0
PATHS_MAX = 100
# Paths that are noted between two reports, before the ignored ones are taken out.
NOTED_MAX = 10_000
_READING = frozenset(("opened", "closed_no_write"))


class _Notes(FileSystemEventHandler):
    """watchdog's thread calls it."""

    def __init__(self, watcher: Ref) -> None:
        self._watcher = watcher
        self._lock = threading.Lock()
        self._paths: dict[str, None] = {}
        self._overflowed = self._has_folders = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _READING or (event.is_directory and event.event_type == "modified"):
            return
        with self._lock:
            first = not self._paths
            self._has_folders = self._has_folders or event.is_directory
            for path in (event.src_path, event.dest_path):
                if not path:
                    continue
                if len(self._paths) >= NOTED_MAX:
                    self._overflowed = True
                else:
                    self._paths[os.fsdecode(path)] = None
        if first:
            tell_if_alive(self._watcher, messages._PathsChanged())

    def take(self) -> tuple[list[str], bool, bool]:
        """Return the paths, whether more happened than was noted, and whether a folder is new."""
        with self._lock:
            taken = list(self._paths), self._overflowed, self._has_folders
            self._paths.clear()
            self._overflowed = self._has_folders = False
        return taken


class FileWatcher(Actor):
    """Child of a Project. If the system has no inotify watches left, it looks by itself. What fails
    is tried again. `part` names it among the problems."""

    rule = Rule.RETRY

    def __init__(
        self, *, project: Ref, folder: str, timers: Timers, problems: Problems, part: str
    ) -> None:
        super().__init__(parent=project, name=f"file watcher {folder}")
        self._project = project
        self._folder = Path(folder)
        self._timers = timers
        self._problems = problems
        self._part = part
        self._notes = _Notes(self.actor_ref)
        self._observer: BaseObserver | None = None
        self._watched: tuple[int, int] | None = None  # the folder that is watched
        self._retry_s = RETRY_S
        self._rules: IgnoreRules | None = None  # as the last look without inotify found them

    def started(self) -> None:
        self._watch()
        self._watch_later()

    def _watch(self) -> None:
        """Watch the folder that has the name now. What cannot be done is noted, and tried again."""
        self._stop_observer()
        if not self._is_in_place():
            self._problems.note(self._part, "its folder now leads elsewhere, and is not watched")
            return
        try:
            self._watched = _identity(self._folder)
            try:
                self._observer = self._watching(Observer)
                _take_one_more_watch(self._folder)
            except OSError as error:
                self._look_instead(error)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._stop_observer()
            reason = getattr(error, "strerror", None) or str(error)
            self._problems.note(self._part, f"changes are not noticed at present: {reason}")
            return
        self._problems.note(self._part, None)

    def _watch_later(self) -> None:
        self._timers.after(self._retry_s, self.actor_ref, messages._WatchDue())

    def _watch_again(self) -> None:
        """Watch again where that has failed or ended, where the folder is another one now, and
        where inotify may have room again."""
        is_watching = self._is_watching()
        if is_watching and not isinstance(self._observer, PollingObserverVFS):
            self._retry_s = RETRY_S
        else:
            self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
            if is_watching:
                self._leave_polling()
            else:
                self._watch()
                if self._observer is not None:  # nobody knows what changed in between
                    self._project.tell(messages.FilesChanged(paths=(), truncated=True))
        self._watch_later()

    def _leave_polling(self) -> None:
        polling, self._observer = self._observer, None
        try:
            self._observer = self._watching(Observer)
            _take_one_more_watch(self._folder)
        except (OSError, RuntimeError):  # still no room
            self._stop_observer()
            self._observer = polling
            return
        if polling is not None:
            end(polling, REPORT_DELAY_S)
        logger.info("the system has inotify watches again", folder=self._folder)

    def _is_watching(self) -> bool:
        observer = self._observer
        if observer is None or not runs(observer):
            return False
        try:
            return self._is_in_place() and _identity(self._folder) == self._watched
        except OSError:
            return False

    def _look_instead(self, error: OSError) -> None:
        """Poll, because the system has no inotify watches left. Raises any other error
        unchanged."""
        if error.errno not in _NO_MORE_WATCHES:
            raise error
        if self._retry_s == RETRY_S:  # once, and not at each try
            logger.warning(
                "the system has no inotify watches left: a folder is looked at now and then",
                folder=self._folder,
                error=error.strerror,
                every_s=POLL_S,
                remedy=MORE_WATCHES,
            )
        self._stop_observer()
        self._observer = self._watching(
            lambda: PollingObserverVFS(os.lstat, self._worth_a_look, polling_interval=POLL_S)
        )

    def _watching(self, make: Callable[[], BaseObserver]) -> BaseObserver:
        return begun(make, lambda new: new.schedule(self._notes, str(self._folder), recursive=True))

    def _worth_a_look(self, path: str | None) -> Iterator["os.DirEntry[str]"]:
        """Yield what a look goes into: a dependency folder of 100,000 files must not be read each
        time. watchdog's thread calls it."""
        folder = str(self._folder) if path is None else path
        if not self._is_in_place():
            return
        if self._rules is None or folder == str(self._folder):  # a new look reads the rules again
            self._rules = IgnoreRules(self._folder)
        ignored = self._rules
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            relative = _relative(entry.path, self._folder)
            is_folder = entry.is_dir(follow_symlinks=False)
            match = ignored.match_folder if is_folder else ignored.match
            if relative and not match(relative):
                yield entry

    def _is_in_place(self) -> bool:
        """Return True if the folder has not become a link since: a link could show names from
        outside the roots."""
        return os.path.realpath(self._folder) == str(self._folder)

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return self._stop_observer, lambda: self._problems.note(self._part, None)

    def _stop_observer(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            end(observer, REPORT_DELAY_S)

    def on_receive(self, message: messages.FileWatcherMessage) -> None:
        match message:
            case messages._PathsChanged():
                self._timers.after(REPORT_DELAY_S, self.actor_ref, messages._ReportDue())
            case messages._ReportDue():
                self._send_report()
            case messages._WatchDue():
                self._watch_again()
            case _:
                assert_never(message)

    def _send_report(self) -> None:
        noted, overflowed, has_folders = self._notes.take()
        if has_folders and not isinstance(self._observer, PollingObserverVFS):
            try:
                _take_one_more_watch(self._folder)
            except (OSError, RuntimeError):
                self._watch()
        paths, has_more = self._told(noted)
        truncated = overflowed or has_more
        if paths or truncated:  # some changes were not noted and may matter
            self._project.tell(messages.FilesChanged(paths=tuple(paths), truncated=truncated))

    def _told(self, noted: list[str]) -> tuple[list[str], bool]:
        """Return the paths that git does not ignore, as many as are reported, and whether there may
        be more."""
        ignored = IgnoreRules(self._folder)
        paths: list[str] = []
        for path in sorted(noted):
            relative = _relative(path, self._folder)
            if not relative or ignored.match(relative):
                continue
            if len(paths) >= PATHS_MAX or ignored.is_exhausted:
                return paths, True
            paths.append(relative)
        return paths, False


def _take_one_more_watch(folder: Path) -> None:
    """Raise OSError if the system has no watch left. watchdog reports that only for the first
    folder; the limit is one for all watches of a user."""
    # In the inotify instance of another observer a watch of the same folder counts once more.
    probe = begun(Observer, lambda new: new.schedule(FileSystemEventHandler(), str(folder)))
    end(probe, REPORT_DELAY_S)


def _identity(folder: Path) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _relative(path: str, folder: Path) -> str:
    relative = os.path.relpath(path, folder)
    if relative in (".", "..") or relative.startswith("../"):
        return ""
    # A name that is not UTF-8 cannot go over the wire unchanged.
    return relative.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
