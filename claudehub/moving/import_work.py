"""Take over the history of one project of the older server, or only count it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from claudehub.moving.import_plan import Fate, Planned
from protocol import codec
from protocol.old_log import Fault, LineRefused, OldHistory, OldRecord, OldUpdate, read_line
from storage.intake import ImportMark, Intake
from storage.new_log import NewLog
from storage.old_data import OldLine, lines_of, log_files
from storage.projects import ProjectMeta

PLACES_SHOWN = 20
PROGRESS_BYTES = 256 * 1024
# What stands in the place of a reason for a line that has no end.
CUT_OFF = "has no end: it is being written, or its writer was killed"

Took = Callable[[OldUpdate], None]
Progress = Callable[[int], None]


@dataclass(slots=True)
class Tally:
    """What an import has found in a project. `records` are updates of the new log, `lines` those of
    the old one that were taken. `skipped` counts the others by their reason; `places` names the
    first of them. `files` says how far each file was read."""

    records: int = 0
    lines: int = 0
    times_changed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)

    def skip(self, place: str, reason: str) -> None:
        self.skipped[reason] += 1
        if len(self.places) < PLACES_SHOWN:
            self.places.append(f"{place}: {reason}")


class Taker:
    """`max_line_bytes` is MAX_LINE_BYTES, `rotate_bytes` MSG_ROTATE_SIZE. `progress` is told of the
    bytes that were read."""

    def __init__(
        self, source: Path, max_line_bytes: int, rotate_bytes: int, progress: Progress
    ) -> None:
        self._source = source
        self._max_line_bytes = max_line_bytes
        self._rotate_bytes = rotate_bytes
        self._progress = progress

    def count(self, planned: Planned) -> Tally:
        """Read a project, and write nothing. Raises OldDataUnreadable."""
        tally = Tally()
        self._read(planned, tally, lambda update: None)
        return tally

    def count_since(self, planned: Planned) -> int:
        """Return how many lines would be taken that a project did not have when it was imported.
        Raises OldDataUnreadable."""
        return self.count(planned).lines

    def take(self, planned: Planned, meta: ProjectMeta, intake: Intake) -> Tally:
        """Take a project over. It appears whole, or after a StorageError not at all."""
        folder = intake.begin(meta.project_id)
        try:
            tally = self._build(planned, meta, folder, intake)
        except BaseException:
            intake.give_up(folder)
            raise
        return tally

    def _build(self, planned: Planned, meta: ProjectMeta, folder: Path, intake: Intake) -> Tally:
        tally = Tally()
        log = NewLog(folder / "log", self._rotate_bytes)

        def store(update: OldUpdate) -> None:
            content = (update.update_type, update.data, update.execution_id)
            (body,) = codec.update_bodies(meta.project_id, [content])
            log.add(update.timestamp, body)

        try:
            self._read(planned, tally, store)
            state = log.close()
        finally:
            log.abandon()
        tally.times_changed = log.times_changed
        # Without a session, a project that has run was reset: -c would bring the old one back.
        is_fresh = meta.session_id is None and tally.records > 0
        mark = ImportMark(
            source=str(self._source),
            files=tally.files,
            is_set_aside=planned.fate is Fate.SET_ASIDE,
        )
        intake.publish(folder, meta.model_copy(update={"log": state, "fresh": is_fresh}), mark)
        return tally

    def _read(self, planned: Planned, tally: Tally, took: Took) -> None:
        history = OldHistory(planned.old.name)
        done = {} if planned.mark is None else planned.mark.files

        def store(update: OldUpdate) -> None:
            tally.records += 1
            took(update)

        for file in log_files(planned.old):
            told = at = tally.files[file.name] = done.get(file.name, 0)
            for line in lines_of(file, self._max_line_bytes, told):
                at = line.end
                if at - told >= PROGRESS_BYTES:
                    self._progress(at - told)
                    told = at
                record = self._record(file, line, history, tally, store)
                if record is not None:
                    tally.lines += 1
                    for update in history.take(record):
                        store(update)
                if record is not None or not line.is_torn:
                    tally.files[file.name] = at
            self._progress(at - told)
        for update in history.finish():
            store(update)

    def _record(
        self, file: Path, line: OldLine, history: OldHistory, tally: Tally, store: Took
    ) -> OldRecord | None:
        """Return what a line says, or None for one that is left out."""
        try:
            if line.data is None:
                raise LineRefused(Fault.TOO_LONG)
            return read_line(line.data, self._max_line_bytes)
        except LineRefused as refused:
            reason = CUT_OFF if line.is_torn else str(refused)
            tally.skip(f"{file.relative_to(self._source)}:{line.number}", reason)
            if refused.is_prompt:
                for update in history.finish():
                    store(update)
            return None
