"""Check a whole log: every CRC, every number, and that time does not run backwards in a file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from storage import record, segment_file
from storage.errors import MetadataUnreadable
from storage.inspection import StoredLog
from storage.projects import read_meta
from storage.segments import Segment, last_counting_seqs, list_segments

# A log that is damaged everywhere is not listed line by line.
PROBLEMS_MAX = 100
_FAR = 1 << 63


@dataclass(slots=True)
class Verification:
    """`notes` are for people to know, `problems` are losses. `unlisted` counts further problems."""

    name: str
    records: int = 0
    first_seq: int = 0
    last_seq: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlisted: int = 0

    def report(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.unlisted += 1

    @property
    def is_whole(self) -> bool:
        return not self.problems


def verify(log: StoredLog, progress: Callable[[int], None]) -> Verification:
    """Read all of the log; `progress` gets the bytes of each piece. Raises OSError.

    What a running server appends, compresses or deletes meanwhile is no problem.
    """
    verdict = Verification(log.name)
    if log.problem is not None:
        verdict.report(f"metadata: {log.problem}")
    segments = log.segments()
    if segments:
        verdict.first_seq = segments[0].first_seq
        verdict.last_seq = verdict.first_seq - 1
    for segment, limit in zip(segments, last_counting_seqs(segments, _FAR), strict=True):
        _verify_segment(verdict, segment, limit, segment is segments[-1], progress)
    _compare_with_state(verdict, log, {segment.first_seq for segment in segments})
    _note_what_was_set_aside(verdict, log.folder)
    return verdict


def _verify_segment(
    verdict: Verification,
    segment: Segment,
    limit: int,
    is_last: bool,
    progress: Callable[[int], None],
) -> None:
    try:
        _read(verdict, segment, limit, progress)
    except FileNotFoundError:
        again = {s.name: s for s in list_segments(segment.path.parent)}
        if segment.name in again:  # compressed meanwhile
            _read(verdict, again[segment.name], limit, progress)
        else:  # deleted by retention
            verdict.last_seq = limit
            verdict.notes.append(f"{segment.name} was deleted meanwhile")
            return
    except OSError as error:
        verdict.report(f"{segment.path.name}: {error.strerror or error}")
    if not is_last:
        _expect(verdict, segment, limit + 1)


def _read(
    verdict: Verification, segment: Segment, limit: int, progress: Callable[[int], None]
) -> None:
    """Read up to the size that the file has now: what comes later is still being written."""
    newest = b""
    with segment_file.opened(segment) as file:
        end = file.end
        done = 0
        for chunk in file.chunks_from(segment_file.START):
            sound = list(record.sound_records(chunk.lines))
            _report_unsound(verdict, segment, chunk, {index for index, _, _ in sound})
            for _, number, line in sound:
                if not verdict.last_seq < number <= limit:
                    continue
                _expect(verdict, segment, number)
                stamp = record.timestamp_of(line)
                if stamp < newest:
                    verdict.report(
                        f"{segment.path.name}: record {number} is older than its neighbour"
                    )
                newest = stamp
                verdict.records += 1
                verdict.last_seq = number
            progress(chunk.end[0] - done)
            done = chunk.end[0]
            if done >= end[0]:
                break


def _expect(verdict: Verification, segment: Segment, number: int) -> None:
    """Report the records between the last number and this one as missing."""
    first, last = verdict.last_seq + 1, number - 1
    if first <= last:
        which = f"record {first} is" if first == last else f"records {first} to {last} are"
        verdict.report(f"{segment.path.name}: {which} missing or damaged")
        verdict.last_seq = last


def _report_unsound(
    verdict: Verification, segment: Segment, chunk: segment_file.Chunk, sound: set[int]
) -> None:
    for index, line in enumerate(chunk.lines):
        if index not in sound:
            offset, inner = chunk.behind(index)
            where = f"at byte {offset}" + (f" (+{inner})" if chunk.in_block else "")
            verdict.report(f"{segment.path.name}: {len(line)} bytes {where} are no record")


def _compare_with_state(verdict: Verification, log: StoredLog, present: set[int]) -> None:
    """Compare numbers with the metadata from before the files were read, and files with the
    metadata from after: a running server writes files before metadata, and metadata before it
    deletes files."""
    state = log.state
    if state is None:
        return
    try:
        after = read_meta(log.folder.parent).log or state
    except MetadataUnreadable:  # the project was deleted meanwhile
        after = state
    for first_seq in state.segments:
        if first_seq >= after.first_seq and first_seq not in present:
            verdict.report(f"the file that begins with record {first_seq} is gone")
    for first, last in state.missing:
        if last >= after.first_seq and not verdict.first_seq <= first <= verdict.last_seq:
            verdict.report(f"records {first} to {last} were found to be gone")
    if verdict.last_seq < state.known_last_seq:
        last = state.known_last_seq
        verdict.report(f"the log ends at {verdict.last_seq}, but record {last} was stored")


def _note_what_was_set_aside(verdict: Verification, folder: Path) -> None:
    for path in sorted(folder.glob("*.torn-*")):
        verdict.notes.append(f"{path.name}: {path.stat().st_size} bytes were set aside")
