"""Look every few seconds whether the server's own files are where they were: the lock, the id and
the version of the data folder, the Unix socket."""

from collections.abc import Callable, Sequence
from typing import Protocol

from actors import messages
from actors.runtime.base import Actor
from actors.runtime.clock import Timers
from actors.runtime.logger import get_logger
from actors.runtime.problems import Problems
from actors.runtime.supervision import Rule
from storage.data_version import keep_version
from storage.errors import DataFolderLost, StorageError
from storage.layout import DataLayout

logger = get_logger("claudehub.files")

LOOK_S = 2.0
DATA_FOLDER = "data folder"


class Place(Protocol):
    """A file that must be where it was. `name` is for people."""

    name: str

    def look(self) -> str | None:
        """Make the file again if it is gone and that can be done. Return what is wrong now, or
        None. Raises DataFolderLost if the server must stop."""


class DataFolderPlace:
    """The lock, the id and the version of the data folder."""

    name = DATA_FOLDER

    def __init__(self, layout: DataLayout, data_id: str) -> None:
        self._layout = layout
        self._data_id = data_id

    def look(self) -> str | None:
        if (problem := self._layout.lock.look()) is not None:
            return problem
        try:
            if self._layout.keep_id(self._data_id):
                logger.warning(
                    "a file was gone or another, and is as it was", file=self._layout.id_file
                )
        except OSError as error:
            return f"{self._layout.id_file} cannot be written again: {error.strerror}"
        try:
            if keep_version(self._layout.root):
                logger.warning("the file version of the data folder was gone, and is as it was")
        except OSError as error:
            return f"the version of the data folder cannot be written again: {error.strerror}"
        return None


class PlaceWatcher(Actor):
    """`died` is called when the data folder is lost: another server may use it."""

    rule = Rule.EXIT

    def __init__(
        self,
        *,
        places: Sequence[Place],
        problems: Problems,
        timers: Timers,
        died: Callable[[str], None],
    ) -> None:
        super().__init__(parent=None, name="place watcher")
        self._places = places
        self._problems = problems
        self._timers = timers
        self._died = died

    def started(self) -> None:
        self._timers.after(LOOK_S, self.actor_ref, messages._PlaceLookDue())

    def failed(self, reason: str) -> None:
        self._died(f"the place watcher failed: {reason}")

    def on_receive(self, message: messages.PlaceWatcherMessage) -> None:
        for place in self._places:
            try:
                self._problems.note(place.name, place.look())
            except DataFolderLost as error:
                self._problems.note(place.name, str(error))
                self._died(str(error))
                return
            except (OSError, StorageError) as error:
                self._problems.note(place.name, str(error))
        self._timers.after(LOOK_S, self.actor_ref, message)
