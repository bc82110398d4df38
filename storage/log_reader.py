"""Reading a log: pages by number or by time, found by bisection, without an index file.

A reader only opens files to read them, so any thread may have its own. Its caller says up to which
number the log is durable. It never looks beyond that, so it cannot meet a half-written record.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage import disk, record, segment_file
from storage.landmarks import Landmarks
from storage.pages import PAGE_BYTES, BackwardFilling, Page, PageFilling
from storage.segment_file import Place, SegmentFile
from storage.segments import Segment, last_counting_seqs, list_segments

# Compression or retention may remove a segment between its listing and its opening.
_OPENINGS_MAX = 3


class LogReader:
    """Read pages of the log in `folder`. Two threads must not use one reader at once."""

    def __init__(self, folder: Path, landmarks: Landmarks | None = None) -> None:
        self._folder = folder
        self._landmarks = landmarks or Landmarks()
        # Where the last page ended (number, file, place), so that the next page need not search.
        self._hint: tuple[int, Path, Place] | None = None

    def read_after(
        self, seq: int, upto: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """Return records from `seq + 1` to `upto`, at least one if there is one.

        Raises OSError if the files cannot be read.
        """
        page = PageFilling(seq, max_bytes, max_count)
        for segment, end in self._counting(upto):
            limit = min(end, upto)
            if limit <= page.position:
                continue
            # A gap ends where a file begins, in both directions.
            if not page.skip_to(min(segment.first_seq - 1, limit)):
                return page.forwards(seq)
            if not self._fill(page, segment, limit) or not page.skip_to(limit):
                return page.forwards(seq)
        page.skip_to(upto)  # the segment is gone
        return page.forwards(seq)

    def read_before(
        self, seq: int, lowest: int, *, max_bytes: int = PAGE_BYTES, max_count: int = 1 << 30
    ) -> Page:
        """Return the newest records from `lowest` to `seq`, at least one if there is one. Raises
        OSError."""
        page = BackwardFilling(seq, lowest, max_bytes, max_count)
        for segment, end in reversed(self._counting(seq)):
            if page.position < lowest or segment.first_seq > page.position:
                continue
            if not self._fill_backwards(page, segment, min(end, page.position)):
                return page.backwards()
            if not page.skip_to(max(segment.first_seq, lowest)):
                return page.backwards()
        page.skip_to(lowest)  # the files at the beginning are gone
        return page.backwards()

    def seq_before(self, timestamp: str, upto: int) -> int:
        """Return the number before the first record, in order, at or after `timestamp`.

        After a step back of the clock the result may lie too far back, but never too far ahead.
        Raises OSError.
        """
        wanted = timestamp.encode("ascii")
        counting = self._counting(upto)
        position = counting[0][0].first_seq - 1 if counting else upto
        for segment, end in counting:
            is_closed = segment is not counting[-1][0]
            stamp = self._landmarks.last_stamp(segment) if is_closed else b""
            if not stamp or stamp >= wanted:  # without one it is looked into
                number = self._first_at(segment, wanted, end)
                if number is not None and number <= end:
                    return min(number - 1, upto)
            position = end
        return min(position, upto)

    # -- inside ------------------------------------------------------------------------------

    def _counting(self, upto: int) -> list[tuple[Segment, int]]:
        """Return the segments, each with the highest number that counts in it."""
        segments = list_segments(self._folder)
        return list(zip(segments, last_counting_seqs(segments, upto), strict=True))

    def _first_at(self, segment: Segment, wanted: bytes, upto: int) -> int | None:
        """Return the number of the first record in a segment that is at or after a time."""
        with self._opened(segment, upto) as found:
            if found is None:
                return None
            file, path = found
            place = file.find(lambda stamp: stamp[1] >= wanted)
            for chunk in file.chunks_from(place):
                for _, number, _ in record.sound_records(chunk.lines):
                    self._hint = (number - 1, path, place)
                    return number
        return None

    @contextmanager
    def _opened(self, segment: Segment, upto: int) -> Iterator[tuple[SegmentFile, Path] | None]:
        """Return a segment as it is now; None if it is gone. What lies behind `upto` may still
        change, so it is not remembered."""
        found: Segment | None = segment
        with ExitStack() as stack:
            opened = None
            for _ in range(_OPENINGS_MAX):
                if found is None:
                    break
                try:
                    probes = self._landmarks.probes(found, upto)
                    opened = stack.enter_context(segment_file.opened(found, probes)), found.path
                    break
                except OSError as error:
                    if error.errno in disk.UNREADABLE:  # a gap, like damage inside it
                        break
                    if not isinstance(error, FileNotFoundError):
                        raise
                    named = (s for s in list_segments(self._folder) if s.name == segment.name)
                    found = next(named, None)
            yield opened

    def _fill(self, page: PageFilling, segment: Segment, limit: int) -> bool:
        """Add sound records of a segment, up to a number; return False if the page is full."""
        with self._opened(segment, limit) as found:
            if found is None:
                return page.is_open
            file, path = found
            seq = page.position
            if self._hint is not None and self._hint[:2] == (seq, path):
                place = self._hint[2]
            else:
                place = file.find(lambda stamp: stamp[0] > seq)
            for chunk in file.chunks_from(place):
                used = page.take(chunk.lines, limit)
                self._hint = (page.position, path, chunk.behind(used))
                if used < len(chunk.lines):  # full, or the limit is passed
                    break
        return page.is_open

    def _fill_backwards(self, page: BackwardFilling, segment: Segment, limit: int) -> bool:
        with self._opened(segment, limit) as found:
            if found is None:
                return True
            file, _ = found
            place = file.find(lambda stamp: stamp[0] > limit)
            all(page.take(lines, limit) for lines in file.lines_before(place))
        return page.is_open
