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
        found = {run.request_key: run for line in lines if (run := _parse(line)) is not None}
        return list(found.values())[-REQUEST_KEYS_KEPT:]

    def note(self, run: KeyedExecution) -> None:
        """Keep one more, with the next `save`."""
        self._unsaved.append(run)
        self.has_news = True

    def save(self) -> None:
        """Make durable what was noted."""
        if not self._unsaved:
            return
        data = b"".join(_line(run) for run in self._unsaved)
        try:
            if self._lines + len(self._unsaved) > LINES_MAX:
                kept = [*self.load(), *self._unsaved][-REQUEST_KEYS_KEPT:]
                disk.replace_file(self._path, b"".join(_line(run) for run in kept))
                self._lines = len(kept)
            else:
                self._append(data)
                self._lines += len(self._unsaved)
        except OSError as error:
            raise from_os_error(error, f"writing {self._path}") from error
        self._unsaved.clear()
        self.has_news = False

    def _append(self, data: bytes) -> None:
        is_new = not self._path.exists()
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
    except (ValueError, TypeError, KeyError):
        return None
