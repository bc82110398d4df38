"""Logs as files, for commands that look at them from outside, with or without a running server.

Nothing is locked and nothing is written. A server may append, roll, compress and delete meanwhile.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from storage.errors import MetadataUnreadable
from storage.landmarks import last_record
from storage.layout import DataLayout
from storage.log_reader import LogReader
from storage.log_state import LogState
from storage.projects import ProjectMeta, read_meta
from storage.record import seq_of, timestamp_of
from storage.segments import Segment, list_segments


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log in a data folder. `name` is the project's id, or the folder's name in `kept/`. `meta`
    is the metadata when it was read, None if it cannot be read; `problem` says why."""

    name: str
    folder: Path
    meta: ProjectMeta | None
    problem: str | None

    @property
    def state(self) -> LogState | None:
        return self.meta.log if self.meta is not None else None

    def segments(self) -> list[Segment]:
        """Return the segments. Raises OSError."""
        return list_segments(self.folder)

    def size_bytes(self) -> int:
        """Return the size of the files that are there; a server may delete or exchange one
        meanwhile."""
        size = 0
        for segment in self.segments():
            with contextlib.suppress(FileNotFoundError):
                size += segment.path.stat().st_size
        return size

    def reader(self) -> LogReader:
        return LogReader(self.folder)

    def last_seq(self) -> int:
        """Return the number of the newest whole record, 0 if there is none. Raises OSError."""
        line = last_record(self.segments())
        return seq_of(line) if line is not None else 0


@dataclass(frozen=True, slots=True)
class LogFacts:
    """`first` and `last` are the times of the oldest and the newest record, or None."""

    name: str
    records: int
    size_bytes: int
    segments: int
    first_seq: int
    last_seq: int
    first: str | None
    last: str | None


def stored_logs(root: Path) -> list[StoredLog]:
    """Return every log of a data folder, the kept logs of deleted projects last. Raises OSError."""
    layout = DataLayout(root)
    found = []
    for parent in (layout.projects, *layout.kept_places):
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if not (folder / "log").is_dir():
                continue
            try:
                meta, problem = read_meta(folder), None
            except MetadataUnreadable as error:
                meta, problem = None, str(error)
            found.append(StoredLog(folder.name, folder / "log", meta, problem))
    return found


def facts_of(log: StoredLog) -> LogFacts:
    """Return facts from the names and the ends of the files, without reading all. Raises
    OSError."""
    segments = log.segments()
    last_line = last_record(segments)
    first_seq = segments[0].first_seq if segments else 1
    last_seq = seq_of(last_line) if last_line is not None else first_seq - 1
    page = log.reader().read_after(first_seq - 1, last_seq, max_count=2)
    lines = [item for item in page.items if isinstance(item, bytes)]
    return LogFacts(
        name=log.name,
        records=last_seq - first_seq + 1,
        size_bytes=log.size_bytes(),
        segments=len(segments),
        first_seq=first_seq,
        last_seq=last_seq,
        first=timestamp_of(lines[0]).decode("ascii") if lines else None,
        last=timestamp_of(last_line).decode("ascii") if last_line is not None else None,
    )
