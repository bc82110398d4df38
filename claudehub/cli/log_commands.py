"""What `claudehub log` does. Each function returns an exit code."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import click
import simplejson

from claudehub.cli.moments import moment
from claudehub.client.reading import update_of
from claudehub.show.safe_text import local_time, plain
from claudehub.show.screen import screen_of
from claudehub.show.transcript import Transcript
from protocol import codec
from protocol.updates import Gap, UpdateType
from storage.errors import AlreadyLocked, StorageError
from storage.inspection import LogFacts, StoredLog, facts_of, stored_logs
from storage.layout import DataLayout
from storage.log_state import new_log_id
from storage.pages import Item, MissingRecords
from storage.projects import write_meta
from storage.verification import Verification, verify

LAST_SHOWN = 20
FOLLOW_POLL_S = 0.25


class LogCommandError(Exception):
    """The text says what was wrong and what helps."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin. The caller gives at most one field."""

    since: str | None = None
    after_seq: int | None = None
    last: int | None = None


# -- verify, stats ------------------------------------------------------------------------------


def verify_logs(data_dir: Path, names: Sequence[str]) -> int:
    logs = _chosen(data_dir, names)
    size = sum(log.size_bytes() for log in logs)
    verdicts = []
    with click.progressbar(length=max(size, 1), label="verifying", file=sys.stderr) as bar:
        for log in logs:
            verdicts.append(verify(log, bar.update))
    for verdict in verdicts:
        _say_verdict(verdict)
    return 0 if all(verdict.is_whole for verdict in verdicts) else 1


def _say_verdict(verdict: Verification) -> None:
    numbers = f"{verdict.first_seq} to {verdict.last_seq}" if verdict.records else "empty"
    state = "whole" if verdict.is_whole else "DAMAGED"
    click.echo(f"{verdict.name}: {state}, {verdict.records} records, {numbers}")
    for problem in verdict.problems:
        click.echo(f"  {problem}")
    if verdict.unlisted:
        click.echo(f"  and {verdict.unlisted} more")
    for note in verdict.notes:
        click.echo(f"  ({note})")


