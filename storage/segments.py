"""The files of a log: their names, their order, and which may be removed."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

_NAME = re.compile(r"(\d{20})-(\d{8}T\d{6}Z)\.jsonl(\.gz|\.zst)?\Z", re.ASCII)
_CREATED = "%Y%m%dT%H%M%SZ"


class Compression(StrEnum):
    """How closed segments are kept: `LOG_COMPRESS`."""

    OFF = "off"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """Return what the name of a segment's file ends in, behind `.jsonl`."""
        return _SUFFIXES[self]


_SUFFIXES = {Compression.OFF: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_BY_SUFFIX = {suffix: compression for compression, suffix in _SUFFIXES.items()}


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file. Its name never changes, so no reader has a file move away; the compressed form may
    replace a closed one.

    Its records count only below the next segment's `first_seq`: after a failed flush the file
    before may hold numbers that nobody was told, and that were given out again.
    """

    first_seq: int
    created: str
    path: Path
    compression: Compression = Compression.OFF

    @property
    def key(self) -> tuple[int, str]:
        """Return what stays the same when the file is compressed."""
        return self.first_seq, self.created

    @property
    def name(self) -> str:
        """Return the name that the file got first, without the suffix of its compression."""
        return self.path.name.removesuffix(self.compression.suffix)


def segment_path(folder: Path, first_seq: int, timestamp: str) -> Path:
    """Return the path of a new segment; `timestamp` is RFC 3339 in UTC.

    If two files have the same first number, the later one counts (the earlier one was given up), so
    its time must be later too, whatever the clock says.
    """
    created = f"{datetime.fromisoformat(timestamp):{_CREATED}}"
    given_up = [s.created for s in list_segments(folder) if s.first_seq == first_seq]
    if given_up and created <= max(given_up):
        after = datetime.strptime(max(given_up), _CREATED).replace(tzinfo=UTC)
        created = f"{after + timedelta(seconds=1):{_CREATED}}"
    return folder / f"{first_seq:020d}-{created}.jsonl"


def list_segments(folder: Path) -> list[Segment]:
    """Return the segments in order. Other files are left out and left alone.

    If a segment is there plain and compressed (after a crash during the exchange), the plain one
    counts. Raises OSError.
    """
    found: dict[tuple[int, str], Segment] = {}
    for name in os.listdir(folder):
        if match := _NAME.match(name):
            compression = _BY_SUFFIX[match[3] or ""]
            segment = Segment(int(match[1]), match[2], folder / name, compression)
            key = (segment.first_seq, segment.created)
            if key not in found or compression is Compression.OFF:
                found[key] = segment
    return sorted(found.values())


def last_counting_seqs(segments: Sequence[Segment], last_seq: int) -> list[int]:
    """Return for each segment the highest number that counts in it."""
    if not segments:
        return []
    return [segment.first_seq - 1 for segment in segments[1:]] + [last_seq]


def removable_before(segments: Sequence[Segment], seq: int) -> list[Segment]:
    """Return whole segments that hold only numbers below `seq`; never the last one."""
    ends = last_counting_seqs(segments, 0)[:-1]  # the last one stays
    return [segment for segment, end in zip(segments, ends, strict=False) if end < seq]
