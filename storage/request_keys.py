"""Which request keys of a project have run: one line each in a file beside its metadata.

The log is the truth: what a crash kept from this file is read from the log again. The file only
spares reading all of the log at every start.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import simplejson

from storage import disk
from storage.errors import from_os_error

# The protocol promises the last 1,000 executions.
REQUEST_KEYS_KEPT = 1_000
# The file is written anew when it holds more than this.
LINES_MAX = 4 * REQUEST_KEYS_KEPT


@dataclass(frozen=True, slots=True)
class KeyedExecution:
    """The execution that ran for a request key; `prompt_digest` tells whether a prompt that is sent
    again is the same."""

    request_key: str
    execution_id: str
    prompt_digest: str


class RequestKeyFile:
    """Every call but `note` raises StorageError. `has_news`: `save` has something to do."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "keys.jsonl"
        self._known: dict[str, KeyedExecution] = {}  # so that a lost file can be made again
        self._file: tuple[int, int] | None = None
        self._unsaved: list[KeyedExecution] = []
        self._lines = 0
        self.has_news = False

    def load(self) -> list[KeyedExecution]:
        """Return the newest REQUEST_KEYS_KEPT, oldest first, without a torn last line."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise from_os_error(error, f"reading {self._path}") from error
        self._lines = len(lines)
        self._file = self._now()
        for line in lines:
            if (run := _parse(line)) is not None:
                self._remember(run)
        return list(self._known.values())

    def is_in_place(self) -> bool:
        """Return True if the file is the one that was read or written last."""
        return self._now() == self._file

    def note(self, run: KeyedExecution) -> None:
        """Keep one more, with the next `save`."""
        self._unsaved.append(run)
        self._remember(run)
        self.has_news = True

    def save(self) -> None:
        """Make durable what was noted."""
        in_place = self.is_in_place()
        if not self._unsaved and in_place:
            return
        try:
            if not in_place or self._lines + len(self._unsaved) > LINES_MAX:
                kept = self._known.values()
                disk.replace_file(self._path, b"".join(_line(run) for run in kept))
                self._lines = len(kept)
            else:
                self._append(b"".join(_line(run) for run in self._unsaved))
                self._lines += len(self._unsaved)
        except OSError as error:
            raise from_os_error(error, f"writing {self._path}") from error
        self._file = self._now()
        self._unsaved.clear()
        self.has_news = False

    def _remember(self, run: KeyedExecution) -> None:
        self._known.pop(run.request_key, None)
        self._known[run.request_key] = run
        if len(self._known) > REQUEST_KEYS_KEPT:
            del self._known[next(iter(self._known))]

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _append(self, data: bytes) -> None:
        is_new = not self._path.exists()
        fd = disk.open_private(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            # A newline ends a torn line that may stand last; `load` leaves out empty lines.
            disk.write_all(fd, b"\n" + data)
            disk.sync(fd)
        finally:
            os.close(fd)
        if is_new:
            disk.sync_folder(self._path.parent)


def _line(run: KeyedExecution) -> bytes:
    fields = {
        "key": run.request_key,
        "execution_id": run.execution_id,
        "fingerprint": run.prompt_digest,
    }
    return simplejson.dumps(fields).encode("ascii") + b"\n"


def _parse(line: bytes) -> KeyedExecution | None:
    try:
        fields = simplejson.loads(line)
        return KeyedExecution(fields["key"], fields["execution_id"], fields["fingerprint"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
