"""The messages of the Rotator and of the watchers of files: all from timers and threads of their
own."""

from dataclasses import dataclass

from actors.messages.settings import ChangeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _RotationDue:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _PathsChanged:
    """From the watchdog thread: look at what it has gathered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReportDue:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchDue:
    """Look whether the folder is still watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CompressionDue:
    """Look after the child that compresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """From main, at SIGHUP: read the files again, changed or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileTouched:
    """From the watchdog thread: something changed near a file that is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileLookDue:
    """Look at the files. `again`: this is the periodic look."""

    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlaceLookDue:
    """Look whether the server's own files are where they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubIsAlive:
    """From the Hub: the answer to AreYouAlive. `doing` is one sentence for the operator."""

    question: int
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _LivenessDue:
    """Ask the Hub again."""


RotatorMessage = ChangeSettings | _RotationDue | _CompressionDue
FileWatcherMessage = _PathsChanged | _ReportDue | _WatchDue
FileReloaderMessage = ReadAgain | _FileTouched | _FileLookDue
PlaceWatcherMessage = _PlaceLookDue
LivenessMessage = HubIsAlive | _LivenessDue
