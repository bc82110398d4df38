"""Read something again when its files change: the certificate, the keys of users.

Such files are renewed by replacing them, their folders, or links to folders, so the folders of the
names and of their targets are watched. A periodic look finds what watchdog misses.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from actors import messages
from actors.audit.trail import CONFIG_CHANGED, AuditTrail
from actors.runtime.base import Actor, tell_if_alive
from actors.runtime.clock import Clock, Timers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.refs import Ref
from actors.runtime.supervision import Rule
from actors.watch.observing import begun, end, runs
from actors.watch.stamps import Reloadable, ReloadFailed, steps

logger = get_logger("claudehub.files")

# Several files may belong together (certificate and key): all must be there before they are read.
SETTLE_S = 0.5
LOOK_S = 30.0
STOP_S = 1.0


class _Notice(FileSystemEventHandler):
    """watchdog's thread calls it."""

    def __init__(self, reloader: Ref) -> None:
        self._reloader = reloader

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            tell_if_alive(self._reloader, messages._FileTouched())


class FileReloader(Actor):
    """Child of the Hub. With `tells_hub` it tells the Hub after each change, also after one that
    failed. `died` is called when it fails, if the server cannot go on without it."""

    rule = Rule.EXIT_OR_DEGRADE

    def __init__(
        self,
        *,
        hub: Ref,
        subject: Reloadable,
        clock: Clock,
        timers: Timers,
        trail: AuditTrail,
        problems: Problems,
        tells_hub: bool = False,
        died: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(parent=hub, name=f"reloader of {subject.name}")
        self._hub = hub
        self._subject = subject
        self._clock = clock
        self._timers = timers
        self._trail = trail
        self._problems = problems
        self._tells_hub = tells_hub
        self._died = died
        self._handler = _Notice(self.actor_ref)
        self._observer: BaseObserver | None = None
        self._folders: set[Path] = set()
        self._look_is_due = False
        self._fault = ""
        self._is_slow = False  # without a watch there are only the periodic looks

    def started(self) -> None:
        self._watch()
        self._reload()  # nobody has noticed a change from before the watch
        self._timers.after(LOOK_S, self.actor_ref, messages._FileLookDue(again=True))

    def release_steps(self) -> Sequence[Callable[[], object]]:
        return (self._unwatch,)

    def failed(self, reason: str) -> None:
        if self._died is not None:
            self._died(f"{self} failed: {reason}")

    def on_receive(self, message: messages.FileReloaderMessage) -> None:
        match message:
            case messages.ReadAgain():
                self._look()
            case messages._FileTouched():
                if not self._look_is_due:
                    self._look_is_due = True
                    due = messages._FileLookDue(again=False)
                    self._timers.after(SETTLE_S, self.actor_ref, due)
            case messages._FileLookDue():
                self._look()
                if message.again:
                    self._timers.after(LOOK_S, self.actor_ref, message)
                else:
                    self._look_is_due = False
            case _:
                assert_never(message)

    def _look(self) -> None:
        changed = self._reload()
        if changed or not self._is_watching():
            # A folder may have been replaced by another one of the same name.
            self._watch()
            self._reload()

    def _is_watching(self) -> bool:
        observer = self._observer
        if observer is None or _folders(self._subject) != self._folders:
            return False
        return runs(observer)

    def _reload(self) -> bool:
        subject = self._subject
        try:
            changed = subject.reload()
        except ReloadFailed as error:
            self._problems.note(subject.name, f"{subject.failure}: {error}")
            if str(error) != self._fault:
                self._changed(ok=False)
            self._fault = str(error)
            return False
        self._problems.note(subject.name, subject.problem(self._clock.now()))
        if changed:
            logger.info("read again, after a change", what=subject.name)
            self._fault = ""
            self._changed(ok=True)
        return changed

    def _changed(self, *, ok: bool) -> None:
        self._trail.record(CONFIG_CHANGED, ok=ok, details={"read_again": self._subject.name})
        if self._tells_hub:
            tell_if_alive(self._hub, messages.KeysChanged())

    def _watch(self) -> None:
        """Watch the folders; the periodic look covers what cannot be watched."""
        self._unwatch()
        self._folders = _folders(self._subject)
        try:
            self._observer = begun(Observer, self._schedule)
        except (OSError, RuntimeError) as error:  # the next look tries again
            if not self._is_slow:
                logger.warning(
                    "changes are noticed late: a file cannot be watched",
                    what=self._subject.name,
                    every_s=LOOK_S,
                    error=error,
                )
            self._is_slow = True
            return
        self._is_slow = False

    def _schedule(self, observer: BaseObserver) -> None:
        for folder in self._folders:
            observer.schedule(self._handler, str(folder))

    def _unwatch(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            end(observer, STOP_S)


def _folders(subject: Reloadable) -> set[Path]:
    """Return the folders in which a change can make the names lead to other files: those of every
    link on the way, and of the target. A loop of links leads nowhere, which is not our fault."""
    found: set[Path] = set()
    for path in subject.files:
        for place in steps(path.absolute()):
            found.update((place.parent, place.parent.parent))
    return {folder for folder in found if os.path.isdir(folder)}
