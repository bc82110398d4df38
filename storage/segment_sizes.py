"""How many bytes the files of a log have, without looking at each of them each time."""

import os
from collections.abc import Sequence

from storage.segments import Segment


class SegmentSizes:
    """One thread at a time may use it, any thread."""

    def __init__(self) -> None:
        # A closed file keeps its size; its compressed form is another Segment.
        self._closed: dict[Segment, int] = {}

    def total_bytes(self, segments: Sequence[Segment]) -> int:
        """Return the bytes of all files, the last of which may grow. One that is gone has none."""
        known, self._closed = self._closed, {}
        for segment in segments[:-1]:
            size = known.get(segment)
            self._closed[segment] = _size_of(segment) if size is None else size
        return sum(self._closed.values()) + sum(map(_size_of, segments[-1:]))


def _size_of(segment: Segment) -> int:
    try:
        return os.stat(segment.path, follow_symlinks=False).st_size
    except OSError:
        return 0
