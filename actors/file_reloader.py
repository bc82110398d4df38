"""Reads the certificate again when its files change.

Certificates are renewed by replacing files, folders, or links to folders, so the folders of the
names and of what they lead to are watched; and what watchdog misses is found by a look now and
then.
"""

import logging
from pathlib import Path
from typing import assert_never

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from actors import messages
from actors.base import Actor
from actors.clock import Timers
from actors.frontend.certificates import CertificateError, Certificates
from actors.mailbox import tell_if_alive
from actors.messages import Ref

logger = logging.getLogger("claudehub.frontend")

# Certificate and key are two files: both shall be there before they are read.
SETTLE_S = 0.5
LOOK_S = 30.0
STOP_S = 1.0


class _Notice(FileSystemEventHandler):
    """Called by watchdog's thread."""

    def __init__(self, watcher: Ref) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            tell_if_alive(self._watcher, messages._CertificateTouched())


class CertificateWatcher(Actor):
    """Child of the Hub, as far as death is concerned; without it the old certificate stays."""

    def __init__(self, *, hub: Ref, certificates: Certificates, timers: Timers) -> None:
        super().__init__(parent=hub, name="certificate watcher")
        self._certificates = certificates
        self._timers = timers
        self._notice = _Notice(self.actor_ref)
        self._observer: BaseObserver | None = None
        self._folders: set[Path] = set()
        self._look_is_due = False
        self._fault = ""

    def started(self) -> None:
        self._watch()
        self._reload()  # a change of before the watch is heard by nobody
        self._timers.after(LOOK_S, self.actor_ref, messages._CertificateLookDue(again=True))

    def release(self) -> None:
        self._unwatch()

    def receive(self, message: messages.CertificateWatcherMessage) -> None:
        match message:
            case messages._CertificateTouched():
                if not self._look_is_due:
                    self._look_is_due = True
                    due = messages._CertificateLookDue(again=False)
                    self._timers.after(SETTLE_S, self.actor_ref, due)
            case messages._CertificateLookDue():
                self._look()
                if message.again:
                    self._timers.after(LOOK_S, self.actor_ref, message)
                else:
                    self._look_is_due = False
            case _:
                assert_never(message)

    def _look(self) -> None:
        changed = self._reload()
        if changed or _folders(self._certificates) != self._folders:
            # A folder may have been replaced by another of the same name.
            self._watch()
            self._reload()

    def _reload(self) -> bool:
        try:
            changed = self._certificates.reload()
        except CertificateError as error:
            if str(error) != self._fault:
                logger.error("the old certificate stays: %s", error)
            self._fault = str(error)
            return False
        if changed:
            logger.info("the certificate was read again")
            self._fault = ""
        return changed

    def _watch(self) -> None:
        """What cannot be watched is still looked at now and then."""
        self._unwatch()
        self._folders = _folders(self._certificates)
        observer = Observer()
        observer.daemon = True
        try:
            for folder in self._folders:
                observer.schedule(self._notice, str(folder))
            observer.start()
        except OSError as error:
            observer.stop()  # those of its watches that have begun
            logger.warning("certificates are looked at every %.0f s only: %s", LOOK_S, error)
            return
        self._observer = observer

    def _unwatch(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(STOP_S)


def _folders(certificates: Certificates) -> set[Path]:
    """Of the names, of the links on the way that are links to folders, and of the files."""
    found: set[Path] = set()
    for path in certificates.files:
        for place in (path.absolute(), path.resolve()):
            found.update((place.parent, place.parent.parent))
    return {folder for folder in found if folder.is_dir()}
