"""The files of a log: their names, their order, and which may go."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"(\d{20})-(\d{8}T\d{6}Z)\.jsonl\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file. Its name is final from birth, so no reader has a file move under it.

    Its records count only below the next segment's `first_seq`: after a failed sync the file
    before may hold numbers that nobody was told, and that were given again.
    """

    first_seq: int
    created: str
    path: Path


def segment_path(folder: Path, first_seq: int, timestamp: str) -> Path:
    """Where a segment begins its life; `timestamp` is RFC 3339 in UTC."""
    compact = timestamp[:19].replace("-", "").replace(":", "")
    return folder / f"{first_seq:020d}-{compact}Z.jsonl"


def list_segments(folder: Path) -> list[Segment]:
    """The segments in order. Foreign files are left out and untouched."""
    found = []
    for path in folder.iterdir():
        if match := _NAME.match(path.name):
            found.append(Segment(int(match[1]), match[2], path))
    return sorted(found)


def last_counting_seqs(segments: Sequence[Segment], last_seq: int) -> list[int]:
    """For each segment the highest number that counts in it."""
    if not segments:
        return []
    return [segment.first_seq - 1 for segment in segments[1:]] + [last_seq]


def removable_before(segments: Sequence[Segment], seq: int) -> list[Segment]:
    """Whole segments that hold only numbers below `seq`; never the last one."""
    ends = last_counting_seqs(segments, 0)[:-1]  # the last one stays
    return [segment for segment, end in zip(segments, ends, strict=False) if end < seq]