def show_stats(data_dir: Path, names: Sequence[str], as_json: bool) -> int:
    found = [facts_of(log) for log in _chosen(data_dir, names)]
    if as_json:
        for facts in found:
            click.echo(simplejson.dumps({**asdict(facts), "records_per_day": _rate(facts)}))
        return 0
    head = ("project", "records", "size", "files", "first", "last", "a day")
    rows: list[tuple[str, ...]] = [head, *(_row(facts) for facts in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(facts: LogFacts) -> tuple[str, ...]:
    rate = _rate(facts)
    is_known = rate is not None and rate <= facts.records * 24  # from one hour on
    return (
        facts.name,
        str(facts.records),
        _size(facts.size_bytes),
        str(facts.segments),
        local_time(facts.first) if facts.first else "-",
        local_time(facts.last) if facts.last else "-",
        f"{rate:.0f}" if is_known else "-",
    )


def _rate(facts: LogFacts) -> float | None:
    """Return the records per day between the first and the last, or None."""
    if facts.first is None or facts.last is None or facts.records < 2:
        return None
    span = datetime.fromisoformat(facts.last) - datetime.fromisoformat(facts.first)
    return facts.records / (span / timedelta(days=1)) if span else None


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


# -- show, export -------------------------------------------------------------------------------


def _show(transcript: Transcript, payload: bytes) -> None:
    try:
        transcript.show(update_of(simplejson.loads(payload), None))
    except RecursionError:  # an agent's line, which was only just not nested too deeply
        click.echo(payload)


def show_log(
    data_dir: Path, name: str, start: Start, types: frozenset[str], follow: bool, as_json: bool
) -> int:
    unknown = types - set(UpdateType)
    if unknown:
        known = ", ".join(UpdateType)
        raise LogCommandError(f"--type {min(unknown)!r} is none of {known}")
    (log,) = _chosen(data_dir, [name])
    transcript = Transcript(screen_of(sys.stdout), with_time=True)
    wanted = types and [f'"update_type":"{kind}"'.encode() for kind in types]
    try:
        for item in _items(log, start, follow):
            if wanted and not any(kind in _head(item) for kind in wanted):
                continue
            payload = _payload(item, log.name)
            if as_json:
                click.echo(payload)
            else:
                _show(transcript, payload)
    except KeyboardInterrupt:
        return 0
    finally:
        transcript.close()
    return 0


def export_log(data_dir: Path, name: str, output: Path | None, since: str | None) -> int:
    (log,) = _chosen(data_dir, [name])
    if output is None:
        return _export(log, since, sys.stdout.buffer)
    part = output.with_name(output.name + ".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        code = _export(log, since, file)
    part.replace(output)  # only a complete export gets the name
    return code


def _export(log: StoredLog, since: str | None, file: BinaryIO) -> int:
    code = 0
    for item in _items(log, Start(since=since, after_seq=None if since else 0), follow=False):
        file.write(_payload(item, log.name) + b"\n")
        if isinstance(item, MissingRecords):
            click.echo(f"{item.first_seq} to {item.last_seq} cannot be read", err=True)
            code = 1
    file.flush()
    return code


def _items(log: StoredLog, start: Start, follow: bool) -> Iterator[Item]:
    reader, upto = log.reader(), log.last_seq()
    segments = log.segments()
    lowest = segments[0].first_seq - 1 if segments else 0
    if start.since is not None:
        position = reader.seq_before(parse_since(start.since, datetime.now(UTC)), upto)
    elif start.after_seq is not None:
        position = start.after_seq
    else:
        position = upto - (LAST_SHOWN if start.last is None else start.last)
    position = max(position, lowest)
    waiting = threading.Event()
    while True:
        while position < upto:
            page = reader.read_after(position, upto)
            yield from page.items
            position = page.last_seq
        if not follow:
            return
        waiting.wait(FOLLOW_POLL_S)
        upto = log.last_seq()


def _head(item: Item) -> bytes:
    if isinstance(item, bytes):
        return item[: item.find(b'"data":')]
    return f'"update_type":"{UpdateType.GAP}"'.encode()


def _payload(item: Item, project_id: str) -> bytes:
    """Return an item as the update that clients get, encoded."""
    if isinstance(item, bytes):
        return codec.update_payload(item)
    gap = Gap(first_seq=item.first_seq, last_seq=item.last_seq)
    (body,) = codec.update_bodies(project_id, [(UpdateType.GAP, gap, None)])
    return b"{" + body


def parse_since(text: str, now: datetime) -> str:
    """Return a time as the log writes it. Raises LogCommandError."""
    try:
        return moment(text, now)
    except ValueError as error:
        raise LogCommandError(f"--since {error}") from None


# -- new-id, and what all share -----------------------------------------------------------------


def renew_ids(data_dir: Path, names: Sequence[str]) -> int:
    layout = DataLayout(data_dir)
    lock = layout.lock
    _chosen(data_dir, names)  # raises if a name is wrong, before the lock
    try:
        lock.acquire()
    except AlreadyLocked as error:
        raise LogCommandError(str(error)) from None
    try:
        for log in _chosen(data_dir, names):
            if log.meta is None or log.meta.log is None:
                continue
            state = log.meta.log.model_copy(update={"log_id": new_log_id()})
            write_meta(log.folder.parent, log.meta.model_copy(update={"log": state}))
            click.echo(f"{log.name}: {state.log_id}")
    except StorageError as error:
        raise LogCommandError(str(error)) from None
    finally:
        lock.release()
    return 0


def _chosen(data_dir: Path, names: Sequence[str]) -> list[StoredLog]:
    """Return all logs, or those of the given names and folders. Raises LogCommandError."""
    logs = stored_logs(data_dir)
    if not logs:
        raise LogCommandError(f"there are no logs in {data_dir}; --data-dir says where to look")
    if not names:
        return logs
    return [_find(logs, name) for name in names]


def _find(logs: Sequence[StoredLog], name: str) -> StoredLog:
    path = str(Path(name).expanduser().resolve()) if "/" in name else None
    for log in logs:
        if log.name == name or (path and log.meta is not None and log.meta.path == path):
            return log
    known = ", ".join(log.name for log in logs)
    raise LogCommandError(f"there is no log of {plain(name)!r}; there are: {known}")
