"""The logs on the disk after the stop, read with the library's own reader, against what clients
saw."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.soakbench.checks import Book, Findings, Records, digest_of
from storage.inspection import StoredLog, stored_logs
from storage.pages import MissingRecords


@dataclass
class LogTotals:
    """What the logs hold."""

    logs: int = 0
    records: int = 0
    executions: int = 0


def records_of(log: StoredLog) -> Iterator[dict[str, Any] | MissingRecords]:
    """Yield a log's records in their order."""
    reader, seq, last_seq = log.reader(), 0, log.last_seq()
    while seq < last_seq:
        page = reader.read_after(seq, last_seq)
        for item in page.items:
            if isinstance(item, MissingRecords):
                yield item
                seq = item.last_seq
            else:
                record = json.loads(item)
                del record["crc"]  # the rest is what clients get
                yield record
                seq = record["seq"]


def check_records(
    project_id: str,
    records: Iterable[dict[str, Any] | MissingRecords],
    seen: dict[int, int],
    promised: dict[str, str],
    findings: Findings,
) -> tuple[int, int]:
    """Check one log; return how many records and how many executions it has.

    `seen` are the digests of what clients got, by number. `promised` are the executions that the
    hub has acknowledged, by key.
    """
    last_seq, unseen = 0, set(seen)
    keys: Counter[str] = Counter()
    begun: set[str] = set()
    ends: Counter[str] = Counter()
    for record in records:
        if isinstance(record, MissingRecords):
            findings.note("hole", f"the log of {project_id} has a hole: {record}")
            last_seq = record.last_seq
            continue
        seq = record["seq"]
        if seq != last_seq + 1:
            findings.note("hole", f"the log of {project_id} has {seq} behind {last_seq}")
        last_seq = seq
        if seq in seen and digest_of(record) != seen[seq]:
            findings.note("differs", f"{seq} of {project_id} is stored as something else")
        unseen.discard(seq)
        _note_execution(record, keys, begun, ends)
    if unseen:
        findings.note("hole", f"{project_id} has lost what clients got: {sorted(unseen)[:5]}")
    _check_executions(project_id, keys, begun, ends, findings)
    for key, execution_id in promised.items():
        if execution_id not in begun:
            findings.note("lost prompt", f"{project_id} has no {execution_id} ({key})")
    return last_seq, len(begun)


def _note_execution(
    record: dict[str, Any], keys: Counter[str], begun: set[str], ends: Counter[str]
) -> None:
    data, kind = record["data"], record["update_type"]
    if kind == "prompt":
        begun.add(data["execution_id"])
        if data.get("key"):
            keys[data["key"]] += 1
    elif kind == "execution_started":
        begun.add(data["execution_id"])
    elif kind == "execution_finished":
        ends[data["execution_id"]] += 1


def _check_executions(
    project_id: str, keys: Counter[str], begun: set[str], ends: Counter[str], findings: Findings
) -> None:
    for key, count in keys.items():
        if count > 1:
            findings.note("double prompt", f"{project_id} has {key} {count} times")
    for execution_id in begun | set(ends):
        if ends[execution_id] == 0:
            findings.note("lost end", f"{execution_id} of {project_id} has no end")
        elif ends[execution_id] > 1:
            findings.note("double end", f"{execution_id} of {project_id} has several ends")


def check_logs(data: Path, records: Records, book: Book, findings: Findings) -> LogTotals:
    """Check every log of a data folder of a stopped hub."""
    totals = LogTotals()
    for log in stored_logs(data):
        if log.state is None:
            findings.note("lost log", f"the metadata of {log.name} cannot be read: {log.problem}")
            continue
        seen = records.of_log(log.state.log_id)
        count, executions = check_records(
            log.name, records_of(log), seen, book.of(log.name), findings
        )
        totals.logs += 1
        totals.records += count
        totals.executions += executions
    return totals
