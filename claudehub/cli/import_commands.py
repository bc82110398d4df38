"""What `claudehub import` does, and what it reports."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from actors.config.sources import default_file, fault_lines, look
from claudehub.cli.exit_codes import FAILED, SUCCESS
from claudehub.cli.failures import Failed
from claudehub.cli.output import say
from claudehub.cli.tables import print_json, print_table
from claudehub.moving.import_plan import Fate, Planned, Planner
from claudehub.moving.import_work import Taker, Tally
from storage.data_version import check_version, take_over
from storage.errors import AlreadyLocked, StorageError
from storage.intake import Intake
from storage.layout import DataLayout, is_inside
from storage.lock import holder
from storage.old_data import OldDataUnreadable, OldProject, old_projects, size_bytes
from storage.projects import ProjectStore

_ALL_HERE = (Fate.IMPORT, Fate.BRING_BACK, Fate.DONE)
_WRITTEN = (Fate.IMPORT, Fate.SET_ASIDE)
_BEFORE = (Fate.BRING_BACK, Fate.DONE, Fate.STILL_ASIDE)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an import needs of the server's settings."""

    data_dir: Path
    roots: Sequence[Path]
    max_line_bytes: int
    rotate_bytes: int
    max_projects: int


def settings_of(flags: Mapping[str, object], file: Path | None) -> Settings | None:
    """Return the settings that `claudehub serve` would have, or None after their faults are
    printed."""
    file = file or default_file()
    found = look(flags, file)
    if found.config is None:
        for line in fault_lines(found, file):
            say(f"claudehub: {line}", err=True)
        return None
    config = found.config
    return Settings(
        data_dir=Path(config.data_dir),
        roots=tuple(Path(root) for root in config.project_roots),
        max_line_bytes=config.max_line_bytes,
        rotate_bytes=config.msg_rotate_size,
        max_projects=config.max_projects,
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a project. `problem` is why it failed, or None; `since` counts what the older
    server has written since the import."""

    planned: Planned
    tally: Tally = field(default_factory=Tally)
    problem: str | None = None
    since: int = 0

    @property
    def words(self) -> str:
        return "failed" if self.problem is not None else str(self.planned.fate)

    @property
    def notes(self) -> list[str]:
        """Return what else is to be said, in a sentence each."""
        found = list(self.planned.notes)
        if self.problem is not None:
            found.append(self.problem)
        if self.since:
            found.append(
                f"{_counted(self.since, 'record')} since, not taken over: to have them too, delete "
                "the project here and import again"
            )
        if self.tally.times_changed:
            found.append(
                f"{self.tally.times_changed} records have got the time of the record before them, "
                "because their own is a little earlier"
            )
        return found


def import_folder(source: Path, settings: Settings, *, dry_run: bool, as_json: bool) -> int:
    """Import, or with `dry_run` only look; report, and return the exit code. Raises Failed."""
    layout = DataLayout(settings.data_dir)
    source = source.resolve()
    if is_inside(layout.root.resolve(), source):
        raise Failed(f"DATA_DIR is {layout.root}, and nothing may be written in {source}")
    try:
        check_version(layout.root)
        found = old_projects(source)
        if dry_run:
            results, count = _look(layout, source, found, settings)
        else:
            with _locked(layout):
                results, count = _take(layout, source, found, settings)
    except (StorageError, OSError) as error:
        raise Failed(str(error)) from None
    _report_json(results) if as_json else _report(results, dry_run)
    if dry_run and (pid := holder(str(layout.root / "lock"))) is not None:
        say(f"claudehub: a hub (pid {pid}) uses {layout.root}: stop it before the import", err=True)
    if (left := len(found) - len(results)) and not as_json:
        say(f"{left} projects were not reached")
    if count > settings.max_projects and not as_json:
        say(f"MAX_PROJECTS is {settings.max_projects}: with {count} projects none can be created")
    is_all = all(r.planned.fate in _ALL_HERE and r.problem is None for r in results)
    return SUCCESS if is_all else FAILED


@contextmanager
def _locked(layout: DataLayout) -> Iterator[None]:
    """Hold the data folder as a server would, as a context. Raises StorageError and OSError."""
    root = layout.root
    if root.exists() and os.geteuid() != root.stat().st_uid:
        raise Failed(f"{root} belongs to another user: run the import as that user")
    layout.create()
    try:
        layout.lock.acquire()
    except AlreadyLocked as error:
        raise Failed(f"{error}\nafter the import, start the hub again") from None
    try:
        take_over(root)
        yield
    finally:
        layout.lock.release()


def _look(
    layout: DataLayout, source: Path, found: Sequence[OldProject], settings: Settings
) -> tuple[list[Result], int]:
    """Return what an import would do, and how many projects there would be."""
    planner = Planner(layout, settings.roots)
    results = []
    with _taker(source, found, settings) as taker:
        for old in found:
            planned = planner.plan(old)
            try:
                results.append(_look_at_one(planned, taker))
            except OldDataUnreadable as error:
                results.append(Result(planned, problem=str(error)))
    return results, planner.count


def _look_at_one(planned: Planned, taker: Taker) -> Result:
    if planned.fate in _WRITTEN:
        return Result(planned, taker.count(planned))
    since = taker.count_since(planned) if planned.fate in _BEFORE else 0
    return Result(planned, since=since)


def _take(
    layout: DataLayout, source: Path, found: Sequence[OldProject], settings: Settings
) -> tuple[list[Result], int]:
    ProjectStore(layout).load_all()  # also removes what a killed import has left
    planner, intake = Planner(layout, settings.roots), Intake(layout)
    results: list[Result] = []
    with _taker(source, found, settings) as taker:
        for old in found:
            planned = planner.plan(old)
            try:
                results.append(_take_one(planned, taker, intake))
            except OldDataUnreadable as error:
                results.append(Result(planned, problem=str(error)))
            except StorageError as error:  # the next one would fail, too
                problem = f"{error}; what is whole stays. Mend that, and import again"
                results.append(Result(planned, problem=problem))
                break
    intake.close()
    return results, planner.count


def _take_one(planned: Planned, taker: Taker, intake: Intake) -> Result:
    meta = planned.meta
    if meta is not None and planned.fate in _WRITTEN:
        return Result(planned, taker.take(planned, meta, intake))
    if meta is not None and planned.place is not None and planned.fate is Fate.BRING_BACK:
        intake.bring_back(planned.place, meta)
    return _look_at_one(planned, taker)


@contextmanager
def _taker(source: Path, found: Sequence[OldProject], settings: Settings) -> Iterator[Taker]:
    """Yield a Taker whose progress is shown on standard error."""
    size = sum(size_bytes(old) for old in found)
    with click.progressbar(length=max(size, 1), label="reading", file=sys.stderr) as bar:
        yield Taker(source, settings.max_line_bytes, settings.rotate_bytes, bar.update)


# -- the report ---------------------------------------------------------------------------------


def _report(results: Sequence[Result], dry_run: bool) -> None:
    rows = [
        (
            result.planned.old.name,
            result.planned.path or "-",
            str(result.tally.records) if result.planned.fate in _WRITTEN else "-",
            str(result.tally.skipped.total()) if result.planned.fate in _WRITTEN else "-",
            result.words,
        )
        for result in results
    ]
    if rows:
        last = "WOULD BE" if dry_run else "RESULT"
        print_table(("PROJECT", "FOLDER", "RECORDS", "SKIPPED", last), rows)
    for result in results:
        _report_details(result)
    counts = ", ".join(
        f"{number} {fate}"
        for fate in Fate
        if (number := sum(r.planned.fate is fate and r.problem is None for r in results))
    )
    failed = sum(result.problem is not None for result in results)
    counts += f"{', ' if counts else ''}{failed} failed" if failed else ""
    written = [result.tally for result in results]
    say(
        f"{_counted(len(results), 'project')}: {counts or 'none'}; "
        f"{_counted(sum(t.records for t in written), 'record')} from "
        f"{_counted(sum(t.lines for t in written), 'line')}, "
        f"{_counted(sum(t.skipped.total() for t in written), 'line')} skipped"
    )
    if dry_run:
        say("This was a dry run: nothing was written.")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _report_details(result: Result) -> None:
    """Print what is to be said of one project beside its row in the table."""
    for note in result.notes:
        say(f"{result.planned.old.name}: {note}")
    for place in result.tally.places:
        say(f"skipped: {place}")
    if (more := result.tally.skipped.total() - len(result.tally.places)) > 0:
        reasons = ", ".join(f"{n} {reason}" for reason, n in result.tally.skipped.most_common())
        say(f"skipped: {more} more lines; in all: {reasons}")


def _report_json(results: Sequence[Result]) -> None:
    for result in results:
        tally = result.tally
        print_json(
            {
                "project_id": result.planned.old.name,
                "path": result.planned.path or None,
                "result": result.words,
                "records": tally.records,
                "lines": tally.lines,
                "skipped": dict(tally.skipped),
                "first_skipped": tally.places,
                "since": result.since,
                "notes": result.notes,
            }
        )
